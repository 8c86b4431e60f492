// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package door

import (
	"container/list"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// conn is a connection that hands a request's head over only when it is whole. One goroutine reads it at a time, as net/http does.
type conn struct {
	net.Conn
	door *Listener

	// Guarded by the door: where the connection stands and since when, and whether it was closed or had to go.
	list  *list.List
	place *list.Element
	since time.Time
	gone  bool

	proven atomic.Bool // it has brought a genuine request

	// Of the one who reads.
	buffer  []byte // what has come and was not read
	whole   int    // how much of it is the rest of a head that is whole, and of its body
	head    head
	began   time.Time // when the first byte of the head came
	body    int64     // what is still to come of a body; endless in chunks
	failure error     // ends the connection once the buffer was read
}

// endless is the length of a body in chunks. Where it ends is known to net/http alone, which closes such a connection after the
// answer: what follows would come to it past the door.
const endless = int64(1) << 62

// Read passes on what is whole, or waits for it.
func (c *conn) Read(p []byte) (int, error) {
	for c.whole == 0 {
		if c.body > 0 {
			return c.readBody(p)
		}
		if c.failure != nil {
			return 0, c.failure
		}
		if err := c.readHead(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.buffer[:c.whole])
	c.buffer, c.whole = c.buffer[n:], c.whole-n
	if len(c.buffer) == 0 {
		c.buffer = nil
	}
	return n, nil
}

// readBody passes on what comes of a body, and no byte of what follows it.
func (c *conn) readBody(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.body)])
	c.body -= int64(n)
	c.reached()
	return n, err
}

// reached takes note of a request if it is there with all its body.
func (c *conn) reached() {
	if c.body == 0 {
		c.Arrive()
	}
}

// Arrive takes note that a request is there with all its body: nobody waits for the client any more.
func (c *conn) Arrive() { c.move(nil) }

// Rest takes note that a request was answered, and that the next one is waited for.
func (c *conn) Rest() { c.move(&c.door.idle) }

// Raw is the connection without the door: whoever reads it bounds the heads, and calls Begin, Arrive and Rest.
func (c *conn) Raw() net.Conn { return c.Conn }

// PassOn lets the door's server for such connections serve this one from now on, beginning with a text that was read by Raw.
func (c *conn) PassOn(text []byte) {
	c.buffer = text
	c.door.passed.give(c)
}

// Context is for the requests of the connection: Received and Proven know it by it.
func (c *conn) Context() context.Context { return &connContext{context.Background(), c} }

// connContext is a context with a connection.
type connContext struct {
	context.Context
	conn *conn
}

// Value returns the connection.
func (c *connContext) Value(of any) any {
	if of == (key{}) {
		return c.conn
	}
	return nil
}

// readHead reads on until the head is whole. What has come of it is kept when the read is interrupted.
func (c *conn) readHead() error {
	for {
		taken := c.head.take(c.buffer)
		if c.head.lines > c.door.bounds.HeadLines || !c.head.whole && len(c.buffer) >= c.door.bounds.HeadSize {
			c.refuseHead()
			return c.failure
		}
		if c.head.whole {
			c.body = c.head.length
			c.whole = taken + int(min(c.body, int64(len(c.buffer)-taken)))
			c.body -= int64(c.whole - taken)
			c.head = head{}
			c.reached()
			return nil
		}
		if len(c.buffer) == cap(c.buffer) {
			grown := make([]byte, len(c.buffer), min(max(firstBuffer, 2*cap(c.buffer)), c.door.bounds.HeadSize))
			copy(grown, c.buffer)
			c.buffer = grown
		}
		if len(c.buffer) > 0 {
			_ = c.SetReadDeadline(c.began.Add(c.door.bounds.HeadTime)) // of a closed connection: the read tells
		}
		n, err := c.Conn.Read(c.buffer[len(c.buffer):cap(c.buffer)])
		if n > 0 && len(c.buffer) == 0 {
			c.Begin(time.Now())
		}
		c.buffer = c.buffer[:len(c.buffer)+n]
		if err != nil && n == 0 {
			return c.broken(err)
		}
	}
}

// firstBuffer holds most heads. Bytes.
const firstBuffer = 1 << 10

// broken passes on what came of a head that will not become whole, for net/http to judge; a time that is up ends nothing, because
// net/http interrupts its own reads that way.
func (c *conn) broken(err error) error {
	var network net.Error
	if errors.As(err, &network) && network.Timeout() || len(c.buffer) == 0 {
		return err
	}
	c.whole, c.failure = len(c.buffer), err
	return nil
}

// Begin takes note that the first byte of a request has come.
func (c *conn) Begin(at time.Time) {
	c.began = at
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	if c.list == &c.door.idle || c.list == &c.door.silent {
		c.stand(&c.door.unfinished)
	}
}

// refuseHead says that a head is too much, as net/http does, and reads no further.
func (c *conn) refuseHead() {
	c.failure = io.EOF
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(c.Conn, "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // before net/http closes the rest
	}
}

// Close closes the connection and gives its place to another.
func (c *conn) Close() error {
	c.door.mu.Lock()
	c.door.leave(c)
	c.door.mu.Unlock()
	return c.Conn.Close()
}

// move puts the connection at the end of a list; nil takes it out of both.
func (c *conn) move(to *list.List) {
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	if c.gone {
		return
	}
	c.stand(to)
	if to != nil {
		c.door.left.Signal()
	}
}

func (c *conn) stand(to *list.List) {
	if c.list != nil {
		c.list.Remove(c.place)
	}
	if to != nil && c.proven.Load() {
		to = &c.door.proven
	}
	if c.list = to; to != nil {
		c.place, c.since = to.PushBack(c), time.Now()
	}
}
