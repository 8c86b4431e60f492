// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package credentials decides which pairs of credentials are accepted: what the user's Secret holds, and beside it earlier ones
// while the user changes them. It is pure.
//
// The console takes new values at one moment, when Save is pressed, and nobody tells the operator. So the values of the
// user's Secret are accepted beside those before, from when the Secret is changed until some time after WeChat was first
// seen using the newer ones: preparing on Friday and pressing Save on Monday loses nothing.
package credentials

import (
	"slices"
	"time"

	"github.com/wechatendpoint/wechatendpoint/api/decode"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// defaultOverlap is the default of the CRD, for an endpoint that was stored before the field existed.
const defaultOverlap = 24 * time.Hour

// Policy is what a rotation depends on besides the values.
type Policy struct {
	// Counter is the highest generation that was ever given out.
	Counter int64
	// FirstUsed is when WeChat was first seen using a generation; one that is missing was not.
	FirstUsed map[int64]time.Time
	// Overlap is how long an older pair is accepted after that.
	Overlap time.Duration
	// RevokeBefore ends every older pair of a lower generation at once.
	RevokeBefore int64
	// Encrypted says that a pair needs an EncodingAESKey; without, none keeps one.
	Encrypted bool
	// Now is the time.
	Now time.Time
}

// MaxGeneration is far beyond any number of changes, and the greatest whole number that every reader of JSON reads exactly.
const MaxGeneration = 1<<53 - 1

// Genuine returns the pairs that Rotate may have written: generations count down from the newest, and an end is a time that a status can
// tell. The others are somebody else's. No status could show such a pair, and it would be copied into every later history.
func Genuine(history []config.Pair) []config.Pair {
	var genuine []config.Pair
	next := int64(MaxGeneration)
	for _, pair := range history {
		if pair.Generation < 1 || pair.Generation > next || pair.NotAfter != nil && !decode.Writable(*pair.NotAfter) {
			continue
		}
		genuine, next = append(genuine, pair), pair.Generation-1
	}
	return genuine
}

// Rotate returns the accepted pairs, newest first: the values of the user's Secret, with the next generation if they are
// new, and of the history what has not ended. There are at most config.MaxPairs.
func Rotate(history []config.Pair, wanted config.Pair, p Policy) []config.Pair {
	older := p.Usable(history)
	wanted.NotAfter = nil
	if len(older) > 0 && older[0].Equal(wanted) {
		wanted.Generation = older[0].Generation
	} else {
		wanted.Generation = p.next(history)
	}
	pairs := []config.Pair{wanted}
	for _, pair := range older {
		if pair.Equal(wanted) || pair.Generation < p.RevokeBefore {
			continue // the values came back, and the newest generation stands for them; or they leaked
		}
		pair.NotAfter = p.end(pair, pairs)
		if pair.Accepted(p.Now) {
			pairs = append(pairs, pair)
		}
	}
	return p.bound(pairs)
}

// Usable returns the pairs as the message mode needs them.
func (p Policy) Usable(history []config.Pair) []config.Pair {
	var usable []config.Pair
	for _, pair := range history {
		switch {
		case pair.Token != "" && p.Encrypted && pair.EncodingAESKey == "":
			continue // of an earlier mode: it could decrypt nothing
		case !p.Encrypted:
			pair.EncodingAESKey = ""
		}
		usable = append(usable, pair)
	}
	return usable
}

func (p Policy) next(history []config.Pair) int64 {
	next := int64(1)
	if p.Counter < MaxGeneration { // one beyond was never given out
		next = p.Counter + 1
	}
	for _, pair := range history {
		next = max(next, pair.Generation+1)
	}
	return next
}

// end is when a pair ends: Overlap after the first use of any newer one. An end that is known stays known if the record
// of the use was lost.
func (p Policy) end(pair config.Pair, newer []config.Pair) *time.Time {
	var first *time.Time
	for _, n := range newer {
		if used, known := p.FirstUsed[n.Generation]; known && (first == nil || used.Before(*first)) {
			first = &used
		}
	}
	if first == nil {
		return pair.NotAfter
	}
	end := first.Add(p.Overlap)
	return &end
}

// bound drops pairs that are too many, the oldest first: one that is about to end, else one that WeChat was never seen using, else the last.
// It never drops the newest. The last of the list may be the console's although nobody saw it used, from before anybody looked.
func (p Policy) bound(pairs []config.Pair) []config.Pair {
	for len(pairs) > config.MaxPairs {
		drop := len(pairs) - 1
		if pairs[drop].NotAfter == nil {
			for i := drop - 1; i > 0; i-- {
				if _, used := p.FirstUsed[pairs[i].Generation]; !used {
					drop = i
					break
				}
			}
		}
		pairs = slices.Delete(pairs, drop, drop+1)
	}
	return pairs
}
