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
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/metrics"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/policy"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// forward does with a verified message what the policy says, and answers WeChat by the deadline. A delivery keeps its
// bytes until the app has answered, also when WeChat was answered before.
func (c *callback) forward(message gate.Message, parcel *parcel) {
	decision := policy.Decide(c.served.config, message.Fields)
	if decision.Discard {
		parcel.free()
		c.metrics.Callbacks.WithLabelValues(metrics.OutcomeDiscarded).Inc()
		c.acknowledge(decision)
		return
	}
	deadline := c.arrived.Add(time.Duration(decision.Backend.Deadline))
	if decision.Backend.OnDeadline == config.OnDeadlineAwaitRetry {
		deadline = c.arrived.Add(awaitRetryPatience)
	}
	started := time.Now()
	key := message.Key(c.served.config.Endpoint)
	delivery, repeated := c.repeats.Join(key, c.now, message.StaleAt, func() *backend.Delivery {
		return c.start(key, c.makeCall(key, message, decision, deadline), parcel)
	})
	if repeated {
		parcel.free()
		c.metrics.Repeats.Inc()
	}
	message.Forget()
	reply := delivery.Wait(c.r.Context(), deadline, decision.Backend.OnDeadline == config.OnDeadlineAcknowledge)
	c.metrics.Backend.Observe(time.Since(started).Seconds())
	c.metrics.Callbacks.WithLabelValues(string(reply.Outcome)).Inc()
	if reply.Err != nil {
		c.options.Log.Warn("the app did not answer as WeChat needs it", "outcome", reply.Outcome, "retries", reply.Retries, "error", reply.Err)
	}
	c.reply(message, decision, reply, deadline)
}

// start begins the delivery of a message that is no repeat.
func (s *Sidecar) start(key memory.Key, call backend.Call, parcel *parcel) *backend.Delivery {
	s.calls.Add(1)
	return s.backend.Start(call, func(a backend.Answer, acknowledged bool) {
		if a.Outcome == backend.Answered {
			s.repeats.Keep(key, backend.Settled(a), cap(a.Reply), s.now())
		} else {
			s.repeats.Forget(key)
		}
		s.metrics.Retries.Add(float64(a.Retries))
		if acknowledged && a.Outcome != backend.Answered {
			s.metrics.LateFailures.Inc()
			s.options.Log.Warn("the app failed after WeChat was answered in its place; the message may be lost", "error", a.Err)
		}
		parcel.free()
		s.calls.Done()
	})
}

// reply answers WeChat. A reply is sealed for this request, also when it was made for an earlier one.
func (c *callback) reply(message gate.Message, decision policy.Decision, a backend.Answer, deadline time.Time) {
	switch {
	case a.Outcome == backend.Acknowledged, a.Outcome == backend.Answered && !decision.Replies:
		c.acknowledge(decision)
	case a.Outcome == backend.Answered:
		c.passOn(message, decision, a.Reply, deadline)
	case a.Outcome == backend.BadReply:
		c.fail(http.StatusBadGateway)
	default:
		c.fail(http.StatusServiceUnavailable)
	}
}

// passOn gives WeChat the app's reply. It takes room for it: WeChat may be slow to read, and several repeats may get it at once.
func (c *callback) passOn(message gate.Message, decision policy.Decision, reply []byte, deadline time.Time) {
	if size := int64(len(reply)); size > freeBody {
		if !c.bodies.Take(size, deadline) {
			c.refuse(errOverloaded)
			return
		}
		defer c.bodies.Give(size)
	}
	if wechat.Acknowledges(reply) || decision.Backend.Payload == config.PayloadOriginal { // never sealed, or sealed by the app
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
