// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fair divides what there is of something between those who ask for it, so that nobody can take all.
//
// A half is divided evenly: each has some of his own, however much the others ask for. The other half is for whoever needs more, and
// of it each leaves a quarter of what he finds. Who is alone has all.
package fair

// Shares counts what is held of something, by whom. The caller guards it.
type Shares[K comparable] struct {
	all, free, beyond int64
	sharers           int64
	held              map[K]int64
}

// New returns Shares of so much, for one.
func New[K comparable](all int64) *Shares[K] {
	return &Shares[K]{all: all, free: all, sharers: 1, held: map[K]int64{}}
}

// Between divides between so many.
func (s *Shares[K]) Between(sharers int) {
	s.sharers = int64(max(1, sharers))
	s.beyond = 0
	for _, held := range s.held {
		s.beyond += s.excess(held)
	}
}

// HoldsMore reports whether somebody holds more than his own.
func (s *Shares[K]) HoldsMore(who K) bool { return s.excess(s.held[who]) > 0 }

// own is what is kept for each. Where there are more sharers than that, each may have one of the divided half, as long as there is one.
func (s *Shares[K]) own() int64 {
	if s.sharers == 1 {
		return s.all
	}
	return max(1, s.all/2/s.sharers)
}

// common is what is for whoever needs more.
func (s *Shares[K]) common() int64 {
	if s.sharers == 1 {
		return 0
	}
	return s.all - min(s.all/2, s.own()*s.sharers)
}

// heldPerLeft is how much of what is common one may hold for each that he leaves to the others: three quarters, and one is left.
const heldPerLeft = 3

// Most is what one can have where the others hold nothing.
func (s *Shares[K]) Most() int64 { return min(s.all, s.own()+s.common()*heldPerLeft/(heldPerLeft+1)) }

// excess is what somebody who holds so much holds beyond his own.
func (s *Shares[K]) excess(held int64) int64 { return max(0, held-s.own()) }

// May reports whether somebody may hold so much more.
func (s *Shares[K]) May(who K, more int64) bool {
	before, after := s.excess(s.held[who]), s.excess(s.held[who]+more)
	left := s.common() - s.beyond - (after - before)
	return more <= s.free && (after == 0 || left >= 0 && after <= heldPerLeft*left)
}

// Hold notes that somebody holds so much more, or less.
func (s *Shares[K]) Hold(who K, more int64) {
	s.beyond += s.excess(s.held[who]+more) - s.excess(s.held[who])
	s.free -= more
	if s.held[who] += more; s.held[who] == 0 {
		delete(s.held, who)
	}
}
