// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"testing"
	"time"
)

// takeNow takes a place that is free now, or nil.
func takeNow(t *testing.T, p *places, app string) *place {
	t.Helper()
	return p.take(t.Context(), App{Origin: app}, time.Now().Add(-time.Nanosecond), func() {})
}

func TestPlaces(t *testing.T) {
	for name, test := range map[string]struct {
		apps  int
		takes string // one letter for each call, by its app
		got   string // those that found a place
	}{
		"one app has all of them":                            {1, "aaaaaaaaa", "aaaaaaaa"},
		"of two, one has its own and most of what is common": {2, "aaaaaaaaa", "aaaaa"},
		"and the other one its own":                          {2, "aaaaaaaaabbbb", "aaaaabb"},
		"of what is common, whoever comes first leaves some": {2, "aaabbbbbbaaaa", "aaabbbb"},
		"of four, three can leave the fourth its own":        {4, "aaaaaaaabbbbbbbbccccccccdd", "aaaabcd"},
		"an app of an earlier configuration has less":        {1, "bbbbbbbbb", "bbbbbbbb"},
		"one that it leaves out takes none beyond all":       {1, "aaaaaaaab", "aaaaaaaa"},
		"many apps share what is common, without more":       {16, "abcdefghi", "abcdefgh"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlaces(8)
			p.share(test.apps)
			got := ""
			for _, app := range test.takes {
				if takeNow(t, p, string(app)) != nil {
					got += string(app)
				}
			}
			if got != test.got {
				t.Errorf("places for %q, want %q", got, test.got)
			}
		})
	}
}

// TestAPlaceThatIsGivenBackGoesToWhoeverMayHaveIt: the longest waiting first, but for one who may not.
func TestAPlaceThatIsGivenBackGoesToWhoeverMayHaveIt(t *testing.T) {
	p := newPlaces(4)
	p.share(2)
	var held []*place
	for _, app := range []string{"a", "a", "a", "b"} {
		held = append(held, takeNow(t, p, app))
	}
	got := make(chan string, 3)
	for i, app := range []string{"a", "b"} {
		go func() {
			if p.take(t.Context(), App{Origin: app}, time.Now().Add(10*time.Second), func() {}) != nil {
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
	p := newPlaces(1)
	held := takeNow(t, p, "a")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if p.take(gone, App{Origin: "a"}, time.Now().Add(time.Hour), func() {}) != nil || p.take(t.Context(), App{Origin: "a"}, time.Now().Add(10*time.Millisecond), func() {}) != nil {
		t.Error("there is a place")
	}
	for range 2 {
		p.queue.PushBack(&waiter{})
	}
	if soon := time.Now(); p.take(t.Context(), App{Origin: "a"}, soon.Add(time.Hour), func() {}) != nil || time.Since(soon) > time.Minute {
		t.Error("one more waits than may")
	}
	p.queue.Init()
	p.give(held)
	if p.queue.Len() != 0 || p.held.Len() != 0 || !p.taken.May(App{Origin: "a"}, 1) {
		t.Errorf("%d wait, %d are held", p.queue.Len(), p.held.Len())
	}
}

// TestWhoIsNotNeededMakesRoom: a call of which nobody waits for the answer, once others need its place. Three calls of a go on, and
// two of b.
func TestWhoIsNotNeededMakesRoom(t *testing.T) {
	now := time.Now()
	const late = ShortLinger + time.Second
	for name, test := range map[string]struct {
		apps    int
		overdue time.Duration // since the deadlines of all of them
		waits   []string      // one after the other
		ended   string
	}{
		"the oldest of one's own":                    {1, late, []string{"b"}, "b"},
		"one after the other":                        {1, late, []string{"b", "b", "b"}, "bb"},
		"of another app what it has beyond its own":  {2, late, []string{"c"}, "a"},
		"of another app nothing that is its own":     {1, late, []string{"c"}, ""},
		"nobody before the time is up":               {1, ShortLinger - time.Second, []string{"a"}, ""},
		"nobody whose answer somebody still expects": {1, -time.Second, []string{"a"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlaces(8)
			p.share(test.apps)
			ended := ""
			for _, app := range []string{"a", "a", "a", "b", "b"} {
				p.hold(&place{app: App{Origin: app}, expires: now.Add(-test.overdue), end: func() { ended += app }})
			}
			for _, app := range test.waits {
				p.makeRoom(App{Origin: app}, now)
			}
			if ended != test.ended {
				t.Errorf("%q ended, want %q", ended, test.ended)
			}
		})
	}
}
