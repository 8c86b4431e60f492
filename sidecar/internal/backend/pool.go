// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"time"
)

// Bounds of connections to apps.
const (
	dialTimeout = 2 * time.Second
	tlsTimeout  = 2 * time.Second
	idleTimeout = 30 * time.Second
	maxIdle     = 128 // connections that are kept open and not used
)

// target is whom a connection leads to. One that was made to an app known by one authority is no connection to an app known by
// another, though the address be the same.
type target struct {
	origin   string
	identity Identity
}

// pool keeps connections that an app left open. The zero value is ready for use, and safe for concurrent use.
type pool struct {
	mu   sync.Mutex
	idle []*connection // the last one used at the end
}

// take takes the connection to the target that was used last, and closes those that nobody has used for long. It returns nil where none is kept.
func (p *pool) take(t target) *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(time.Now())
	for i := len(p.idle) - 1; i >= 0; i-- {
		if found := p.idle[i]; found.target == t {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			return found
		}
	}
	return nil
}

// put keeps a connection of which everything was read.
func (p *pool) put(c *connection) {
	c.letGo()
	c.used, c.kept = true, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(c.kept)
	if len(p.idle) == maxIdle {
		p.drop(1)
	}
	p.idle = append(p.idle, c)
}

func (p *pool) expire(now time.Time) {
	n := 0
	for n < len(p.idle) && now.Sub(p.idle[n].kept) > idleTimeout {
		n++
	}
	p.drop(n)
}

// drop closes the n that were used the longest ago.
func (p *pool) drop(n int) {
	if n == 0 {
		return
	}
	for _, old := range p.idle[:n] {
		old.close()
	}
	p.idle = append(p.idle[:0], p.idle[n:]...)
}

// dial connects to the target, by no proxy of the environment.
func dial(ctx context.Context, t target) (*connection, error) {
	scheme, address, _ := strings.Cut(t.origin, "://")
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", withPort(address, scheme))
	if err != nil {
		return nil, err
	}
	if scheme == "https" {
		over, err := secured(ctx, conn, t)
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = over
	}
	return newConnection(conn, t)
}

func secured(ctx context.Context, raw net.Conn, t target) (net.Conn, error) {
	config, err := t.identity.config(t.origin)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, tlsTimeout)
	defer cancel()
	conn := tls.Client(raw, config)
	return conn, conn.HandshakeContext(ctx)
}

func withPort(address, scheme string) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	if scheme == "https" {
		return net.JoinHostPort(strings.Trim(address, "[]"), "443")
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), "80")
}
