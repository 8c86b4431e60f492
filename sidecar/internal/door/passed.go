// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package door

import (
	"net"
	"sync"
)

// passed is a listener of connections that somebody else accepted at the door and passes on.
type passed struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func newPassed() *passed { return &passed{conns: make(chan net.Conn), closed: make(chan struct{})} }

// give waits until the connection is taken, or closes it if none is any more.
func (h *passed) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.closed:
		_ = c.Close() // nobody serves it
	}
}

// Accept waits for a connection.
func (h *passed) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close lets no connection be taken any more.
func (h *passed) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr is none: the connections have addresses.
func (h *passed) Addr() net.Addr { return &net.TCPAddr{} }
