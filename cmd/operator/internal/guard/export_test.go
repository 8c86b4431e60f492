// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import "time"

// Remembered is how many of so many allowed requests are remembered at once.
func Remembered(requests int) int {
	g, most := New(nil, nil, time.Now), 0
	for i := range requests {
		g.remember(request{token: [32]byte{byte(i), byte(i >> 8)}})
		most = max(most, len(g.allowed))
	}
	return most
}
