// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"crypto/sha256"
	"io"
	"net/http"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/backend"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/dedupe"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/metrics"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/policy"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Patience of a callback. WeChat hangs up after 5 s and sends a message three times in all.
const (
	bodyPatience       = 4 * time.Second  // to find room for a body
	awaitRetryPatience = 14 * time.Second // for the reply of an app whose callers wait for WeChat's retries
)

// forward does with a verified message what the policy says, and answers WeChat by the deadline. A delivery keeps its
// bytes until the app has answered, also when WeChat was answered before. Fields are the message's own.
func (s *Sidecar) forward(w http.ResponseWriter, r *http.Request, served *served, message gate.Message, fields wechat.Fields, release func()) {
	decision := policy.Decide(served.config, fields)
	if decision.Discard {
		release()
		s.metrics.Callbacks.WithLabelValues(metrics.OutcomeDiscarded).Inc()
		acknowledge(w, served.config.Platform, decision)
		return
	}
	arrived := time.Now()
	deadline := arrived.Add(time.Duration(decision.Backend.Deadline))
	if decision.Backend.OnDeadline == config.OnDeadlineAwaitRetry {
		deadline = arrived.Add(awaitRetryPatience)
	}
	key := messageKey(served.config.Endpoint, message.Body)
	delivery, repeated := s.deliveries.Join(key, s.now(), message.StaleAt, func() *backend.Delivery {
		return s.start(key, makeCall(served, key, message, fields, decision, r.URL.Path, deadline), release)
	})
	if repeated {
		release()
		s.metrics.Repeats.Inc()
	}
	reply := delivery.Wait(r.Context(), deadline, decision.Backend.OnDeadline == config.OnDeadlineAcknowledge)
	s.metrics.Backend.Observe(time.Since(arrived).Seconds())
	s.metrics.Callbacks.WithLabelValues(string(reply.Outcome)).Inc()
	if reply.Err != nil {
		s.options.Log.Warn("the app did not answer as WeChat needs it", "outcome", reply.Outcome, "retries", reply.Retries, "error", reply.Err)
	}
	s.reply(w, served, message, decision, reply)
}

// start begins the delivery of a message that is no repeat.
func (s *Sidecar) start(key dedupe.Key, call backend.Call, release func()) *backend.Delivery {
	s.calls.Add(1)
	return s.backend.Start(call, func(a backend.Answer, acknowledged bool) {
		s.deliveries.Settle(key, a.Outcome == backend.Answered, len(a.Reply))
		s.metrics.Retries.Add(float64(a.Retries))
		if acknowledged && a.Outcome != backend.Answered {
			s.metrics.LateFailures.Inc()
			s.options.Log.Warn("the app failed after WeChat was answered in its place; the message may be lost", "error", a.Err)
		}
		release()
		s.calls.Done()
	})
}

// reply answers WeChat. A reply is sealed for this request, also when it was made for an earlier one.
func (s *Sidecar) reply(w http.ResponseWriter, served *served, message gate.Message, decision policy.Decision, a backend.Answer) {
	switch {
	case a.Outcome == backend.Acknowledged, a.Outcome == backend.Answered && !decision.Replies:
		acknowledge(w, served.config.Platform, decision)
	case a.Outcome == backend.Answered && (wechat.Acknowledges(a.Reply) || decision.Backend.Payload == config.PayloadOriginal):
		answer(w, http.StatusOK, wechat.FormOf(a.Reply).ContentType(), a.Reply) // never sealed, or sealed by the app
	case a.Outcome == backend.Answered:
		var random [wechat.RandomSize]byte
		_, _ = io.ReadFull(s.random, random[:]) // crypto/rand never fails
		sealed, err := served.gate.Seal(message, a.Reply, random, s.now())
		if err != nil {
			s.options.Log.Error("sealing a reply", "error", err)
			fail(w, served.config.Platform, http.StatusBadGateway)
			return
		}
		answer(w, http.StatusOK, wechat.FormOf(sealed).ContentType(), sealed)
	case a.Outcome == backend.BadReply:
		fail(w, served.config.Platform, http.StatusBadGateway)
	default:
		fail(w, served.config.Platform, http.StatusServiceUnavailable)
	}
}

// acknowledge tells WeChat that the message was taken.
func acknowledge(w http.ResponseWriter, platform string, decision policy.Decision) {
	if platform == config.PlatformPay {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer(w, http.StatusOK, plainText, []byte(decision.Acknowledgement))
}

// messageKey is the same for every repeat of a message on every replica: the SHA-256 of the endpoint's name and the
// verified message.
func messageKey(endpoint string, message []byte) dedupe.Key {
	hash := sha256.New()
	hash.Write([]byte(endpoint + "\n"))
	hash.Write(message)
	return dedupe.Key(hash.Sum(nil))
}
