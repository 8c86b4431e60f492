// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"io"
	"net/http"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/backend"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/policy"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// forward does with a verified message what the policy says, and answers WeChat by the deadline. A delivery keeps its
// bytes until the app has answered, also when WeChat was answered before.
func (c *callback) forward(message gate.Message, parcel *parcel) {
	if message.Fields.Unreadable {
		c.metrics.Unreadable.Inc()
	}
	decision := policy.Decide(c.served.config, message.Fields)
	if decision.Discard {
		parcel.free()
		c.conclude(message, outcome.Report{Outcome: outcome.Discarded})
		c.acknowledge(decision)
		return
	}
	deadline := c.arrived.Add(time.Duration(decision.Backend.Deadline))
	if decision.Backend.OnDeadline == config.OnDeadlineAwaitRetry {
		deadline = c.arrived.Add(awaitRetryPatience)
	}
	key := message.Key(c.served.config.Endpoint)
	delivery, repeated := c.repeats.Join(key, c.now, message.StaleAt, func() *backend.Delivery {
		return c.start(key, c.makeCall(key, message, decision, deadline), parcel)
	})
	if repeated {
		parcel.free()
		c.metrics.Repeats.Inc()
	}
	message.Forget()
	answer, took := c.await(delivery, message, decision, deadline)
	c.metrics.Backend.Observe(took.Seconds())
	c.conclude(message, outcome.Report{Outcome: answer.Outcome, Failure: answer.Failure, Took: took})
	c.reply(message, decision, answer, deadline)
}

// await returns the app's answer, or what is known of it at the deadline. Whoever plays WeChat waits for longer, to see how late
// the app is, and gets the same.
func (c *callback) await(delivery *backend.Delivery, message gate.Message, decision policy.Decision, deadline time.Time) (backend.Answer, time.Duration) {
	acknowledge := decision.Backend.OnDeadline == config.OnDeadlineAcknowledge
	patience := deadline
	if message.Trial() {
		patience = c.arrived.Add(awaitRetryPatience)
	}
	started := time.Now()
	answer := delivery.Wait(c.r.Context(), patience, acknowledge)
	ended := time.Now()
	if answer.Outcome == outcome.Answered && ended.After(deadline) && patience != deadline {
		answer = backend.Answer{Outcome: outcome.TimedOut}
		if acknowledge {
			answer.Outcome = outcome.Acknowledged
		}
	}
	return answer, ended.Sub(started)
}

// conclude counts what became of a verified callback, logs it within bounds if somebody has to do something about it, and tells
// whoever plays WeChat.
func (c *callback) conclude(message gate.Message, report outcome.Report) {
	c.metrics.Callbacks.WithLabelValues(string(report.Outcome)).Inc()
	if cause, remedy := report.Explain(); cause != "" && c.complaints.Allow() {
		c.options.Log.Warn("WeChat did not get the app's reply", "outcome", report.Outcome, "took", report.Took.Round(time.Millisecond), "cause", cause, "remedy", remedy)
	}
	if message.Played() {
		c.w.Header().Set(outcome.Header, report.String())
	}
}

// start begins the delivery of a message that is no repeat.
func (s *Sidecar) start(key memory.Key, call backend.Call, parcel *parcel) *backend.Delivery {
	s.calls.Add(1)
	return s.backend.Start(call, func(a backend.Answer, acknowledged bool) {
		if a.Outcome == outcome.Answered {
			s.repeats.Keep(key, backend.Settled(a), cap(a.Reply), s.now())
		} else {
			s.repeats.Forget(key)
		}
		s.metrics.Retries.Add(float64(a.Retries))
		if acknowledged && a.Outcome != outcome.Answered {
			s.metrics.LateFailures.Inc()
		}
		if acknowledged && a.Outcome != outcome.Answered && s.complaints.Allow() {
			cause, remedy := outcome.Report{Outcome: a.Outcome, Failure: a.Failure}.Explain()
			s.options.Log.Warn("the app failed after WeChat was answered in its place; the message may be lost", "cause", cause, "remedy", remedy)
		}
		parcel.free()
		s.calls.Done()
	})
}

// reply answers WeChat. A reply is sealed for this request, also when it was made for an earlier one.
func (c *callback) reply(message gate.Message, decision policy.Decision, a backend.Answer, deadline time.Time) {
	switch {
	case a.Outcome == outcome.Acknowledged, a.Outcome == outcome.Answered && !decision.Replies:
		c.acknowledge(decision)
	case a.Outcome == outcome.Answered:
		c.passOn(message, decision, a.Reply, deadline)
	case a.Outcome == outcome.BadReply:
		c.fail(http.StatusBadGateway)
	default:
		c.fail(http.StatusServiceUnavailable)
	}
}

// passOn gives WeChat the app's reply. It takes room for it: WeChat may be slow to read, and several repeats may get it at once.
func (c *callback) passOn(message gate.Message, decision policy.Decision, reply []byte, deadline time.Time) {
	if size := int64(len(reply)); size > freeBody {
		if !c.bodies.Take(size, deadline) {
			c.conclude(message, outcome.Report{Outcome: outcome.Overloaded})
			c.fail(http.StatusServiceUnavailable)
			return
		}
		defer c.bodies.Give(size)
	}
	switch {
	case wechat.Acknowledges(reply):
		c.answer(http.StatusOK, plainText, wechat.Acknowledgement(reply))
		return
	case decision.Backend.Payload == config.PayloadOriginal: // sealed by the app
		c.answer(http.StatusOK, wechat.FormOf(reply).ContentType(), reply)
		return
	}
	var random [wechat.RandomSize / 2]byte
	_, _ = io.ReadFull(c.random, random[:]) // crypto/rand never fails
	sealing, err := c.served.gate.Seal(message, reply, random, c.Sidecar.now())
	switch {
	case err != nil:
		c.options.Log.Error("sealing a reply", "error", err)
		c.fail(http.StatusBadGateway)
	case sealing == nil:
		c.answer(http.StatusOK, wechat.FormOf(reply).ContentType(), reply)
	default:
		writeHead(c.w, http.StatusOK, message.Form.ContentType(), sealing.Len())
		_ = sealing.Write(c.w) // a client that hung up needs no answer
	}
}

// acknowledge tells WeChat that the message was taken.
func (c *callback) acknowledge(decision policy.Decision) {
	if c.served.config.Platform == config.PlatformPay {
		c.w.Header().Set("Cache-Control", "no-store")
		c.w.WriteHeader(http.StatusNoContent)
		return
	}
	c.answer(http.StatusOK, plainText, []byte(decision.Acknowledgement))
}
