// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// connection is one to an app. It is used by one call at a time.
type connection struct {
	net.Conn
	raw    syscall.RawConn // nil where TLS is spoken over it
	step   func(fd uintptr) bool
	target target
	made   time.Time
	used   bool // before
	kept   time.Time

	armed time.Time // until when it waits, in both directions; zero where that is not known

	message *piece       // to be written before anything is read; nil for nothing
	written *atomic.Bool // set once it is
	answer  *piece       // what has come; nil for nothing
	fault   error        // of the last step
	reader  *bufio.Reader
}

// piece is the memory for a usual message, and for a usual answer.
type piece struct {
	length int
	text   [pieceSize]byte
}

// pieceSize is twice as long as what WeChat's longest messages and the usual answers have with their heads. Bytes.
const pieceSize = 4 << 10

var pieces = sync.Pool{New: func() any { return new(piece) }}

func newPiece() *piece {
	p := pieces.Get().(*piece)
	p.length = 0
	return p
}

func (p *piece) bytes() []byte { return p.text[:p.length] }

// newConnection is one that was just made.
func newConnection(conn net.Conn, t target) (*connection, error) {
	c := &connection{Conn: conn, target: t, made: time.Now()}
	if over, ok := conn.(syscall.Conn); ok {
		var err error
		if c.raw, err = over.SyscallConn(); err != nil {
			return nil, err
		}
		c.step = c.advanceRaw
	}
	return c, nil
}

func (c *connection) close() {
	_ = c.Close() // nothing is lost by it
	c.letGo()
}

// letGo gives back what the connection needs only while it is used.
func (c *connection) letGo() {
	for _, held := range []**piece{&c.message, &c.answer} {
		if *held != nil {
			pieces.Put(*held)
			*held = nil
		}
	}
	if c.reader != nil {
		c.reader.Reset(nil)
		readers.Put(c.reader)
		c.reader = nil
	}
	c.written, c.fault = nil, nil
}

// arm lets what waits for the app end at the latest then, and not much earlier. An earlier time that was set for another call is left as it
// is, as long as half of the patience is left: to set one is not cheap. What ends too early is to be tried again.
func (c *connection) arm(now, until time.Time) {
	if c.armed.After(until) || c.armed.Sub(now) < until.Sub(now)/2 {
		c.armExactly(until)
	}
}

func (c *connection) armExactly(until time.Time) {
	if !c.armed.Equal(until) {
		_ = c.SetDeadline(until) // of a closed one: the next use tells
		c.armed = until
	}
}

// interrupt wakes whatever waits for the app.
func (c *connection) interrupt() {
	_ = c.SetDeadline(past)
	c.armed = time.Time{}
}

func (c *connection) interruptReading() {
	_ = c.SetReadDeadline(past)
	c.armed = time.Time{}
}

var past = time.Unix(1, 0)

// errNotIdle says that a kept connection was closed by the app, or that something has come over it that nobody asked for. Nothing was written.
var errNotIdle = errors.New("the connection is not idle")

// advance writes the message that is to be written, and waits until more of an answer has come.
func (c *connection) advance() error {
	if c.raw == nil {
		return c.readTLS()
	}
	for {
		c.fault = nil
		if err := c.raw.Read(c.step); err != nil {
			return err
		}
		if c.fault != nil || c.message == nil {
			return c.fault
		}
		// The app does not take all of it at once.
		if _, err := c.Write(c.message.bytes()); err != nil {
			return err
		}
		c.wrote()
	}
}

// advanceRaw does with the socket what can be done now. It reports false where it has to wait for what can be read.
//
// A kept connection is read from before the message is written, and not between that and the waiting. It costs the same, and tells whether
// the connection is idle: what the app has closed by now gets no message.
func (c *connection) advanceRaw(fd uintptr) bool {
	if c.message != nil {
		if c.used && !isIdle(fd) {
			c.fault = errNotIdle
			return true
		}
		n, err := ignoringInterrupts(syscall.Write, fd, c.message.bytes())
		switch {
		case n == c.message.length:
			c.wrote()
		case n <= 0 && !errors.Is(err, syscall.EAGAIN):
			c.fault = err
			return true
		default:
			c.message.length = copy(c.message.text[:], c.message.text[max(n, 0):c.message.length])
			return true
		}
		if c.used { // whatever comes after isIdle wakes it
			return false
		}
	}
	if c.answer == nil {
		c.answer = newPiece()
	}
	n, err := ignoringInterrupts(syscall.Read, fd, c.answer.text[c.answer.length:])
	switch {
	case n > 0:
		c.answer.length += n
	case n == 0:
		c.fault = io.EOF
	case errors.Is(err, syscall.EAGAIN):
		c.forgetEmpty()
		return false
	default:
		c.fault = err
	}
	c.forgetEmpty()
	return true
}

func (c *connection) readTLS() error {
	if c.answer == nil {
		c.answer = newPiece()
	}
	n, err := c.Read(c.answer.text[c.answer.length:])
	c.answer.length += n
	c.forgetEmpty()
	if n > 0 {
		return nil
	}
	return err
}

// wrote says that the message was written.
func (c *connection) wrote() {
	c.written.Store(true)
	pieces.Put(c.message)
	c.message = nil
}

// forgetEmpty holds no memory for an answer while nothing of it has come: most connections wait most of the time.
func (c *connection) forgetEmpty() {
	if c.answer.length == 0 {
		pieces.Put(c.answer)
		c.answer = nil
	}
}

// came is what has come of the answer.
func (c *connection) came() []byte {
	if c.answer == nil {
		return nil
	}
	return c.answer.bytes()
}

func ignoringInterrupts(call func(fd int, p []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		if n, err := call(int(fd), p); !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

// isIdle reports whether a socket is open and has nothing to be read. If it has, that is lost.
func isIdle(fd uintptr) bool {
	var one [1]byte
	_, err := ignoringInterrupts(syscall.Read, fd, one[:])
	return errors.Is(err, syscall.EAGAIN)
}

// stillIdle looks whether the app has closed a kept connection, or has sent what nobody asked for. It sees what has arrived, and
// waits for nothing.
func (c *connection) stillIdle() bool {
	raw := c.raw
	if over, ok := c.Conn.(*tls.Conn); ok {
		var err error
		if raw, err = over.NetConn().(syscall.Conn).SyscallConn(); err != nil {
			return false
		}
	}
	idle := false
	err := raw.Read(func(fd uintptr) bool {
		idle = isIdle(fd)
		return true
	})
	return err == nil && idle
}
