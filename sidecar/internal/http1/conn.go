// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/syntax"
)

// Request is one that a Handler answers.
type Request struct {
	// Method is GET, HEAD or POST.
	Method string
	// Host, Path and RawQuery are as they were sent.
	Host, Path, RawQuery string
	// Header has the fields of Server.Names, each with one value; nil if there is none.
	Header map[string][]string
	// Length of the body, 0 without one. Bytes.
	Length int64
	// Body ends when the Handler returns.
	Body io.Reader
	// Arrived is when the head was whole.
	Arrived time.Time
}

// conn is a connection that is served here. One goroutine serves it; where others use a field too, the field says so.
type conn struct {
	Conn
	server *Server
	raw    net.Conn
	socket syscall.RawConn // nil where there is none
	try    func(fd uintptr) bool

	since  atomic.Int64 // when the request came that is worked on, in nanoseconds, or one of the constants below; others use it too
	ctx    context.Context
	hungUp context.CancelFunc // others use it too

	buffer     *[]byte // as long as a head may be; nil while nothing is in it
	start, end int     // of what has come and was not taken
	failed     error   // of tryRead

	readBy, writeBy time.Time // the deadlines that are set
	began           time.Time // when the first byte of the request came
	begun           bool      // the owner knows that a part of it has come
	served          bool      // a request, before this one
	afterPost       bool
	passed          int // line ends before the request
	head            head
	host            string // of the request before, which the next one's mostly is
	request         Request
	response        Response
	left            int // what is still to be taken of the body
}

// What since is while no request is worked on.
const (
	isNew    = -1 // no byte has come yet
	isIdle   = -2
	isClosed = -3 // by Shutdown
)

func newConn(s *Server, accepted Conn) *conn {
	c := &conn{Conn: accepted, server: s, raw: accepted.Raw()}
	c.since.Store(isNew)
	c.ctx, c.hungUp = context.WithCancel(accepted.Context())
	if kernel, ok := c.raw.(syscall.Conn); ok {
		if socket, err := kernel.SyscallConn(); err == nil {
			c.socket, c.try = socket, c.tryRead
		}
	}
	return c
}

// serve serves requests until the connection ends, or is passed on.
func (c *conn) serve() {
	defer c.close()
	c.setReadBy(time.Now().Add(c.server.Bounds.HeadTime))
	for c.begin() && c.readHead() && c.answer() {
		continue
	}
}

// close ends what is served here.
func (c *conn) close() {
	if recover() != nil {
		c.server.Faulted()
	}
	c.release()
	c.hungUp()
	if c.Conn != nil {
		_ = c.Close() // nothing is lost by it
	}
	c.server.forget(c)
}

// closeIdle closes the connection if it waits for another request. Anybody may call it.
func (c *conn) closeIdle() {
	if c.since.CompareAndSwap(isIdle, isClosed) {
		_ = c.Close() // nothing is lost by it
	}
}

// passOn ends what is served here, and nothing else.
func (c *conn) passOn() {
	c.tellBegun()
	next, text := c.Conn, bytes.Clone(c.pending())
	c.Conn = nil
	next.PassOn(text)
}

// tellBegun tells the owner that a part of the request has come, and that more is awaited.
func (c *conn) tellBegun() {
	if !c.begun {
		c.begun = true
		c.Begin(c.began)
	}
}

// peeked is how many bytes of a request behind another one net/http waits for, without an answer if they do not come, and among which
// it passes over line ends behind a POST.
const peeked = 4

// begin waits for the first byte of a request. It reports false if none comes.
func (c *conn) begin() bool {
	for c.passed = 0; ; {
		if c.start == c.end && c.read() != nil {
			return false
		}
		for c.afterPost && c.passed < peeked && bytes.IndexAny(c.pending(), "\r\n") == 0 {
			c.start, c.passed = c.start+1, c.passed+1
		}
		if c.start < c.end {
			break
		}
	}
	c.began, c.begun = time.Now(), false
	was := c.since.Load()
	return was != isClosed && c.since.CompareAndSwap(was, c.began.UnixNano())
}

// readHead reads the head of a request that is served here. Otherwise it hands the connection over and reports false.
func (c *conn) readHead() bool {
	arrived := c.began
	for {
		state := c.head.read(c.pending(), c.server.Names, c.server.Bounds)
		switch {
		case state == syntax.Whole:
			c.take(arrived)
			return true
		case (state == syntax.Partial || c.short()) && c.readLine() == nil:
			arrived = time.Now()
		default:
			if !c.short() {
				c.passOn()
			}
			return false
		}
	}
}

// short reports whether so little has come that net/http would neither judge nor answer it.
func (c *conn) short() bool { return c.served && c.passed+c.end-c.start < peeked }

// readLine reads more of a head, until it is worth to look at it again: not for each byte.
func (c *conn) readLine() error {
	c.tellBegun()
	c.setReadBy(c.began.Add(c.server.Bounds.HeadTime))
	for {
		before := c.end - c.start
		if err := c.read(); err != nil {
			return err
		}
		if came := c.pending()[before:]; before < peeked || bytes.IndexByte(came, '\n') >= 0 {
			return nil
		}
	}
}

// take makes a request of the head, which has no part of the buffer.
func (c *conn) take(arrived time.Time) {
	h := &c.head
	if string(h.host) != c.host {
		c.host = string(h.host)
	}
	target := string(h.target)
	c.request = Request{
		Method: h.method, Host: c.host, Path: target[:h.path], RawQuery: strings.TrimPrefix(target[h.path:], "?"),
		Length: int64(h.Length), Body: (*body)(c), Arrived: arrived,
	}
	for _, f := range h.fields {
		if c.request.Header == nil {
			c.request.Header = map[string][]string{}
		}
		c.request.Header[f.name] = []string{string(f.value)}
	}
	c.start += h.size
	if c.left = h.Length; c.left > c.end-c.start {
		c.tellBegun()
	} else {
		c.Arrive()
	}
	c.releaseEmpty()
}

// answer lets the handler answer, and reports whether the connection may bring another request.
func (c *conn) answer() bool {
	c.response = Response{conn: c}
	c.server.Handler(c.ctx, &c.response, &c.request)
	if !c.response.finish() {
		return false
	}
	c.served, c.afterPost = true, c.head.method == "POST"
	c.request, c.response.conn = Request{}, nil
	c.releaseEmpty()
	c.Rest()
	c.since.Store(isIdle)
	if c.server.closing.Load() {
		return false
	}
	if now, idle := c.response.now, c.server.Bounds.IdleTime; !within(c.readBy, now, idle) {
		c.setReadBy(now.Add(idle + slack))
	}
	return true
}

// slack is what may be added to a time, for which a deadline is not set anew with each request.
const slack = time.Second

// within reports whether a deadline is as long from now as it should be.
func within(deadline, now time.Time, wanted time.Duration) bool {
	left := deadline.Sub(now)
	return left >= wanted && left <= wanted+slack
}

func (c *conn) setReadBy(deadline time.Time) {
	if !deadline.Equal(c.readBy) {
		c.readBy = deadline
		_ = c.raw.SetReadDeadline(deadline) // of a closed connection: the read tells
	}
}

// body is the body of the request that is answered.
type body conn

// Read reads from what has come, and then from the connection, up to the announced length.
func (b *body) Read(p []byte) (n int, err error) {
	c := (*conn)(b)
	if c.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(len(p), c.left)]
	if c.start < c.end {
		n = copy(p, c.pending())
		c.start += n
		c.releaseEmpty()
	} else {
		c.setReadBy(c.began.Add(c.server.Bounds.ReadTime))
		if n, err = c.raw.Read(p); n == 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if n == c.left {
			c.Arrive()
		}
	}
	c.left -= n
	return n, err
}

// drain takes what the handler left of the body, and reports whether there is nothing more of it.
func (c *conn) drain() bool {
	for {
		taken := min(c.left, c.end-c.start)
		c.start, c.left = c.start+taken, c.left-taken
		if c.left == 0 {
			return true
		}
		c.setReadBy(c.began.Add(c.server.Bounds.ReadTime))
		if c.read() != nil {
			return false
		}
	}
}

// pending is what has come and was not taken.
func (c *conn) pending() []byte {
	if c.buffer == nil {
		return nil
	}
	return (*c.buffer)[c.start:c.end]
}

// errFull says that there is no room for more of a head.
var errFull = errors.New("the head is too long")

// read waits for more, and adds it to what is pending. It holds no buffer meanwhile if nothing is.
func (c *conn) read() error {
	c.releaseEmpty()
	if c.buffer != nil {
		c.start, c.end = 0, copy(*c.buffer, c.pending())
		if c.end == len(*c.buffer) {
			return errFull
		}
	}
	if c.socket != nil {
		if err := c.socket.Read(c.try); err != nil {
			return err
		}
		return c.failed
	}
	n, err := c.raw.Read(c.room())
	if c.end += n; n > 0 {
		return nil
	}
	return err
}

// tryRead reads what has come, and reports whether anything has, or the connection has ended.
func (c *conn) tryRead(socket uintptr) bool {
	var n int
	n, c.failed = syscall.Read(int(socket), c.room())
	switch {
	case c.failed == nil && n == 0:
		c.failed = io.EOF
	case c.failed == nil:
		c.end += n
	case c.failed == syscall.EINTR: //nolint:errorlint // as the kernel said it
		return c.tryRead(socket)
	case c.failed == syscall.EAGAIN: //nolint:errorlint // likewise
		c.failed = nil
		c.releaseEmpty()
		return false
	}
	return true
}

// room is where to read to.
func (c *conn) room() []byte {
	if c.buffer == nil {
		if c.buffer, _ = c.server.buffers.Get().(*[]byte); c.buffer == nil {
			c.buffer = new(make([]byte, c.server.Bounds.HeadSize))
		}
	}
	return (*c.buffer)[c.end:]
}

// releaseEmpty gives the buffer back if nothing is pending.
func (c *conn) releaseEmpty() {
	if c.start == c.end {
		c.release()
	}
}

func (c *conn) release() {
	if c.buffer != nil {
		c.server.buffers.Put(c.buffer)
	}
	c.buffer, c.start, c.end = nil, 0, 0
}

// watch ends the context if the client has hung up on a request that came before a time. Anybody may call it.
func (c *conn) watch(before time.Time) {
	if since := c.since.Load(); since < 0 || since > before.UnixNano() || c.socket == nil {
		return
	}
	_ = c.socket.Control(func(socket uintptr) { // of a closed connection: it ends by itself
		var one [1]byte
		n, _, err := syscall.Recvfrom(int(socket), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if n == 0 && err == nil || errors.Is(err, syscall.ECONNRESET) {
			c.hungUp()
		}
	})
}
