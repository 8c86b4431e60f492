// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package door

import (
	"context"
	"net"
	"syscall"
)

// Gone reports whether the client of a request has hung up already. It sees what has arrived, also what nobody has read yet, and waits
// for nothing.
func Gone(ctx context.Context) bool {
	c, ok := ctx.Value(key{}).(*conn)
	if ctx.Err() != nil || !ok {
		return ctx.Err() != nil
	}
	return hungUp(c.Conn)
}

// hungUp asks the kernel, past whoever is reading.
func hungUp(c net.Conn) bool {
	raw, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	control, err := raw.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = control.Control(func(fd uintptr) {
		var one [1]byte
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		gone = n == 0 && err == nil || err != nil && err != syscall.EAGAIN && err != syscall.EINTR
	})
	return err != nil || gone
}
