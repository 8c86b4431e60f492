// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/backend"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/metrics"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// errOverloaded says that there was no room for a verified message until its deadline.
var errOverloaded = errors.New("no room for another message")

// serveCallback obeys the gate: what it refuses is refused here, what it passes goes to the app.
func (s *Sidecar) serveCallback(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	if s.draining.Load() {
		w.Header().Set("Connection", "close") // the router opens its next connection elsewhere
	}
	served := s.served.Load()
	if served == nil {
		answer(w, http.StatusServiceUnavailable, plainText, nil)
		return
	}
	deadline := now.Add(time.Duration(served.config.Backend.Deadline))
	body := boundedBody{sidecar: s, w: w, r: r, deadline: deadline}
	message, err := served.gate.Check(gate.Request{
		Method:   r.Method,
		Host:     r.Host,
		Path:     r.URL.EscapedPath(),
		RawQuery: r.URL.RawQuery,
		Body:     body.read,
	}, now)
	if err == nil && !s.bindings.Bind(message.Triple, r.Method, message.Body, now, message.StaleAt) {
		err = wechat.Refuse(wechat.ReasonReplayed, "the signature was used before, with another body or method")
	}
	switch {
	case err != nil:
		body.release()
		s.refuse(w, err)
	case message.URLCheck():
		s.metrics.LastVerified.Set(float64(now.Unix()))
		s.metrics.Callbacks.WithLabelValues(metrics.OutcomeURLCheck).Inc()
		answer(w, http.StatusOK, plainText, []byte(message.Echostr))
	default:
		s.metrics.LastVerified.Set(float64(now.Unix()))
		s.forward(w, makeCall(served.config, r.URL.Path, message.Body, deadline), body.release)
	}
}

// forward calls the app as soon as there is a place for one more call, and answers WeChat by the deadline. A call keeps
// its place and its bytes until the app has answered, also when WeChat was answered before.
func (s *Sidecar) forward(w http.ResponseWriter, call backend.Call, release func()) {
	arrived := time.Now()
	if !acquire(s.places, 1, call.Deadline) {
		release()
		s.overloaded(w)
		return
	}
	s.calls.Add(1)
	reply := s.backend.Deliver(call, func() {
		s.places.Release(1)
		release()
		s.calls.Done()
	})
	s.metrics.Backend.Observe(time.Since(arrived).Seconds())
	s.metrics.Retries.Add(float64(reply.Retries))
	s.metrics.Callbacks.WithLabelValues(string(reply.Outcome)).Inc()
	if reply.Err != nil {
		s.options.Log.Warn("the app did not answer as WeChat needs it", "outcome", reply.Outcome, "retries", reply.Retries, "error", reply.Err)
	}
	switch reply.Outcome {
	case backend.Answered:
		answer(w, http.StatusOK, replyType(reply.Reply), reply.Reply)
	case backend.Acknowledged:
		answer(w, http.StatusOK, plainText, []byte(wechat.Success))
	case backend.Unavailable:
		answer(w, http.StatusServiceUnavailable, plainText, nil)
	default:
		answer(w, http.StatusBadGateway, plainText, nil)
	}
}

// boundedBody reads a body within the bound of one message and within the budget of all of them.
type boundedBody struct {
	sidecar  *Sidecar
	w        http.ResponseWriter
	r        *http.Request
	deadline time.Time
	charged  int64
}

func (b *boundedBody) read() ([]byte, error) {
	size := b.r.ContentLength
	if size > MaxBodySize {
		return nil, tooLarge
	}
	if size < 0 {
		size = MaxBodySize // chunked: it may become that long
	}
	if !acquire(b.sidecar.budget, size, b.deadline) {
		return nil, errOverloaded
	}
	b.charged = size
	body, err := io.ReadAll(http.MaxBytesReader(b.w, b.r.Body, MaxBodySize))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge
	case err != nil:
		return nil, wechat.Refuse(wechat.ReasonMalformed, "the body broke off, or came too slowly")
	}
	return body, nil
}

// release gives the charged bytes back. It is called once, by whoever is the last to hold the body.
func (b *boundedBody) release() {
	if b.charged > 0 {
		b.sidecar.budget.Release(b.charged)
	}
}

var tooLarge = wechat.Refuse(wechat.ReasonTooLarge, "the body is longer than 1 MiB")

// acquire waits until the deadline for n of the semaphore.
func acquire(s *semaphore.Weighted, n int64, deadline time.Time) bool {
	if s.TryAcquire(n) {
		return true
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	return s.Acquire(ctx, n) == nil
}

// makeCall builds the app's request from verified values and the configuration. Nothing of the client's head goes into
// it, so that no header of his can pass for one of the sidecar's.
func makeCall(c config.Config, path string, body []byte, deadline time.Time) backend.Call {
	if c.Backend.Path != "" {
		path = c.Backend.Path
	}
	return backend.Call{
		URL:      c.Backend.URL + path,
		Body:     body,
		Deadline: deadline,
		Header: http.Header{
			"Content-Type":         {"text/xml; charset=utf-8"},
			"User-Agent":           {"wechatendpoint"},
			"X-Wechat-Verified":    {"true"},
			"X-Wechat-Endpoint":    {c.Endpoint},
			"X-Wechat-Platform":    {c.Platform},
			"X-Wechat-App-Id":      {c.AppID},
			"X-Wechat-Delivery-Id": {deliveryID(c.Endpoint, body)},
			"X-Wechat-Deadline":    {deadline.UTC().Format("2006-01-02T15:04:05.000Z")},
		},
	}
}

// deliveryID is the same for every repeat of a message on every replica: 32 hexadecimal digits of the SHA-256 of the
// endpoint's name and the message.
func deliveryID(endpoint string, body []byte) string {
	hash := sha256.New()
	hash.Write([]byte(endpoint + "\n"))
	hash.Write(body)
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

// refuse answers alike for every cause, so that nobody learns which check he failed; the cause is counted, and logged
// within bounds.
func (s *Sidecar) refuse(w http.ResponseWriter, err error) {
	var refusal *wechat.Refusal
	if !errors.As(err, &refusal) {
		s.overloaded(w)
		return
	}
	s.metrics.Refused.WithLabelValues(string(refusal.Reason)).Inc()
	if s.refusals.Allow() {
		s.options.Log.Info("refused a callback", "reason", refusal.Reason, "detail", refusal.Detail)
	}
	status := http.StatusForbidden
	if refusal.Reason == wechat.ReasonUnknownURL {
		status = http.StatusNotFound
	}
	answer(w, status, plainText, nil)
}

func (s *Sidecar) overloaded(w http.ResponseWriter) {
	s.metrics.Callbacks.WithLabelValues(metrics.OutcomeOverloaded).Inc()
	answer(w, http.StatusServiceUnavailable, plainText, nil)
}

// recordLate counts and logs a call that failed after WeChat was told success.
func (s *Sidecar) recordLate(late backend.Answer) {
	if late.Outcome == backend.Answered {
		return
	}
	s.metrics.LateFailures.Inc()
	s.options.Log.Warn("the app failed after WeChat was answered in its place; the message may be lost", "error", late.Err)
}

const plainText = "text/plain; charset=utf-8"

// replyType says what a checked reply is: XML, success or empty. WeChat does not read it; proxies and people do.
func replyType(reply []byte) string {
	if bytes.ContainsRune(reply, '<') {
		return "text/xml; charset=utf-8"
	}
	return plainText
}

// answer writes the exact bytes, as a type that no browser runs: echostr is chosen by whoever holds a signature.
func answer(w http.ResponseWriter, status int, contentType string, body []byte) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that hung up needs no answer
}
