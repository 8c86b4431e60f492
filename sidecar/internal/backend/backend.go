// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package backend brings verified messages to the app and judges what comes back.
package backend

import (
	"context"
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

// The pauses between attempts double from the first to the last.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 500 * time.Millisecond
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
	// Header is without those that say where the body ends, and its names are canonical.
	Header   map[string][]string
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
	pool    pool
	places  *places
	pending atomic.Int64
}

// New returns a Client that makes at most that many calls at once. One that finds no place waits for it until its
// deadline.
func New(calls int) *Client { return &Client{places: newPlaces(calls)} }

// NewPortion divides the places between one endpoint more.
func (c *Client) NewPortion() *Portion { return c.places.newPortion() }

// Pending returns how many calls go on, those past their deadline included.
func (c *Client) Pending() int64 { return c.pending.Load() }

// Delivery is one message on its way to the app. Several repeats of the message may wait for it.
type Delivery struct {
	done         <-chan struct{}
	answer       Answer // once done
	cancel       context.CancelFunc
	wire         wire
	acknowledged atomic.Bool
}

// over is the end of every delivery that is over already.
var over = func() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}()

// Settled is a delivery that has ended with this answer, and holds nothing else.
func Settled(answer Answer) *Delivery { return &Delivery{done: over, answer: answer} }

// Start begins a delivery and returns at once. It does not end when WeChat hangs up: the app had better see the message
// through. Ended is called once it is over, with the answer, and whether WeChat was told success before.
func (c *Client) Start(call Call, ended func(answer Answer, acknowledged bool)) *Delivery {
	ctx, cancel := context.WithDeadline(context.Background(), call.Deadline.Add(Linger))
	done := make(chan struct{})
	d := &Delivery{done: done, cancel: cancel}
	c.pending.Add(1)
	go func() {
		defer c.pending.Add(-1)
		defer cancel()
		unsent := time.AfterFunc(time.Until(call.Deadline), d.giveUp)
		defer unsent.Stop()
		d.answer = c.deliver(ctx, call, d)
		ended(d.answer, d.acknowledged.Load())
		close(done)
	}()
	return d
}

// deliver waits for a place and calls the app.
func (c *Client) deliver(ctx context.Context, call Call, d *Delivery) Answer {
	place := c.places.take(ctx, app{call.Places, call.Origin}, call.Deadline, d.cancel)
	if place == nil {
		return Answer{Outcome: outcome.Overloaded}
	}
	defer c.places.give(place)
	return c.attempts(ctx, call, &d.wire)
}

// Wait returns the answer, or at the deadline what is known then: Acknowledged or TimedOut if the app has the message,
// Unavailable if not, and in that case the delivery ends, or the app would get a message that WeChat is told to send
// again. It returns early when ctx is done, because nobody is there to be answered.
func (d *Delivery) Wait(ctx context.Context, deadline time.Time, acknowledge bool) Answer {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-d.done:
		return d.answer
	case <-ctx.Done():
	case <-timer.C:
	}
	answer := Answer{Outcome: outcome.TimedOut, Retries: int(d.wire.retries.Load())}
	switch {
	case !d.wire.written.Load() && ctx.Err() == nil:
		d.giveUp()
		answer.Outcome, answer.Failure = outcome.Unavailable, d.whyNot()
	case acknowledge && ctx.Err() == nil:
		d.acknowledged.Store(true)
		answer.Outcome = outcome.Acknowledged
	}
	return answer
}

// whyNot is why the app does not have the message of a delivery that was given up.
func (d *Delivery) whyNot() outcome.Failure {
	timer := time.NewTimer(endPatience)
	defer timer.Stop()
	select {
	case <-d.done:
		if d.answer.Outcome == outcome.Unavailable {
			return d.answer.Failure
		}
	case <-timer.C:
	}
	return outcome.Failure{Cause: outcome.Late}
}

// endPatience is how long a delivery that was given up may take to end.
const endPatience = 50 * time.Millisecond

// giveUp ends a delivery that the app does not have yet.
func (d *Delivery) giveUp() {
	if !d.wire.written.Load() {
		d.cancel()
	}
}

// wire is how far the newest attempt came.
type wire struct {
	reused, written, replied atomic.Bool
	retries                  atomic.Int64
}

func (w *wire) reset(reused bool) {
	w.reused.Store(reused)
	w.written.Store(false)
	w.replied.Store(false)
}

// safe reports whether the app cannot have begun to work on the attempt: the request was not written as a whole, or it
// went into an idle connection that the app had closed.
func (w *wire) safe() bool {
	return !w.written.Load() || w.reused.Load() && !w.replied.Load()
}

// attempts calls the app until it took the message or the deadline is too near for another try.
func (c *Client) attempts(ctx context.Context, call Call, w *wire) Answer {
	pause := firstPause
	unavailable := outcome.Failure{Cause: outcome.Late} // where the first attempt is given up
	for retries := 0; ; retries++ {
		w.retries.Store(int64(retries))
		answer, err := c.attempt(ctx, call, w)
		answer.Retries = retries
		if err == nil {
			return answer
		}
		failure := failureOf(err)
		if failure.Cause != outcome.Ended {
			unavailable = failure
		}
		switch {
		case !w.safe():
			return Answer{Outcome: outcome.BadReply, Retries: retries, Failure: failure}
		case ctx.Err() != nil || time.Until(call.Deadline) < pause:
			return Answer{Outcome: outcome.Unavailable, Retries: retries, Failure: unavailable}
		case w.reused.Load():
			continue // with a fresh connection, or another of those that are left
		}
		time.Sleep(pause)
		pause = min(2*pause, lastPause)
	}
}

// attempt makes a call over a kept connection or a new one. An error means that no answer came.
func (c *Client) attempt(ctx context.Context, call Call, w *wire) (Answer, error) {
	w.reset(false)
	conn, err := c.pool.get(ctx, target{call.Origin, call.Identity})
	if err != nil {
		return Answer{}, err
	}
	w.reset(conn.used)
	answer, reusable, err := c.exchange(ctx, conn, call, w)
	if reusable {
		c.pool.put(conn)
	} else {
		conn.close()
	}
	return answer, err
}
