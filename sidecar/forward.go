// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"context"
	"io"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/backend"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/policy"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// decide asks the policy what becomes of a message.
func (c *callback) decide(message gate.Message) policy.Decision {
	if message.Unverified != nil {
		return policy.Audit(c.served.config)
	}
	if message.Fields.Unreadable {
		c.metrics.Unreadable.Inc()
	}
	return policy.Decide(c.served.config, message.Fields)
}

// forward does with a message what the policy says, and answers WeChat by the deadline.
func (c *callback) forward(ctx context.Context, message gate.Message) Answer {
	decision := c.decide(message)
	if decision.Discard {
		c.conclude(message, outcome.Report{Outcome: outcome.Discarded})
		return c.acknowledge(decision)
	}
	deadline := c.request.Arrived.Add(time.Duration(decision.Backend.Deadline))
	if decision.Backend.OnDeadline == config.OnDeadlineAwaitRetry {
		deadline = c.request.Arrived.Add(awaitRetryPatience)
	}
	delivery := c.deliver(message, decision, deadline)
	message.Forget()
	answer, took := c.await(ctx, delivery, message, decision, deadline)
	c.conclude(message, outcome.Report{Outcome: answer.Outcome, Failure: answer.Failure, Took: took})
	return c.reply(message, decision, answer, deadline)
}

// deliver begins the delivery of a message, or joins the one that goes on for a repeat. A delivery keeps the parcel until the app has
// answered, also when WeChat was answered before; a repeat needs none.
func (c *callback) deliver(message gate.Message, decision policy.Decision, deadline time.Time) *backend.Delivery {
	defer c.parcel.free()
	if decision.Unverified {
		return c.start(memory.Key{}, c.makeCall(memory.Key{}, message, decision, deadline), c.parcel.hand())
	}
	key := message.Key(c.served.config.Endpoint)
	delivery, repeated := c.repeats.Join(key, c.now, message.StaleAt, func() *backend.Delivery {
		return c.start(key, c.makeCall(key, message, decision, deadline), c.parcel.hand())
	})
	if repeated {
		c.metrics.Repeats.Inc()
	}
	return delivery
}

// start begins a delivery that is no repeat.
func (s *Sidecar) start(key memory.Key, call backend.Call, parcel *parcel) *backend.Delivery {
	s.calls.Add(1)
	return s.backend.Start(call, func(a backend.Answer, acknowledged bool) {
		defer s.calls.Done()
		defer parcel.free()
		s.settle(key, a)
		s.metrics.Retries.Add(float64(a.Retries))
		if acknowledged && a.Outcome != outcome.Answered {
			s.lament(a)
		}
	})
}

// await returns the app's answer, or what is known of it at the deadline. Whoever plays WeChat waits for longer, to see how late
// the app is, and gets the same.
func (c *callback) await(ctx context.Context, delivery *backend.Delivery, message gate.Message, decision policy.Decision, deadline time.Time) (backend.Answer, time.Duration) {
	acknowledge := decision.Backend.OnDeadline == config.OnDeadlineAcknowledge
	patience := deadline
	if message.Trial() {
		patience = c.request.Arrived.Add(awaitRetryPatience)
	}
	started := time.Now()
	answer := delivery.Wait(ctx, patience, acknowledge)
	ended := time.Now()
	if answer.Outcome == outcome.Answered && ended.After(deadline) && patience != deadline {
		answer = backend.Answer{Outcome: outcome.TimedOut}
		if acknowledge {
			answer.Outcome = outcome.Acknowledged
		}
	}
	took := ended.Sub(started)
	c.metrics.Backend.Observe(took.Seconds())
	return answer, took
}

// conclude counts what became of a verified callback, logs it within bounds if somebody has to do something about it, and tells
// whoever plays WeChat.
func (c *callback) conclude(message gate.Message, report outcome.Report) {
	if message.Unverified != nil {
		return
	}
	c.metrics.Callbacks.WithLabelValues(string(report.Outcome)).Inc()
	if cause, remedy := report.Explain(); cause != "" && c.complaints.Allow() {
		c.options.Log.Warn("WeChat did not get the app's reply", "outcome", report.Outcome, "took", report.Took.Round(time.Millisecond), "cause", cause, "remedy", remedy)
	}
	if message.Played() {
		c.told = report.String()
	}
}

// settle remembers what became of a message: its repeats get the same answer, or begin anew. Of one that was not joined nothing is
// remembered.
func (s *Sidecar) settle(key memory.Key, a backend.Answer) {
	if a.Outcome == outcome.Answered {
		s.repeats.Keep(key, backend.Settled(a), cap(a.Reply), s.clock(time.Now()))
	} else {
		s.repeats.Forget(key)
	}
}

// lament tells of a message that may be lost: WeChat was told that it was taken, and the app did not take it.
func (s *Sidecar) lament(a backend.Answer) {
	s.metrics.LateFailures.Inc()
	if s.complaints.Allow() {
		cause, remedy := outcome.Report{Outcome: a.Outcome, Failure: a.Failure}.Explain()
		s.options.Log.Warn("the app failed after WeChat was answered in its place; the message may be lost", "cause", cause, "remedy", remedy)
	}
}

// reply answers WeChat. A reply is sealed for this request, also when it was made for an earlier one.
func (c *callback) reply(message gate.Message, decision policy.Decision, a backend.Answer, deadline time.Time) Answer {
	switch {
	case a.Outcome == outcome.Acknowledged, a.Outcome == outcome.Answered && !decision.Replies:
		return c.acknowledge(decision)
	case a.Outcome == outcome.Answered:
		return c.passOn(message, decision, a.Reply, deadline)
	case a.Outcome == outcome.BadReply:
		return c.fail(statusBadReply)
	}
	return c.fail(statusAgain)
}

// passOn gives WeChat the app's reply. It takes room for it: WeChat may be slow to read, and several repeats may get it at once.
func (c *callback) passOn(message gate.Message, decision policy.Decision, reply []byte, deadline time.Time) Answer {
	var room *parcel
	if size := int64(len(reply)); size > freeBody {
		room = &parcel{budget: c.bodies, deadline: deadline}
		if !room.hold(size) {
			c.conclude(message, outcome.Report{Outcome: outcome.Overloaded})
			return c.fail(statusAgain)
		}
	}
	answer := c.dress(message, decision, reply)
	answer.room = room
	return answer
}

// dress makes of a reply what WeChat reads: nothing around a success, an envelope around what must be sealed.
func (c *callback) dress(message gate.Message, decision policy.Decision, reply []byte) Answer {
	asItIs := Answer{Status: statusTaken, ContentType: wechat.FormOf(reply).ContentType(), Body: reply}
	switch {
	case wechat.Acknowledges(reply):
		return Answer{Status: statusTaken, ContentType: plainText, Body: wechat.Acknowledgement(reply)}
	case decision.Backend.Payload == config.PayloadOriginal: // sealed by the app
		return asItIs
	}
	var random [wechat.RandomSize / 2]byte
	_, _ = io.ReadFull(c.random, random[:]) // crypto/rand never fails
	sealing, err := c.served.gate.Seal(message, reply, random, c.now)
	switch {
	case err != nil:
		c.options.Log.Error("sealing a reply", "error", err)
		return c.fail(statusBadReply)
	case sealing == nil:
		return asItIs
	}
	return Answer{Status: statusTaken, ContentType: message.Form.ContentType(), Sealing: sealing}
}

// acknowledge tells WeChat that the message was taken.
func (c *callback) acknowledge(decision policy.Decision) Answer {
	if c.served.config.Platform == config.PlatformPay {
		return Answer{Status: statusNothing}
	}
	return say(statusTaken, decision.Acknowledgement)
}
