// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"net"
	"testing"
)

// TestNobodyElseGetsTheAddress: it can be listened on after many connections came and went, and no two are the same as long as somebody listens.
func TestNobodyElseGetsTheAddress(t *testing.T) {
	for range 100 {
		address := Free()
		for range 10 {
			any, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer any.Close()
			if any.Addr().String() == address {
				t.Errorf("the system gives %s to whoever asks for any", address)
			}
		}
		mine, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer mine.Close()
	}
}
