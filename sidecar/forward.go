// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/backend"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/policy"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/taps"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/tracing"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// errand is one message on its way to an app and back.
type errand struct {
	*callback
	message  *gate.Message
	decision policy.Decision
	deadline time.Time // of the answer to WeChat
	key      memory.Key
}

// forward does with a message what was decided, and answers WeChat by the deadline.
func (c *callback) forward(ctx context.Context, message *gate.Message, decision policy.Decision) Answer {
	if message.Fields.Unreadable {
		c.metrics.Unreadable.Inc()
	}
	if !decision.Unverified {
		c.account.metrics.CountRule(decision.Rule)
	}
	if decision.Discard {
		c.conclude(message, outcome.Report{Outcome: outcome.Discarded})
		return c.acknowledge(decision)
	}
	if decision.Delivery != policy.Direct {
		return c.fail(statusAgain)
	}
	e := &errand{callback: c, message: message, decision: decision, deadline: c.deadline(decision)}
	if !decision.Unverified {
		e.key = e.message.Key(c.account.config.Endpoint)
		e.verdict.delivery = taps.Delivery(e.key[:tap.DeliverySize])
		e.beginTrace()
	}
	answer := e.callApp(ctx)
	e.trace.End(answer.Status)
	return answer
}

// deadline is when WeChat is answered at the latest.
func (c *callback) deadline(decision policy.Decision) time.Time {
	if decision.Backend.OnDeadline == config.OnDeadlineAwaitRetry {
		return c.request.Arrived.Add(awaitRetryPatience)
	}
	return c.request.Arrived.Add(time.Duration(decision.Backend.Deadline))
}

// decide asks the policy what becomes of a message.
func (c *callback) decide(message *gate.Message) policy.Decision {
	if message.Unverified != nil {
		return policy.Audit(&c.account.config)
	}
	return policy.Decide(&c.account.config, &message.Fields)
}

// callApp calls the app while WeChat waits, or joins the call that goes on for a repeat. A delivery keeps the parcel until the app has
// answered, also when WeChat was answered before; a repeat needs none.
func (e *errand) callApp(ctx context.Context) Answer {
	defer e.parcel.free()
	fields := newFields()
	defer fields.free()
	call := e.makeCall(fields)
	delivery, repeated, err := e.claim(ctx)
	if err != nil {
		return e.refuse(err)
	}
	if e.message.Forget(); repeated { // the first one's body goes to the app
		call.Body, e.request.Body = nil, nil
		e.message.ForgetBody()
		e.parcel.free()
	}
	answer, took := e.await(func(patience backend.Patience) backend.Answer {
		if repeated {
			return delivery.Wait(ctx, patience)
		}
		if answer, taken := e.show(ctx, &call, delivery); taken {
			return answer
		}
		traced := e.trace.Call(e.decision.Backend.URL)
		call.Fields = traced.Inject(call.Fields)
		return e.backend.Deliver(ctx, delivery, &call, patience, e.begin(e.key, traced, e.parcel.hand()))
	})
	e.conclude(e.message, outcome.Report{Outcome: answer.Outcome, Failure: answer.Failure, Took: took})
	return e.reply(answer)
}

// claim returns the delivery of a message, and whether it goes on for a repeat. A message that nobody verified is never taken for a repeat, nor
// remembered for later ones.
func (e *errand) claim(ctx context.Context) (delivery *backend.Delivery, repeated bool, err error) {
	if e.decision.Unverified {
		return new(backend.Delivery), false, nil
	}
	delivery, repeated, err = e.memory.Claim(ctx, e.key, e.now, e.message.StaleAt, newDelivery)
	if repeated {
		e.metrics.Repeats.Inc()
		e.trace.Repeat()
		e.verdict.repeat = true
	}
	if err != nil && policy.WithoutClaim(&e.account.config) == policy.GoOn {
		e.complain(err)
		return new(backend.Delivery), false, nil
	}
	return delivery, repeated, err
}

func newDelivery() *backend.Delivery { return new(backend.Delivery) }

// begin begins the delivery of a message with that key, and returns what is to be done at its end. It is not an errand's: it outlives the
// callback, and holds nothing else of it.
func (e *Endpoint) begin(key memory.Key, traced *tracing.Call, parcel parcel) func(a backend.Answer, acknowledged bool) {
	e.calls.Add(1)
	return func(a backend.Answer, acknowledged bool) {
		defer e.calls.Done()
		defer parcel.free()
		traced.End(resultOf(a))
		e.settle(key, a)
		e.noteReached(a)
		e.metrics.Retries.Add(float64(a.Retries))
		if acknowledged && a.Outcome != outcome.Answered {
			e.lament(a)
		}
	}
}

// settle remembers what became of a message: its repeats get the same answer, or begin anew. Of one that was not claimed nothing is
// remembered.
func (e *Endpoint) settle(key memory.Key, a backend.Answer) {
	if a.Outcome == outcome.Answered {
		e.memory.Keep(key, backend.Settled(a.Reply), cap(a.Reply), e.clock(time.Now()))
	} else {
		e.memory.Forget(key)
	}
}

// noteReached remembers whether the app was reached. One that answers badly was; of one that is late it is not known.
func (e *Endpoint) noteReached(a backend.Answer) {
	if slices.Contains([]outcome.Outcome{outcome.Answered, outcome.BadReply}, a.Outcome) {
		e.uses.noteReached()
	} else if a.Outcome == outcome.Unavailable {
		e.uses.noteUnreached(a.Failure.Cause, e.clock(time.Now()))
	}
}

// lament tells of a message that may be lost: WeChat was told that it was taken, and the app did not take it.
func (e *Endpoint) lament(a backend.Answer) {
	e.metrics.LateFailures.Inc()
	if e.complaints.Allow() {
		cause, remedy := outcome.Report{Outcome: a.Outcome, Failure: a.Failure}.Explain()
		e.log.Warn("the app failed after WeChat was answered in its place; the message may be lost", "cause", cause, "remedy", remedy)
	}
}

// await returns the app's answer, or what is known of it at the deadline. Whoever plays WeChat waits for longer, to see how late
// the app is, and gets the same.
func (e *errand) await(answerOf func(backend.Patience) backend.Answer) (answer backend.Answer, took time.Duration) {
	acknowledge := e.decision.Backend.OnDeadline == config.OnDeadlineAcknowledge
	patience := e.deadline
	if e.message.Trial() {
		patience = e.request.Arrived.Add(awaitRetryPatience)
	}
	started := time.Now()
	answer = answerOf(backend.Patience{Until: patience, Acknowledge: acknowledge})
	ended := time.Now()
	if answer.Outcome == outcome.Answered && ended.After(e.deadline) && patience != e.deadline {
		answer = backend.Answer{Outcome: outcome.TimedOut}
		if acknowledge {
			answer.Outcome = outcome.Acknowledged
		}
	}
	took = ended.Sub(started)
	e.metrics.ObserveBackend(took)
	e.account.metrics.ObserveApp(e.decision.Backend.URL, took)
	return answer, took
}

// conclude counts what became of a verified callback, logs it within bounds if somebody has to do something about it, and tells
// whoever plays WeChat.
func (c *callback) conclude(message *gate.Message, report outcome.Report) {
	if message.Unverified != nil {
		return
	}
	c.metrics.CountCallback(report.Outcome)
	c.verdict.conclude(message, report)
	c.trace.Conclude(string(report.Outcome))
	if cause, remedy := report.Explain(); cause != "" && c.complaints.Allow() {
		c.log.Warn("WeChat did not get the app's reply", "outcome", report.Outcome, "took", report.Took.Round(time.Millisecond), "cause", cause, "remedy", remedy)
	}
	if message.Played() {
		c.told = report.String()
	}
}

// reply answers WeChat. A reply is sealed for this request, also when it was made for an earlier one.
func (e *errand) reply(a backend.Answer) Answer {
	switch {
	case a.Outcome == outcome.Acknowledged, a.Outcome == outcome.Answered && !e.decision.Replies:
		return e.acknowledge(e.decision)
	case a.Outcome == outcome.Answered:
		return e.passOn(a.Reply)
	case a.Outcome == outcome.BadReply:
		return e.fail(statusBadReply)
	}
	return e.fail(statusAgain)
}

// passOn gives WeChat the app's reply. It takes room for it: WeChat may be slow to read, and several repeats may get it at once.
func (e *errand) passOn(reply []byte) Answer {
	var room *parcel
	if size := int64(len(reply)); size > freeBody {
		room = &parcel{budget: e.bodies, app: e.decision.Backend.URL, deadline: e.deadline}
		if !room.hold(size) {
			e.conclude(e.message, outcome.Report{Outcome: outcome.Overloaded})
			return e.fail(statusAgain)
		}
	}
	answer := e.dress(reply)
	answer.room = room
	return answer
}

// dress makes of a reply what WeChat reads: nothing around a success, an envelope around what must be sealed.
func (e *errand) dress(reply []byte) Answer {
	asItIs := Answer{Status: statusTaken, ContentType: wechat.FormOf(reply).ContentType(), Body: reply}
	switch {
	case wechat.Acknowledges(reply):
		return Answer{Status: statusTaken, ContentType: plainText, Body: wechat.Acknowledgement(reply)}
	case e.decision.Backend.Payload == config.PayloadOriginal: // sealed by the app
		return asItIs
	}
	var random [wechat.RandomSize / 2]byte
	_, _ = io.ReadFull(e.random, random[:]) // crypto/rand never fails
	sealing, err := e.account.gate.Seal(e.message, reply, random, e.now)
	switch {
	case err != nil:
		e.log.Error("sealing a reply", "error", err)
		return e.fail(statusBadReply)
	case sealing == nil:
		return asItIs
	}
	return Answer{Status: statusTaken, ContentType: e.message.Form.ContentType(), Sealing: sealing}
}

// acknowledge tells WeChat that the message was taken.
func (c *callback) acknowledge(decision policy.Decision) Answer {
	if c.account.config.Platform == config.PlatformPay {
		return Answer{Status: statusNothing}
	}
	return say(statusTaken, decision.Acknowledgement)
}
