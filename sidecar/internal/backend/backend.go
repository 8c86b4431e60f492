// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package backend brings verified messages to the app and judges what comes back.
//
// Most calls are made by whoever waits for the answer: there is a place and a kept connection, and the app answers in time, in one piece and in
// the usual form. A call that is not like that, or not any more, goes on in a goroutine of its own (pending.go), over the same connection.
package backend

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
)

// Linger is how long a call to the app may go on after WeChat has had its answer. The app may be busy with the message,
// and closing its connection would end its work in many frameworks. ShortLinger is how long it may go on where others wait
// for its place.
const (
	Linger      = time.Minute
	ShortLinger = 10 * time.Second
)

// Answer is the result of a call: Answered, Acknowledged, Unavailable, BadReply, TimedOut or Overloaded.
type Answer struct {
	Outcome outcome.Outcome
	Reply   []byte          // of an Answered call
	Failure outcome.Failure // of an Unavailable one, or a BadReply
	Retries int             // attempts after the first
	Status  int             // of the app's answer; 0 where none came
}

// Call is one message for the app.
type Call struct {
	// Origin is http://host:port or https://host:port.
	Origin   string
	Identity Identity // by which an app that is called by HTTPS is known
	// Target is the path and query of the request line. It is written as it is, so that it must not hold white space or
	// control characters.
	Target string
	// Fields are the header fields as they are written, each ended by CRLF, without Host and those that say where the body ends. They are
	// the caller's again when Deliver returns.
	Fields []byte
	// Body must not change any more.
	Body     []byte
	Deadline time.Time
	// MaxReply bounds a reply. Bytes.
	MaxReply int64
	// Places are what the endpoint whose call it is may have of the places.
	Places *Portion
	// Room is what the reply takes its memory from.
	Room Room
	// Check returns the wechat.ReplyFault of a reply that must not be passed on; nil passes none on, and an answer's status is
	// all that counts.
	Check func(reply []byte) error
}

// Room is what replies take their memory from. It is safe for concurrent use.
type Room interface {
	// Take takes so many bytes more for the reply of an app that has so many already, and waits for them until then. It reports whether it
	// got them.
	Take(app string, piece, bytes int64, until time.Time) bool
	Give(app string, bytes int64)
}

// Client calls apps. It keeps connections open and is safe for concurrent use.
type Client struct {
	// StandardHTTP lets net/http read every answer, the usual ones too. It is set before the first call.
	StandardHTTP bool

	pool    pool
	dialer  dialer
	places  *places
	pending atomic.Int64
}

// New returns a Client that makes at most that many calls at once. One that finds no place waits for it until its
// deadline.
func New(calls int) *Client {
	return &Client{places: newPlaces(calls), dialer: dialer{lookup: net.DefaultResolver.LookupHost}}
}

// NewPortion divides the places between one endpoint more.
func (c *Client) NewPortion() *Portion { return c.places.newPortion() }

// Pending returns how many calls go on, those past their deadline included.
func (c *Client) Pending() int64 { return c.pending.Load() }
