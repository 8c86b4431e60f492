// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fair divides what there is of something between those who ask for it, so that nobody can take all.
//
// A half is divided evenly between the endpoints: each has some of its own, however much the others ask for. The other half is for
// whoever needs more, and of it each leaves a quarter of what it finds. Who is alone has all. One piece may have all that is common as
// long as nobody has anything else of it: where little goes on, what is large finds room.
//
// An endpoint divides in the same way between its apps. What they have together counts as the endpoint's: many apps have no more of what
// is common than one.
package fair

// Shares counts what is held of something, by all endpoints. The caller guards it, and its portions with it.
type Shares struct {
	all, free int64
	beyond    int64 // what endpoints hold of the common half
	sharers   int64
	holders   map[*Portion]bool // those that hold something
}

// Portion counts what one endpoint holds, for each of its apps.
type Portion struct {
	of   *Shares
	apps int64
	held []holding
}

// holding is what one app holds.
type holding struct {
	app    string
	amount int64
}

// New returns Shares of so much.
func New(all int64) *Shares { return &Shares{all: all, free: all, holders: map[*Portion]bool{}} }

// NewPortion divides between one endpoint more. It has one app.
func (s *Shares) NewPortion() *Portion {
	s.between(1)
	return &Portion{of: s, apps: 1}
}

// Close divides between one endpoint less. What is held by then is given back as always.
func (p *Portion) Close() { p.of.between(-1) }

func (s *Shares) between(more int64) {
	s.sharers += more
	s.beyond = 0
	for p := range s.holders {
		s.beyond += s.excess(p.tally("", 0).held)
	}
}

// Between divides what the endpoint may have between so many apps.
func (p *Portion) Between(apps int) {
	p.change(func() { p.apps = int64(max(1, apps)) })
}

// change does what changes how the endpoint counts.
func (p *Portion) change(do func()) {
	before := p.tally("", 0).held
	do()
	p.of.beyond += p.of.excess(p.tally("", 0).held) - p.of.excess(before)
}

// own is what is kept for each endpoint. Where there are more of them than that, each may have one of the divided half, as long as there
// is one.
func (s *Shares) own() int64 {
	if s.sharers <= 1 {
		return s.all
	}
	return max(1, s.all/2/s.sharers)
}

// common is what is for whoever needs more.
func (s *Shares) common() int64 {
	if s.sharers <= 1 {
		return 0
	}
	return s.all - min(s.all/2, s.own()*s.sharers)
}

// excess is what an endpoint that holds so much has of the common half.
func (s *Shares) excess(held int64) int64 { return max(0, held-s.own()) }

// divided is what is kept for the apps of the endpoint.
func (p *Portion) divided() int64 {
	if p.apps == 1 {
		return p.of.own()
	}
	return p.of.own() / 2
}

// own is what is kept for each of them. Where there are more of them than that, each may have one of it, as long as there is one.
func (p *Portion) own() int64 { return max(1, p.divided()/p.apps) }

// tally is what an endpoint counts as holding: what is kept for its apps, whether they hold it or not, and what they hold beyond. So an app
// can have what is kept for it however much another one holds.
type tally struct {
	held int64
	over int64 // what the app in question holds beyond its own
	all  int64 // what all apps hold beyond their own
}

// tally counts as if the app held so much more.
func (p *Portion) tally(app string, more int64) tally {
	var kept, beyond, over int64
	add := func(amount int64) int64 {
		own := min(amount, p.own())
		kept, beyond = kept+own, beyond+amount-own
		return amount - own
	}
	known := false
	for _, h := range p.held {
		if h.app == app {
			known, over = true, add(h.amount+more)
		} else {
			add(h.amount)
		}
	}
	if !known {
		over = add(more)
	}
	return tally{max(p.divided(), kept) + beyond, over, beyond}
}

// heldPerLeft is how much of what is common one may hold for each that he leaves to the others: three quarters, and one is left.
const heldPerLeft = 3

// May reports whether an app of the endpoint may hold so much more, for a piece of which it holds so much already.
func (p *Portion) May(app string, piece, more int64) bool {
	s := p.of
	before, after, without := p.tally(app, 0), p.tally(app, more), p.tally(app, -piece)
	excess, grows := s.excess(after.held), s.excess(after.held)-s.excess(before.held)
	left := s.common() - s.beyond - grows
	alone := s.beyond-s.excess(before.held)+s.excess(without.held) == 0
	leaves := grows == 0 || left >= 0 && (alone || excess <= heldPerLeft*left)
	ofEndpoint := max(0, s.own()-after.held) + max(0, heldPerLeft*left-excess)/(heldPerLeft+1) // what the endpoint could still have
	leavesApps := p.apps == 1 || after.over == 0 || without.all == 0 || after.over <= heldPerLeft*ofEndpoint
	return more <= s.free && leaves && leavesApps
}

// Most is how large a piece an app of the endpoint can have where nobody holds anything.
func (p *Portion) Most() int64 {
	return min(p.of.all, p.of.own()+p.of.common()) - p.divided() + min(p.divided(), p.own())
}

// Frees reports whether it is of use that an app holds one less: to the other apps of the endpoint, and to other endpoints. What is kept for
// the app is of no use to them.
func (p *Portion) Frees(app string) (apps, endpoints bool) {
	before, after := p.tally(app, 0).held, p.tally(app, -1).held
	return after < before, p.of.excess(after) < p.of.excess(before)
}

// Hold notes that an app of the endpoint holds so much more, or less.
func (p *Portion) Hold(app string, more int64) {
	p.change(func() {
		for i := range p.held {
			if h := &p.held[i]; h.app == app {
				h.amount += more
				if h.amount == 0 {
					p.held = append(p.held[:i], p.held[i+1:]...)
				}
				return
			}
		}
		p.held = append(p.held, holding{app, more})
	})
	p.of.free -= more
	if len(p.held) > 0 {
		p.of.holders[p] = true
	} else {
		delete(p.of.holders, p)
	}
}
