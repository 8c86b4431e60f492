// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import "time"

// Remembered is how many of so many allowed requests are remembered at once, and whether one that comes again and again is one of them
// at the end.
func Remembered(requests int) (most int, regular bool) {
	now := time.Unix(1_700_000_000, 0)
	g := New(nil, nil, func() time.Time { return now })
	for i := range requests {
		now = now.Add(time.Second)
		g.remember(request{token: [32]byte{byte(i), byte(i >> 8)}})
		g.remember(request{path: "/metrics"})
		most = max(most, len(g.allowed))
	}
	regular, _ = g.remembers(request{path: "/metrics"})
	return most, regular
}
