// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package verdict

import "time"

// How long to wait before looking again, where no watch tells; the shortest first.
const (
	Soon      = time.Second      // at pods that do not serve what they should, and at what was refused just now
	Seldom    = 5 * time.Second  // at pods that answer wrongly, and at those of a rollout
	Unwatched = 15 * time.Second // for what no watch tells of
	Rarely    = 5 * time.Minute  // at most, at pods that have been behind for long: each question may cost seconds
	Resync    = 10 * time.Minute // at an endpoint that is as it should be
)

// Again says when to look at an endpoint again. The zero value is Never.
type Again struct {
	wanted bool
	after  time.Duration
}

// Never is for what a watch tells of.
var Never Again

// Now is at once.
func Now() Again { return In(0) }

// In is after some time.
func In(after time.Duration) Again { return Again{wanted: true, after: max(after, 0)} }

// Soonest returns the soonest of them.
func Soonest(all ...Again) Again {
	soonest := Never
	for _, a := range all {
		if a.wanted && (!soonest.wanted || a.after < soonest.after) {
			soonest = a
		}
	}
	return soonest
}

// NotBefore puts off what is wanted sooner.
func (a Again) NotBefore(least time.Duration) Again {
	a.after = max(a.after, least)
	return a
}

// After returns how long to wait, and whether to look again at all.
func (a Again) After() (after time.Duration, wanted bool) { return a.after, a.wanted }

// Growing is when to look again at what has been wrong for some time: after a quarter of that time, within bounds. A thousand
// endpoints that are wrong for hours must not keep the operator from those that change.
func Growing(wrongFor, most time.Duration) Again {
	return In(min(max(wrongFor/4, Soon), most))
}
