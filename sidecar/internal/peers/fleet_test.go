// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
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
