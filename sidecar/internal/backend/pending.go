// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
)

// The pauses between attempts double from the first to the last.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 500 * time.Millisecond
)

// pending is a call that goes on. One goroutine carries it out at a time.
type pending struct {
	client   *Client
	delivery *Delivery
	call     Call
	ended    func(answer Answer, acknowledged bool)
	place    place
	placed   bool // it has the place

	// Of the newest attempt.
	reused  bool // its connection was used before
	replied bool // the app has begun to answer

	anew    bool            // the next attempt needs a connection of its own: one over a kept connection has failed
	pause   time.Duration   // before the next attempt
	failure outcome.Failure // why the app was not reached by the last one
	over    bool

	mu     sync.Mutex
	conn   *connection        // of the attempt that goes on
	ending bool               // nobody needs the call any more
	left   bool               // nobody waits for the answer in whose goroutine the call is made
	cancel context.CancelFunc // ends what waits without a connection; nil for nothing
}

// Deliver delivers a message and waits for it as the delivery's Wait does. It does not end when WeChat hangs up: the app had better see the
// message through. Ended is called once it is over, with the answer, and whether WeChat was told success before; perhaps after Deliver has
// returned.
func (c *Client) Deliver(ctx context.Context, d *Delivery, call *Call, patience Patience, ended func(answer Answer, acknowledged bool)) Answer {
	p := &pending{client: c, delivery: d, call: *call, ended: ended, pause: firstPause, failure: outcome.Failure{Cause: outcome.Late}}
	p.place = place{app: app{call.Places, call.Origin}, expires: call.Deadline, end: p.end}
	c.pending.Add(1)
	d.begin(p)
	if answer, over := p.atOnce(ctx, patience.Until); over {
		return answer
	}
	p.call.Fields = slices.Clone(p.call.Fields)
	go p.goOn()
	return d.Wait(ctx, patience)
}

// atOnce makes the call while whoever asked for it waits. It reports false where the call must go on without: there is no place or no
// connection yet, the answer has not come until then or is not of the usual form, or nobody waits for it any more.
func (p *pending) atOnce(ctx context.Context, until time.Time) (answer Answer, over bool) {
	goesOn := false
	defer func() {
		if !goesOn && !p.over { // it panicked, and others may wait for it
			p.finish(Answer{Outcome: outcome.Unavailable, Failure: outcome.Failure{Cause: outcome.Ended}})
		}
	}()
	if p.placed = p.client.places.takeFree(&p.place); !p.placed {
		goesOn = true
		return Answer{}, false
	}
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, p.leave)()
	}
	answer, err := p.overKept(until, true)
	if err == nil {
		return p.finish(answer), true
	}
	if !errors.Is(err, errLater) {
		if answer, over = p.failed(err); over {
			return p.finish(answer), true
		}
	}
	goesOn = true
	return Answer{}, false
}

// goOn carries the call out to its end.
func (p *pending) goOn() {
	if !p.delivery.written.Load() {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		defer time.AfterFunc(time.Until(p.call.Deadline), p.delivery.giveUp).Stop()
		p.mu.Lock()
		if p.cancel = cancel; p.ending {
			cancel()
		}
		p.mu.Unlock()
		if !p.placed {
			p.placed = p.client.places.take(ctx, &p.place)
		}
		if !p.placed {
			p.finish(Answer{Outcome: outcome.Overloaded})
			return
		}
		p.finish(p.attempts(ctx))
		return
	}
	p.finish(p.attempts(context.Background()))
}

// finish ends the call.
func (p *pending) finish(answer Answer) Answer {
	p.over = true
	answer.Retries = int(p.delivery.retries.Load())
	if p.conn != nil {
		p.release().close()
	}
	if p.placed {
		p.client.places.give(&p.place)
	}
	p.ended(answer, p.delivery.conclude(answer))
	p.client.pending.Add(-1) // whoever is told sees no call that goes on
	p.delivery.tell()
	return answer
}

// end ends the call where it is.
func (p *pending) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ending = true
	if p.cancel != nil {
		p.cancel()
	}
	if p.conn != nil {
		p.conn.interrupt()
	}
}

// leave says that nobody waits for the answer any more.
func (p *pending) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = true
	if p.conn != nil {
		p.conn.interruptReading()
	}
}

// attempts calls the app until it took the message or the deadline is too near for another try.
func (p *pending) attempts(ctx context.Context) Answer {
	for {
		answer, err := p.attempt(ctx)
		if err == nil {
			return answer
		}
		if answer, over := p.failed(err); over {
			return answer
		}
	}
}

// failed says what becomes of the call after an attempt that brought no answer. It reports false where another one is worth it, and waits
// before.
func (p *pending) failed(err error) (answer Answer, over bool) {
	failure := failureOf(err)
	if failure.Cause != outcome.Ended {
		p.failure = failure
	}
	if isDead(err) { // and so are the other connections to it
		p.client.pool.forget(p.target())
	}
	p.mu.Lock()
	ending := p.ending
	p.mu.Unlock()
	switch {
	case !p.safe():
		return Answer{Outcome: outcome.BadReply, Failure: failure}, true
	case ending || time.Until(p.call.Deadline) < p.pause:
		return Answer{Outcome: outcome.Unavailable, Failure: p.failure}, true
	case p.reused:
		p.anew = true
	default:
		time.Sleep(p.pause)
		p.pause = min(2*p.pause, lastPause)
	}
	p.delivery.retries.Add(1)
	return Answer{}, false
}

// safe reports whether the app cannot have begun to work on the attempt: the request was not written as a whole, or it
// went into an idle connection that the app had closed.
func (p *pending) safe() bool {
	return !p.delivery.written.Load() || p.reused && !p.replied
}

// attempt makes a call over the connection that it has, a kept one or a new one. An error means that no answer came.
func (p *pending) attempt(ctx context.Context) (Answer, error) {
	until := p.call.Deadline.Add(Linger)
	if p.conn != nil { // it began while somebody waited
		return p.exchange(until, false)
	}
	if !p.anew {
		if answer, err := p.overKept(until, false); !errors.Is(err, errLater) {
			return answer, err
		}
	}
	p.reused, p.replied = false, false
	p.delivery.written.Store(false)
	conn, err := p.client.dialer.dial(ctx, p.target())
	if err != nil {
		return Answer{}, err
	}
	p.use(conn)
	return p.exchange(until, false)
}

// overKept makes the call over a kept connection. It returns errLater where there is none, and as exchange does.
func (p *pending) overKept(until time.Time, inPerson bool) (Answer, error) {
	for {
		conn := p.client.pool.take(p.target())
		if conn == nil {
			return Answer{}, errLater
		}
		p.use(conn)
		if answer, err := p.exchange(until, inPerson); !errors.Is(err, errNotIdle) {
			return answer, err
		}
	}
}

func (p *pending) target() target { return target{p.call.Origin, p.call.Identity} }

// use begins an attempt over a connection.
func (p *pending) use(conn *connection) {
	p.reused, p.replied = conn.used, false
	p.delivery.written.Store(false)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn = conn
}

// release ends the use of the connection and returns it.
func (p *pending) release() *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	conn := p.conn
	p.conn = nil
	return conn
}
