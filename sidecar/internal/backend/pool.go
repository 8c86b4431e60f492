// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"syscall"
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

// connection is one to an app. It is used by one call at a time.
type connection struct {
	net.Conn
	target target
	reader *bufio.Reader // nil until an answer comes
	used   bool          // before
	kept   time.Time
}

func (c *connection) close() {
	_ = c.Close() // nothing is lost by it
	c.letGo()
}

// readers are of the size that the head of an answer may have.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, maxHeadSize) }}

// awaitAnswer waits for the first byte of an answer, and holds no buffer meanwhile: most connections wait most of the time.
func (c *connection) awaitAnswer() error {
	if raw, ok := c.Conn.(syscall.Conn); ok {
		if err := awaitByte(raw); err != nil {
			return err
		}
	}
	c.reader = readers.Get().(*bufio.Reader)
	c.reader.Reset(c.Conn)
	return nil
}

// awaitByte waits until there is something to be read, or the connection has ended.
func awaitByte(c syscall.Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool { return !nothingYet(fd) })
}

// nothingYet reports whether a socket is open and has nothing to be read.
func nothingYet(fd uintptr) bool {
	var one [1]byte
	_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err == syscall.EAGAIN || err == syscall.EINTR
}

func (c *connection) letGo() {
	if c.reader != nil {
		c.reader.Reset(nil)
		readers.Put(c.reader)
		c.reader = nil
	}
}

// pool keeps connections that an app left open. The zero value is ready for use, and safe for concurrent use.
type pool struct {
	mu   sync.Mutex
	idle []*connection // the last one used at the end
}

// get returns a kept connection to the target, or makes one.
func (p *pool) get(ctx context.Context, t target) (*connection, error) {
	for kept := p.take(t); kept != nil; kept = p.take(t) {
		if stillOpen(kept.Conn) {
			return kept, nil
		}
		kept.close()
	}
	return dial(ctx, t)
}

// take takes the connection to the target that was used last, and closes those that nobody has used for long.
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
	_ = c.SetDeadline(time.Time{}) // of a closed one: the next use tells
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
	for _, old := range p.idle[:n] {
		old.close()
	}
	p.idle = append(p.idle[:0], p.idle[n:]...)
}

// dial connects to the target, by no proxy of the environment.
func dial(ctx context.Context, t target) (*connection, error) {
	scheme, address, _ := strings.Cut(t.origin, "://")
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	raw, err := dialer.DialContext(ctx, "tcp", withPort(address, scheme))
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: raw, target: t}
	if scheme == "https" {
		if c.Conn, err = secured(ctx, raw, t); err != nil {
			_ = raw.Close()
			return nil, err
		}
	}
	return c, nil
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

// stillOpen looks whether the app has closed a kept connection, or has sent what nobody asked for. It sees what has arrived, and
// waits for nothing.
func stillOpen(c net.Conn) bool {
	if over, ok := c.(*tls.Conn); ok {
		c = over.NetConn()
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return false
	}
	open := false
	err = raw.Read(func(fd uintptr) bool {
		open = nothingYet(fd)
		return true
	})
	return err == nil && open
}
