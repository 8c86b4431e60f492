// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package http1 serves the part of HTTP/1.1 that routers and WeChat speak to a callback's URL, at less cost than net/http.
//
// It reads a request strictly: GET, HEAD or POST of a path, one Host, at most one Content-Length, no transfer coding, nothing that asks for
// another protocol, no byte that readers disagree about. The first thing on a connection that is anything else, whether wrong or merely
// rare, ends the package's part: the connection is passed on, with every byte from the beginning of that request. net/http judges it then,
// and all that follows it. Therefore the package needs no answer of its own to any fault, and turning it off changes no verdict.
//
// What must hold, and FuzzReadsAsNetHTTP looks for exceptions of: a request that is accepted here, net/http accepts too, and reads as the
// same method, target, host, fields and body; and it sees the same next request behind it.
//
// A goroutine serves a connection. It reads once and writes once for a usual request. While nothing comes it holds no buffer, nor while the
// handler waits for somebody else.
package http1

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a Server.
type Bounds struct {
	// HeadSize and HeadLines of a request, with its first line and the empty one. Bytes and lines.
	HeadSize, HeadLines int
	// BodySize is the longest body that is served here. Bytes.
	BodySize int
	// HeadTime is from the first byte of a request to the last of its head, and from the beginning of a connection to its first byte.
	HeadTime time.Duration
	// ReadTime is from the first byte of a request to the last of its body.
	ReadTime time.Duration
	// WriteTime is how long an answer may take to be written; a second may be added to it.
	WriteTime time.Duration
	// IdleTime is from an answer to the first byte of the next request; a second may be added to it.
	IdleTime time.Duration
}

// Conn is a connection of somebody who wants to know how far its requests are.
type Conn interface {
	net.Conn
	// Raw is the connection as the kernel has it.
	Raw() net.Conn
	// Context is the one that requests of the connection get. It does not end when the client hangs up.
	Context() context.Context
	// Begin is called when a part of a request has come, and Arrive when all of it has. Rest is called when it was answered and nothing
	// follows it yet.
	Begin(at time.Time)
	Arrive()
	Rest()
	// PassOn lets somebody else serve the connection from now on, who reads the text first.
	PassOn(text []byte)
}

// Server serves connections. Its exported fields are set before Serve is called.
type Server struct {
	// Handler answers a request. It reads what it wants of the body, calls Response.Head once, and writes as much as was announced. The
	// context ends when the client is seen to have hung up, which takes some seconds.
	Handler func(ctx context.Context, w *Response, r *Request)
	// Names are the canonical names of the fields that the handler may ask for.
	Names []string
	// Faulted is told where a handler panicked, and nothing of the panic's text, which may quote a request. The connection is closed.
	Faulted func()
	Bounds  Bounds

	buffers sync.Pool // of *[]byte
	closing atomic.Bool

	mu       sync.Mutex
	listener net.Listener
	conns    map[*conn]struct{}
	running  sync.WaitGroup // a goroutine of each connection
}

// Serve serves the connections of a listener, which are of type Conn, until Shutdown is called or the listener fails.
func (s *Server) Serve(listener net.Listener) error {
	s.mu.Lock()
	s.listener, s.conns = listener, map[*conn]struct{}{}
	s.mu.Unlock()
	go s.watch()
	for pause := time.Duration(0); ; {
		accepted, err := listener.Accept()
		if err == nil {
			pause = 0
			s.start(accepted.(Conn))
			continue
		}
		var network net.Error
		if s.closing.Load() || !errors.As(err, &network) || !network.Temporary() { //nolint:staticcheck // as net/http: what else tells that there are too many open files?
			return err
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		time.Sleep(pause)
	}
}

// start serves a connection from now on.
func (s *Server) start(accepted Conn) {
	c := newConn(s, accepted)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		_ = accepted.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.running.Add(1)
	go c.serve()
}

// forget is called by a connection that ends here.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.running.Done()
}

// Shutdown closes the listener and every connection that waits for another request, and returns once all others are answered, or with the
// context's error. A connection on which no request came yet has its HeadTime for the first.
func (s *Server) Shutdown(ctx context.Context) error {
	s.closing.Store(true)
	s.mu.Lock()
	listener := s.listener
	for c := range s.conns {
		c.closeIdle()
	}
	s.mu.Unlock()
	if listener != nil {
		_ = listener.Close() // nothing is lost by it
	}
	ended := make(chan struct{})
	go func() { s.running.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watchInterval is how long a hang-up may go unnoticed.
const watchInterval = time.Second

// watch looks at the connections whose requests have taken long, and ends the context of those that were hung up.
func (s *Server) watch() {
	for ended := false; !ended; {
		time.Sleep(watchInterval)
		before := time.Now().Add(-watchInterval)
		s.mu.Lock()
		for c := range s.conns {
			c.watch(before)
		}
		ended = s.closing.Load() && len(s.conns) == 0
		s.mu.Unlock()
	}
}
