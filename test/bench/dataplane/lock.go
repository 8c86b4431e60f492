//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// lockName is an abstract socket, which belongs to a network namespace as the addresses do, and ends with its process.
const lockName = "@wechatendpoint-bench-dataplane"

// lock waits until no other benchmark runs here: they would listen on the same addresses, and take each other's time.
func lock(ctx context.Context) (unlock func(), err error) {
	var network net.ListenConfig
	for told := false; ; told = true {
		held, err := network.Listen(ctx, "unix", lockName)
		if err == nil {
			return func() { held.Close() }, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("locking: %w", err)
		}
		if !told {
			fmt.Fprintln(os.Stderr, "bench: waiting until another benchmark of this machine has ended")
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}
