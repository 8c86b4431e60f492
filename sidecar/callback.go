// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/door"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/policy"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/tracing"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// callback is one request on its way through an endpoint.
type callback struct {
	*Endpoint
	account *account
	request gate.Request
	parcel  parcel
	now     time.Time // by the clock that timestamps are compared with
	genuine bool      // it is verified, and not played
	told    string    // the outcome, to whoever plays WeChat
	trace   *tracing.Trace
	verdict verdict // for taps
	// handover is not nil where another pod has handed the callback over.
	handover *handover
}

// messages are for one callback each, until it is answered. On the stacks of all that wait for an app they would double these.
var messages = sync.Pool{New: func() any { return new(gate.Message) }}

func forget(m *gate.Message) {
	*m = gate.Message{}
	messages.Put(m)
}

// serve obeys the gate: what it refuses is refused here, what it passes goes to the app.
func (c *callback) serve(ctx context.Context) Answer {
	c.parcel = newParcel(c.request.Stream, c.request.Length, maxBody(&c.account.config), c.strangers, c.patience())
	defer c.parcel.free()
	c.request.Body = func() ([]byte, error) { return c.handover.read(c.parcel.read()) }
	message := messages.Get().(*gate.Message)
	defer forget(message)
	err := c.account.gate.Check(message, c.request, c.now)
	door.Received(ctx)
	if answer, elsewhere := c.seekOwner(ctx, message, err); elsewhere {
		return answer
	}
	if err := c.account.gate.Admit(ctx, message, c.request, err, c, c.now); err != nil {
		return c.refuse(err)
	}
	decision := c.decide(message)
	if !c.parcel.move(c.bodies, decision.Backend.URL, message.Forms()) {
		return c.handover.declines(c.refuse, errOverloaded)
	}
	if !c.handover.takes(ctx) {
		return Answer{}
	}
	c.note(ctx, message)
	if answer, own := message.Answer(); own {
		c.conclude(message, outcome.Report{Outcome: ownOutcome(message)})
		return Answer{Status: statusTaken, ContentType: plainText, Body: answer}
	}
	return c.forward(ctx, message, decision)
}

// Use asks the memory about a signature, and of a new one the other pods; where the memory fails, the policy. It makes the callback the gate's memory.
func (c *callback) Use(ctx context.Context, signature, method string, body []byte, now, until time.Time) (bool, error) {
	use, ok := memory.UseOf(signature, method, body, until)
	if !ok {
		return false, nil
	}
	bound, err := c.memory.Use(ctx, use, now)
	switch {
	case err != nil && policy.WithoutUse(&c.account.config) == policy.GoOn:
		return true, nil
	case err != nil:
		return false, err
	case bound == memory.BoundNow:
		return c.othersAgree(ctx, use, now), nil
	}
	return bound == memory.BoundBefore, nil
}

// ownOutcome is the outcome of a callback which reaches no app.
func ownOutcome(message *gate.Message) outcome.Outcome {
	if message.Probe() {
		return outcome.Probe
	}
	return outcome.URLCheck
}

// note remembers who was here. What is played is no sign of WeChat: it is signed with the token of the Secret, and the earlier
// credentials would end before the console holds the new ones.
func (c *callback) note(ctx context.Context, message *gate.Message) {
	if message.Unverified != nil {
		c.metrics.CountRefusal(message.Unverified.Reason, gate.SaysPlayed(c.request))
		c.metrics.Unverified.Inc()
		c.verdict = verdict{tells: c.refusals.Allow(), reason: message.Unverified.Reason}
		return
	}
	door.Proven(ctx)
	if message.Played() {
		return
	}
	c.genuine = true
	c.metrics.LastVerified.Set(float64(c.now.Unix()))
	c.uses.note(message.Generation, c.now)
}

// refuse answers alike for every cause, so that nobody learns which check he failed; the cause is counted, and logged
// within bounds.
func (c *callback) refuse(err error) Answer {
	var refusal *wechat.Refusal
	if !errors.As(err, &refusal) {
		c.complain(err)
		c.metrics.CountCallback(outcome.Overloaded)
		c.verdict = verdict{tells: true, outcome: outcome.Overloaded}
		return c.fail(statusAgain)
	}
	c.metrics.CountRefusal(refusal.Reason, gate.SaysPlayed(c.request))
	c.uses.noteStranger(refusal.Receiver, c.now)
	if c.verdict = (verdict{tells: c.refusals.Allow(), reason: refusal.Reason}); c.verdict.tells {
		c.log.Info("refused a callback", "reason", refusal.Reason, "detail", refusal.Detail)
	}
	status := statusRefused
	if refusal.Reason == wechat.ReasonUnknownURL {
		status = statusUnknown
	}
	answer := c.fail(status)
	answer.Refused = true
	return answer
}

// complain logs, within bounds, that the memory failed. That it is full is an outcome, and counted.
func (c *callback) complain(err error) {
	if !errors.Is(err, errOverloaded) && c.complaints.Allow() {
		c.log.Warn("the memory of callbacks failed", "error", err)
	}
}

// fail answers with a status that makes WeChat try again, if it was WeChat. Pay wants to be told so in JSON too.
func (c *callback) fail(status int) Answer {
	if c.account.config.Platform == config.PlatformPay {
		return Answer{Status: status, ContentType: "application/json", Body: []byte(wechat.PayRefusal)}
	}
	return say(status, "")
}
