// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Delivery is one message on its way to the app, and then what became of it. Several repeats of the message may wait for it. The zero value
// has not begun.
type Delivery struct {
	// How far the newest attempt came, and how many there were before.
	written atomic.Bool
	retries atomic.Int64

	mu           sync.Mutex
	going        *pending // nil before it begins and once the answer is known
	gaveUp       bool     // somebody did, before or since it began
	acknowledged bool     // WeChat was told success
	known        bool     // the answer is
	answer       Answer
	over         bool          // and everything else was done that its end brings
	done         chan struct{} // closed then; nil as long as nobody waits
}

// These are what became of most messages.
var (
	succeeded = newSettled([]byte(wechat.Success))
	silent    = newSettled(nil)
)

// Settled returns a delivery that was answered with a reply. Those with the usual replies are one and the same.
func Settled(reply []byte) *Delivery {
	switch string(reply) {
	case wechat.Success:
		return succeeded
	case "":
		return silent
	}
	return newSettled(reply)
}

func newSettled(reply []byte) *Delivery {
	return &Delivery{known: true, over: true, answer: Answer{Outcome: outcome.Answered, Reply: reply}}
}

// Patience is how long somebody waits for a delivery.
type Patience struct {
	Until time.Time
	// Acknowledge tells success then, if the app has the message.
	Acknowledge bool
}

// Wait returns the answer, or at the end of the patience what is known then: Acknowledged or TimedOut if the app has the message,
// Unavailable if not, and in that case the delivery ends, or the app would get a message that WeChat is told to send
// again. It returns early when ctx is done, because nobody is there to be answered.
func (d *Delivery) Wait(ctx context.Context, patience Patience) Answer {
	end := d.end()
	if end == over {
		return d.answer
	}
	timer := time.NewTimer(time.Until(patience.Until))
	defer timer.Stop()
	select {
	case <-end:
		return d.answer
	case <-ctx.Done():
	case <-timer.C:
	}
	return d.late(ctx.Err() == nil, patience.Acknowledge)
}

// late is what is known of a delivery for which somebody waits no more.
func (d *Delivery) late(heard, acknowledge bool) Answer {
	d.mu.Lock()
	known, written := d.known, d.written.Load()
	if !known && written && heard && acknowledge {
		d.acknowledged = true
	}
	d.mu.Unlock()
	answer := Answer{Outcome: outcome.TimedOut, Retries: int(d.retries.Load())}
	switch {
	case known:
		return d.answer
	case !written && heard:
		d.giveUp()
		answer.Outcome, answer.Failure = outcome.Unavailable, d.whyNot()
	case acknowledge && heard:
		answer.Outcome = outcome.Acknowledged
	}
	return answer
}

// whyNot is why the app does not have the message of a delivery that was given up.
func (d *Delivery) whyNot() outcome.Failure {
	timer := time.NewTimer(endPatience)
	defer timer.Stop()
	select {
	case <-d.end():
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
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.written.Load() || d.known {
		return
	}
	d.gaveUp = true
	if d.going != nil {
		d.going.end()
	}
}

// over is the end of every delivery that is over already.
var over = func() chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}()

// end is closed once the delivery is over.
func (d *Delivery) end() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.over:
		return over
	case d.done == nil:
		d.done = make(chan struct{})
	}
	return d.done
}

// begin says who carries the delivery out.
func (d *Delivery) begin(p *pending) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.going, p.ending = p, d.gaveUp
}

// Settle ends a delivery that Deliver was not asked for, because somebody else than the app has answered the message.
func (d *Delivery) Settle(answer Answer) {
	d.conclude(answer)
	d.tell()
}

// conclude says what became of the message. It reports whether WeChat was told success before.
func (d *Delivery) conclude(answer Answer) (acknowledged bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer, d.known, d.going = answer, true, nil
	return d.acknowledged
}

// tell lets everybody go on who waits for the end.
func (d *Delivery) tell() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over = true; d.done != nil {
		close(d.done)
		d.done = nil
	}
}
