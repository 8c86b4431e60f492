// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTheLoopbackIsNoPodsOwn: what is signed for it would be good for every pod.
func TestTheLoopbackIsNoPodsOwn(t *testing.T) {
	four, six, pod := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1"), netip.MustParseAddr("192.0.2.1")
	for name, row := range map[string]struct{ own, want []netip.Addr }{
		"a pod":                    {[]netip.Addr{four, pod, six}, []netip.Addr{pod}},
		"a process on a computer":  {[]netip.Addr{four}, []netip.Addr{four}},
		"one that has none at all": {nil, nil},
	} {
		if diff := cmp.Diff(row.want, addressesOf(row.own), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
