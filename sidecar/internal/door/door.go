// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package door bounds what strangers cost before anything is known of them: how many connections there are, and how long the
// head of a request is, in bytes, lines and seconds.
//
// net/http alone bounds the bytes of a head, of which each can be a header field of its own and take a hundred; and it keeps
// every connection that sends nothing for as long as one that is used. Here a head is read to its end before net/http sees a
// byte of it, and where there are too many connections, a stranger's goes: one that was answered, one that has sent nothing yet, or
// one that keeps others waiting for the rest of its request, whichever of these there are most of, and of them the oldest. So
// whoever floods in one of these ways pushes out his own. Only when no stranger waits, one goes that has brought a genuine
// request before. A connection whose request has arrived whole is never closed: somebody works on the answer. One that has only
// just come, or only just begun to send, is not closed either: its request may have arrived, and nobody has had the time to read it.
package door

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"
)

// Bounds of a door.
type Bounds struct {
	// Connections that are open at once.
	Connections int
	// HeadSize and HeadLines of a request, with its first line. Bytes and lines.
	HeadSize, HeadLines int
	// HeadTime from the first byte of a head to its last.
	HeadTime time.Duration
	// Grace is how long a connection is kept at least since it came, and again since it began to send. Who comes later waits.
	Grace time.Duration
}

// Listener is a door. It is safe for concurrent use.
type Listener struct {
	net.Listener
	bounds Bounds

	passed *passed

	mu sync.Mutex
	// Open connections stand in at most one of the lists, the oldest first: strangers' that were answered and send nothing, that have
	// not sent anything yet, and whose request is on its way; and those that have brought a genuine one before and that nobody works
	// for now.
	idle, silent, unfinished, proven list.List

	open   int
	left   *sync.Cond // a connection was closed, or may be
	waits  time.Time  // since when somebody waits for room; zero if nobody does
	closed bool
}

// Listen returns a door before a listener.
func Listen(listener net.Listener, bounds Bounds) *Listener {
	l := &Listener{Listener: listener, bounds: bounds, passed: newPassed()}
	l.left = sync.NewCond(&l.mu)
	return l
}

// Serve serves HTTP through the door. Handlers must call Received.
func (l *Listener) Serve(server *http.Server) error { return l.serve(server, l) }

// ServePassedOn serves the connections that somebody else accepted at the door and passes on. It does not close the door.
func (l *Listener) ServePassedOn(server *http.Server) error { return l.serve(server, l.passed) }

func (l *Listener) serve(server *http.Server, from net.Listener) error {
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, key{}, c) }
	handler := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength < 0 {
			w.Header().Set("Connection", "close") // see endless
		}
		handler.ServeHTTP(w, r)
	})
	server.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			c.(*conn).move(&l.idle)
		}
	}
	return server.Serve(from)
}

type key struct{}

// Received says that a request has arrived as far as it is wanted, though perhaps not all of its body: from now on its connection is
// not closed for others.
func Received(ctx context.Context) {
	if c, ok := ctx.Value(key{}).(*conn); ok {
		c.move(nil)
	}
}

// Proven says that a request was genuine: its connection is closed only after strangers'.
func Proven(ctx context.Context) {
	if c, ok := ctx.Value(key{}).(*conn); ok {
		c.proven.Store(true)
	}
}

// Crowded reports whether three quarters of the connections are taken. Then those had better be closed that have been answered
// and are not needed.
func (l *Listener) Crowded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open > l.bounds.Connections*3/4
}

// Waits returns for how long somebody has waited for a place, or 0. All of them are taken then by requests that have arrived.
func (l *Listener) Waits() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waits.IsZero() {
		return 0
	}
	return time.Since(l.waits)
}

// Accept waits for a connection, and until there is room for it.
func (l *Listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(readBuffer) // what cannot be set is as the system has it
	}
	c := &conn{Conn: raw, door: l}
	if !l.enter(c) {
		_ = raw.Close()
		return nil, net.ErrClosed
	}
	if l.Crowded() {
		runtime.Gosched() // who is inside goes first: of a crowd that is let in at once each would be ahead of the next message
	}
	return c, nil
}

// readBuffer is what the kernel keeps of a request that is not read yet. It counts as the container's memory. Bytes.
const readBuffer = 32 << 10

// enter lets a connection in once there is room. It reports whether the door is still open.
func (l *Listener) enter(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.waits = time.Now(); l.open >= l.bounds.Connections && !l.closed; {
		first, grace := l.first()
		switch {
		case first == nil:
			l.left.Wait()
		case grace > 0:
			timer := time.AfterFunc(grace, l.left.Broadcast)
			l.left.Wait()
			timer.Stop()
		default:
			l.leave(first)
			_ = first.Conn.Close() // its server learns of it from its next read or write
		}
	}
	l.waits = time.Time{}
	if l.closed {
		return false
	}
	l.open++
	c.stand(&l.silent)
	return true
}

// first is the connection that goes first, and for how long it is kept still. It is nil if none may go.
func (l *Listener) first() (*conn, time.Duration) {
	most := &l.idle
	for _, strangers := range []*list.List{&l.silent, &l.unfinished} {
		if strangers.Len() > most.Len() {
			most = strangers
		}
	}
	if most.Len() == 0 {
		most = &l.proven
	}
	front := most.Front()
	if front == nil {
		return nil, 0
	}
	c := front.Value.(*conn)
	if most == &l.silent || most == &l.unfinished {
		return c, time.Until(c.since.Add(l.bounds.Grace))
	}
	return c, 0
}

// leave gives the connection's place to another. It is called once with effect.
func (l *Listener) leave(c *conn) {
	if c.gone {
		return
	}
	c.gone = true
	c.stand(nil)
	l.open--
	l.left.Signal()
}

// Close closes the door. Connections stay open.
func (l *Listener) Close() error {
	l.mu.Lock()
	l.closed = true
	l.left.Broadcast()
	l.mu.Unlock()
	return l.Listener.Close()
}
