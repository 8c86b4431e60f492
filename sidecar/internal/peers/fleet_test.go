// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestWhenItIsToldThatDNSDoesNotAnswer: a fleet whose pods are not ready yet has no name, which is no fault.
func TestWhenItIsToldThatDNSDoesNotAnswer(t *testing.T) {
	const answers, unknown = 'a', 'u' // and any other fails
	for name, test := range map[string]struct {
		looks string // what DNS does at each
		told  int
	}{
		"it fails for a while, and nobody is known":    {looks: "fffff"},
		"it fails for longer":                          {looks: "ffffff", told: 1},
		"it goes on":                                   {looks: "ffffffff", told: 3},
		"there is no such name":                        {looks: "uuuuuuuu"},
		"there is none in between, so that it answers": {looks: "fffffufffff"},
		"pods are known, which may have changed":       {looks: "af", told: 1},
		"the pods that were known are gone":            {looks: "aufffff"},
	} {
		t.Run(name, func(t *testing.T) {
			told := 0
			look := rune(0)
			f := New(Options{InFlight: 1, Unlisted: func(error) { told++ }, Lookup: func(context.Context, string) ([]netip.Addr, error) {
				switch look {
				case answers:
					return []netip.Addr{netip.MustParseAddr("198.51.100.7")}, nil
				case unknown:
					return nil, &net.DNSError{IsNotFound: true}
				default:
					return nil, errors.New("server misbehaving")
				}
			}})
			for _, look = range test.looks {
				f.complain(f.look(t.Context()))
			}
			if told != test.told {
				t.Errorf("it was told %d times, want %d", told, test.told)
			}
		})
	}
}

// TestPodsThatHaveGreeted are told for a time, whether DNS names them or not, as many as there is room for.
func TestPodsThatHaveGreeted(t *testing.T) {
	f := New(Options{InFlight: 1, Failed: func(netip.Addr, Result) {}})
	f.change(func(View) View { return NewView(podsOf("A")).Looked(podsOf("AB"), time.Now()) })
	told := func(want string) {
		t.Helper()
		got := f.others()
		slices.SortFunc(got, netip.Addr.Compare)
		if diff := cmp.Diff(podsOf(want), got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("pods that are told:\n%s", diff)
		}
	}
	now := time.Now()
	for _, pod := range podsOf("ABC") { // itself, one that DNS names, and one that it does not name yet
		f.Greeted(pod, now)
	}
	told("BC")
	f.Greeted(podOf('D'), now.Add(-greetedFor))
	told("BC")
	for range maxLate {
		f.note(podOf('C'), Late)
	}
	told("B")
	for n := range 2 * maxGreeted {
		f.Greeted(netip.AddrFrom4([4]byte{10, 0, 1, byte(n)}), now)
	}
	if got := len(f.greeted); got != maxGreeted {
		t.Errorf("%d pods are kept, want %d", got, maxGreeted)
	}
}

func TestTheAddressByWhichAnotherPodReachesThisOne(t *testing.T) {
	own := []netip.Addr{}
	for _, address := range []string{"127.0.0.1", "::1", "fe80::1", "10.0.0.7", "2001:db8::7"} {
		own = append(own, netip.MustParseAddr(address))
	}
	for name, test := range map[string]struct {
		own       []netip.Addr
		pod, want string
	}{
		"IPv4":                          {own, "10.0.0.8", "10.0.0.7"},
		"IPv6, not that of the link":    {own, "2001:db8::8", "2001:db8::7"},
		"both on this computer":         {own, "127.0.0.2", "127.0.0.1"},
		"none, where it has IPv4 alone": {own[3:4], "2001:db8::8", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := NewView(test.own).ownBeside(netip.MustParseAddr(test.pod))
			if ok != (test.want != "") || ok && got.String() != test.want {
				t.Errorf("%v, %v", got, ok)
			}
		})
	}
}

// TestAPodThatIsStoppedForItsCPULimit still takes a message in time, and is heard in time. Otherwise two pods call the app. All waits together
// leave a callback as young as others believe it.
func TestAPodThatIsStoppedForItsCPULimit(t *testing.T) {
	const stopped = 100 * time.Millisecond // Linux's cpu.max, with the period that Kubernetes sets
	takes := New(Options{}).Patience()
	if heard := DefaultPatience - takes; takes <= stopped || heard <= stopped {
		t.Errorf("a pod has %v to take a message and %v more to be heard, and may be stopped for %v", takes, heard, stopped)
	}
	if asks, body := 2*maxAsked*DefaultPatience, 8*time.Second; body+asks >= maxAge {
		t.Errorf("a body takes up to %v and asking %v, and nobody believes %v", body, asks, maxAge)
	}
}
