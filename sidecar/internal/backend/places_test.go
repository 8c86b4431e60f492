// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/fair"
)

// endpoints have portions of the places, by their names.
type endpoints struct {
	*places
	portions map[string]*Portion
}

// newEndpoints has so many endpoints. One that is asked for by name is one of them, and has so many apps.
func newEndpoints(all, sharers, apps int) *endpoints {
	e := &endpoints{newPlaces(all), map[string]*Portion{}}
	for i := range sharers {
		portion := e.newPortion()
		portion.Between(apps)
		e.portions[string(rune('a'+i))] = portion
	}
	return e
}

// app is one of an endpoint: a is a's only one, and a2 another.
func (e *endpoints) app(name string) app { return app{e.portions[name[:1]], name} }

// take returns the place of a call, or nil.
func (e *endpoints) take(ctx context.Context, called app, deadline time.Time, end func()) *place {
	if wanted := (&place{app: called, expires: deadline, end: end}); e.places.take(ctx, wanted) {
		return wanted
	}
	return nil
}

// takeNow takes a place that is free now, or nil.
func (e *endpoints) takeNow(t *testing.T, name string) *place {
	t.Helper()
	return e.take(t.Context(), e.app(name), time.Now().Add(-time.Nanosecond), func() {})
}

func TestPlaces(t *testing.T) {
	for name, test := range map[string]struct {
		endpoints, apps int
		takes           string // one word for each call, by its app
		got             string // those that found a place
	}{
		"one app has all of them":                              {1, 1, "a a a a a a a a a", "a a a a a a a a"},
		"of two apps, one leaves the other one its own":        {1, 2, "a1 a1 a1 a1 a1 a1 a1 a1 a1 a2 a2 a2 a2", "a1 a1 a1 a1 a1 a2 a2"},
		"of two endpoints, one has most of what is common":     {2, 1, "a a a a a a a a a", "a a a a a"},
		"and the other one its own":                            {2, 1, "a a a a a a a a a b b b b", "a a a a a b b"},
		"of what is common, whoever comes first leaves some":   {2, 1, "a a a b b b b b b a a a a", "a a a b b b b"},
		"of four, three can leave the fourth its own":          {4, 1, "a a a a a a a a b b b b b b b b c c c c c c c c d d", "a a a a b c d"},
		"many endpoints share what is common, without more":    {16, 1, "a b c d e f g h i", "a b c d e f g h"},
		"with many apps an endpoint has no more than with one": {2, 8, "a1 a2 a3 a4 a5 a6 a7 a8 b1 b2 b3", "a1 a2 a3 a4 a5 b1 b2"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoints(8, test.endpoints, test.apps)
			var got []string
			for app := range strings.FieldsSeq(test.takes) {
				if e.takeNow(t, app) != nil {
					got = append(got, app)
				}
			}
			if got := strings.Join(got, " "); got != test.got {
				t.Errorf("places for %q, want %q", got, test.got)
			}
		})
	}
}

// TestWhoMayWait: there are 32 places, so that 16 may wait.
func TestWhoMayWait(t *testing.T) {
	for name, test := range map[string]struct {
		endpoints, apps int
		calls           string // a1*9: of app 1 of endpoint a, 9 one after the other
		waiting         string // those that neither found a place nor were refused
	}{
		"those of one app are half as many as there are places":      {1, 1, "a1*99", "a1*16"},
		"those of a frozen app leave the other app of its endpoint":  {1, 2, "a1*99 a2*99", "a1*10 a2*5"},
		"those of a flooded endpoint leave the other endpoint":       {2, 1, "a1*99 b1*99", "a1*10 b1*5"},
		"those of a flooded endpoint with many apps do so too":       {2, 3, "a1*99 a2*99 a3*99 b1*99", "a1*7 a2*2 a3*1 b1*3"},
		"those of three endpoints leave the fourth":                  {4, 1, "a1*99 b1*99 c1*99 d1*99", "a1*8 b1*3 c1*2 d1*2"},
		"of many endpoints each leaves some to those that come late": {99, 1, "a1*99 b1*99 c1*99 d1*99 e1*99", "a1*7 b1*2 c1*1 d1*1 e1*1"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoints(32, test.endpoints, test.apps)
			for range 32 { // all of them are taken
				e.portions["a"].taken.Hold("another", 1)
			}
			var got []string
			for call := range strings.FieldsSeq(test.calls) {
				name, times, _ := strings.Cut(call, "*")
				n, waiting := 0, 0
				for _, _ = fmt.Sscan(times, &n); n > 0; n-- {
					if w, ok := e.enter(&place{app: e.app(name)}); ok && w != nil {
						waiting++
					}
				}
				got = append(got, fmt.Sprintf("%s*%d", name, waiting))
			}
			if got := strings.Join(got, " "); got != test.waiting {
				t.Errorf("%q wait, want %q", got, test.waiting)
			}
		})
	}
}

// TestAWaitingCallGetsWhatANewDivisionLeavesIt: an endpoint that comes or goes, and an app of its own, divide the places anew.
func TestAWaitingCallGetsWhatANewDivisionLeavesIt(t *testing.T) {
	for name, test := range map[string]struct {
		endpoints, apps int
		change          func(*endpoints)
		got             int // of 32 that ask for one of 32 places
	}{
		"as it is, one of two leaves the other its own":     {2, 1, func(*endpoints) {}, 20},
		"one that goes leaves the other all":                {2, 1, func(e *endpoints) { e.portions["b"].Close() }, 32},
		"of three, one that goes leaves the others some":    {3, 1, func(e *endpoints) { e.portions["c"].Close() }, 20},
		"one that has one app less leaves the other all":    {1, 2, func(e *endpoints) { e.portions["a"].Between(1) }, 32},
		"one that comes takes nothing from those that have": {2, 1, func(e *endpoints) { e.newPortion() }, 20},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoints(32, test.endpoints, test.apps)
			e.portions["a"].waiting = fair.New(32).NewPortion() // all may wait
			for range 32 {
				if _, ok := e.enter(&place{app: e.app("a")}); !ok {
					t.Fatal("it may not wait")
				}
			}
			test.change(e)
			if e.held.Len() != test.got || e.queue.Len() != 32-test.got {
				t.Errorf("%d have a place, and %d wait; want %d with one", e.held.Len(), e.queue.Len(), test.got)
			}
		})
	}
}

// TestNoCallWaitsForPlacesThatAreFree, however endpoints come and go, and calls begin, end and are given up meanwhile.
func TestNoCallWaitsForPlacesThatAreFree(t *testing.T) {
	e := newEndpoints(8, 3, 1)
	var group sync.WaitGroup
	for i := range 24 {
		group.Go(func() {
			called := e.app(string(rune('a' + i%3)))
			for range 50 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*50*time.Microsecond)
				if held := e.take(ctx, called, time.Now().Add(time.Minute), func() {}); held != nil {
					e.give(held)
				}
				cancel()
			}
		})
	}
	group.Go(func() {
		for range 200 {
			e.newPortion().Close()
		}
	})
	group.Wait()
	if e.queue.Len() != 0 || e.held.Len() != 0 || !e.app("a").may() || !e.portions["a"].waiting.May("a", 0, 1) {
		t.Errorf("in the end %d wait, and %d have a place", e.queue.Len(), e.held.Len())
	}
}

// TestAPlaceThatIsGivenBackGoesToWhoeverMayHaveIt: the longest waiting first, but for one who may not.
func TestAPlaceThatIsGivenBackGoesToWhoeverMayHaveIt(t *testing.T) {
	p := newEndpoints(4, 2, 1)
	var held []*place
	for _, app := range []string{"a", "a", "a", "b"} {
		held = append(held, p.takeNow(t, app))
	}
	got := make(chan string, 3)
	for i, app := range []string{"a", "b"} {
		go func() {
			if p.take(t.Context(), p.app(app), time.Now().Add(10*time.Second), func() {}) != nil {
				got <- app
			}
		}()
		for waiting := 0; waiting <= i; time.Sleep(time.Millisecond) {
			p.mu.Lock()
			waiting = p.queue.Len()
			p.mu.Unlock()
		}
	}
	p.give(held[3]) // b's own: a has waited for longer, and has three
	if app := <-got; app != "b" {
		t.Errorf("%s has it", app)
	}
	p.give(held[0])
	if app := <-got; app != "a" {
		t.Errorf("%s has it", app)
	}
}

func TestNobodyWaitsForEver(t *testing.T) {
	p := newEndpoints(1, 1, 1)
	held := p.takeNow(t, "a")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if p.take(gone, p.app("a"), time.Now().Add(time.Hour), func() {}) != nil || p.take(t.Context(), p.app("a"), time.Now().Add(10*time.Millisecond), func() {}) != nil {
		t.Error("there is a place")
	}
	if waiting, _ := p.enter(&place{app: p.app("a")}); waiting == nil {
		t.Error("nobody may wait")
	} else if _, ok := p.enter(&place{app: p.app("a")}); ok {
		t.Error("one more waits than may")
	} else {
		p.leave(waiting)
	}
	p.give(held)
	if p.queue.Len() != 0 || p.held.Len() != 0 || !p.app("a").may() {
		t.Errorf("%d wait, %d are held", p.queue.Len(), p.held.Len())
	}
}

// TestWhoIsNotNeededMakesRoom: a call of which nobody waits for the answer, once others need its place. Three calls of a's first app go on,
// and two of its second.
func TestWhoIsNotNeededMakesRoom(t *testing.T) {
	now := time.Now()
	const late = ShortLinger + time.Second
	for name, test := range map[string]struct {
		all, endpoints, apps int
		overdue              time.Duration // since the deadlines of all of them
		waits                []string      // one after the other
		ended                string
	}{
		"the oldest of one's own":                        {8, 1, 1, late, []string{"a2"}, "a2"},
		"one after the other":                            {8, 1, 1, late, []string{"a2", "a2", "a2"}, "a2a2"},
		"of another app what it has beyond its own":      {8, 1, 2, late, []string{"a3"}, "a1"},
		"of another app nothing that is its own":         {8, 1, 1, late, []string{"a3"}, ""},
		"of another endpoint what it has beyond its own": {8, 4, 1, late, []string{"b1"}, "a1"},
		"of another endpoint nothing that is its own":    {32, 2, 2, late, []string{"b1"}, ""},
		"nobody before the time is up":                   {8, 1, 1, ShortLinger - time.Second, []string{"a1"}, ""},
		"nobody whose answer somebody still expects":     {8, 1, 1, -time.Second, []string{"a1"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newEndpoints(test.all, test.endpoints, test.apps)
			ended := ""
			for _, app := range []string{"a1", "a1", "a1", "a2", "a2"} {
				p.hold(&place{app: p.app(app), expires: now.Add(-test.overdue), end: func() { ended += app }})
			}
			for _, app := range test.waits {
				p.makeRoom(p.app(app), now)
			}
			if ended != test.ended {
				t.Errorf("%q ended, want %q", ended, test.ended)
			}
		})
	}
}
