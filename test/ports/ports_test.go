// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"fmt"
	"net"
	"os"
	"testing"
)

// TestTheSystemGivesNoneOfThese to whoever connects, or asks for any port.
func TestTheSystemGivesNoneOfThese(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		t.Skip("only Linux says which it gives")
	}
	var lowest, highest int
	if _, err := fmt.Sscan(string(text), &lowest, &highest); err != nil {
		t.Fatal(err)
	}
	if first <= highest && lowest < end {
		t.Errorf("this computer gives ports %d to %d to whoever connects, and tests start programs on %d to %d", lowest, highest, first, end-1)
	}
}

// TestAFreeAddressIsFree, also while the ones before are taken.
func TestAFreeAddressIsFree(t *testing.T) {
	for range 50 {
		listener, err := net.Listen("tcp", Free())
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
	}
}
