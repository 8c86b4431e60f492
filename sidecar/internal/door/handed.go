// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package door

import (
	"net"
	"sync"
)

// handed is a listener of connections that were accepted before.
type handed struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func newHanded() *handed { return &handed{conns: make(chan net.Conn), closed: make(chan struct{})} }

// give waits until the connection is taken, or closes it if none is any more.
func (h *handed) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.closed:
		_ = c.Close() // nobody serves it
	}
}

// Accept waits for a connection.
func (h *handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close lets no connection be taken any more.
func (h *handed) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr is none: the connections have addresses.
func (h *handed) Addr() net.Addr { return &net.TCPAddr{} }
