// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ports finds addresses for programs that tests start.
package ports

import (
	"context"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports from first to before end are none that Linux or macOS gives to whoever connects, or asks for any port: between the look for a free one
// and the start of a program, no other process gets it by chance.
const (
	first = 10_000
	end   = 30_000
	tries = 100
)

// Free returns an address of the loopback interface, as host:port, on which nobody listens now. Where it finds none, the program that listens
// there says what is wrong with it.
func Free() string {
	var address string
	for range tries {
		address = net.JoinHostPort("127.0.0.1", strconv.Itoa(first+rand.IntN(end-first))) //nolint:gosec // no secret
		listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
		if err == nil {
			_ = listener.Close()
			break
		}
	}
	return address
}
