// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How long a connection may take.
const (
	// dialTimeout is for all addresses of an app together, the question for them included.
	dialTimeout = 2 * time.Second
	// addressTimeout is for one address, where there are others.
	addressTimeout = 300 * time.Millisecond
	tlsTimeout     = 2 * time.Second
	// deadTimeout is how long an app's machine may leave unconfirmed what was sent to it. An app that works for long is not meant: its kernel
	// confirms.
	deadTimeout = 2 * time.Second
	// deadFor is how long an address that could not be connected to is tried after the others.
	deadFor = 10 * time.Second
)

// dialer connects to apps. It asks for the addresses of a name each time: a Service without a cluster IP has the addresses of its pods. It is
// safe for concurrent use.
type dialer struct {
	lookup func(ctx context.Context, host string) (addresses []string, err error)

	mu   sync.Mutex
	dead map[string]time.Time // an address with its port, until when it is tried after the others
}

// maxDead is how many dead addresses are remembered.
const maxDead = 256

// dial connects to the target, by no proxy of the environment.
func (d *dialer) dial(ctx context.Context, t target) (*connection, error) {
	scheme, address, _ := strings.Cut(t.origin, "://")
	conn, err := d.connect(ctx, withPort(address, scheme))
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

// connect connects to the first address of a name that takes the connection.
func (d *dialer) connect(ctx context.Context, address string) (net.Conn, error) {
	within, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addresses, err := d.lookup(within, host)
	if err != nil {
		return nil, err
	}
	for i := range addresses {
		addresses[i] = net.JoinHostPort(addresses[i], port)
	}
	var failed []error
	for i, address := range d.order(addresses, time.Now()) {
		one := net.Dialer{KeepAlive: 15 * time.Second, ControlContext: endWhenDead}
		if i < len(addresses)-1 {
			one.Timeout = addressTimeout
		}
		conn, err := one.DialContext(within, "tcp", address)
		if err == nil {
			return conn, nil
		}
		failed = append(failed, err)
		if within.Err() != nil { // that is not the address's fault
			break
		}
		d.noteDead(address, time.Now())
	}
	return nil, errors.Join(failed...)
}

// order moves the dead addresses behind the others.
func (d *dialer) order(addresses []string, now time.Time) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var alive, dead []string
	for _, address := range addresses {
		if now.Before(d.dead[address]) {
			dead = append(dead, address)
		} else {
			alive = append(alive, address)
		}
	}
	return append(alive, dead...)
}

// noteDead remembers for a while that an address could not be connected to.
func (d *dialer) noteDead(address string, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead == nil || len(d.dead) == maxDead {
		d.dead = map[string]time.Time{}
	}
	d.dead[address] = now.Add(deadFor)
}

// userTimeout is Linux's TCP_USER_TIMEOUT.
const userTimeout = 18

// endWhenDead lets the kernel end a connection whose other side does not confirm for deadTimeout what was sent.
func endWhenDead(_ context.Context, _, _ string, raw syscall.RawConn) error {
	if runtime.GOOS != "linux" {
		return nil
	}
	return raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, userTimeout, int(deadTimeout.Milliseconds())) // without it the deadline ends the call
	})
}

// isDead reports whether a connection ended because nothing of the other side is there any more.
func isDead(err error) bool {
	return errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
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
