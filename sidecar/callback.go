// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/backend"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/metrics"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// errOverloaded says that there was no room for a message until its deadline.
var errOverloaded = errors.New("no room for another message")

// serveCallback obeys the gate: what it refuses is refused here, what it passes goes to the app.
func (s *Sidecar) serveCallback(w http.ResponseWriter, r *http.Request) {
	now := s.now()
	if s.draining.Load() {
		w.Header().Set("Connection", "close") // the router opens its next connection elsewhere
	}
	served := s.served.Load()
	if served == nil {
		answer(w, http.StatusServiceUnavailable, plainText, nil)
		return
	}
	if served.serveFile(w, r) {
		return
	}
	body := boundedBody{sidecar: s, r: r, deadline: time.Now().Add(bodyPatience)}
	message, err := served.gate.Check(gate.Request{
		Method:   r.Method,
		Host:     r.Host,
		Path:     r.URL.EscapedPath(),
		RawQuery: r.URL.RawQuery,
		Header:   r.Header,
		Body:     body.read,
	}, now)
	if err == nil && !served.config.Encrypted() && served.config.Platform != config.PlatformPay &&
		!s.bindings.Bind(message.Query.Triple, r.Method, message.Body, now, message.StaleAt) {
		err = wechat.Refuse(wechat.ReasonReplayed, "the signature was used before, with another body or method")
	}
	switch {
	case err != nil && served.audits(r, err, now):
		s.forwardUnverified(w, r, served, &body, err)
	case err != nil:
		body.release()
		s.refuse(w, served.config.Platform, err)
	default:
		s.serveVerified(w, r, served, message, now, body.release)
	}
}

// serveVerified answers what the app need not see, and forwards the rest.
func (s *Sidecar) serveVerified(w http.ResponseWriter, r *http.Request, served *served, message gate.Message, now time.Time, release func()) {
	fields := message.Fields()
	switch {
	case probes(message, fields):
		s.metrics.Callbacks.WithLabelValues(metrics.OutcomeProbe).Inc()
		release()
		answer(w, http.StatusOK, plainText, probeAnswer(message))
	case message.URLCheck():
		s.noteVerified(message, now)
		s.metrics.Callbacks.WithLabelValues(metrics.OutcomeURLCheck).Inc()
		answer(w, http.StatusOK, plainText, message.Echo)
	default:
		s.noteVerified(message, now)
		s.forward(w, r, served, message, fields, release)
	}
}

// probes reports whether a verified callback is the operator's. Only who holds the token can make one: it may be answered
// without the app, and is no sign that WeChat was here. WeChat has no message of that InfoType, whatever its nonce.
func probes(message gate.Message, fields wechat.Fields) bool {
	if message.URLCheck() {
		return strings.HasPrefix(message.Nonce(), config.ProbeNoncePrefix)
	}
	return fields.InfoType == config.ProbeInfoType
}

// played reports whether the nonce of a verified callback says that it is not WeChat's.
func played(nonce string) bool {
	return strings.HasPrefix(nonce, config.ProbeNoncePrefix) || strings.HasPrefix(nonce, config.TrialNoncePrefix)
}

func probeAnswer(message gate.Message) []byte {
	if message.URLCheck() {
		return message.Echo
	}
	return []byte(wechat.Success)
}

// noteVerified remembers that WeChat was here. What is played is no sign of that: it is signed with the token of the Secret, and
// the earlier credentials would end before the console holds the new ones.
func (s *Sidecar) noteVerified(message gate.Message, now time.Time) {
	if played(message.Nonce()) {
		return
	}
	s.metrics.LastVerified.Set(float64(now.Unix()))
	s.uses.note(message.Generation, now)
}

// boundedBody reads a body within the bound of one message and within the budget of all of them. It reads once, and what
// came of it stands: a body that broke off cannot be read to its end by asking again.
type boundedBody struct {
	sidecar  *Sidecar
	r        *http.Request
	deadline time.Time
	charged  int64

	asked bool
	body  []byte
	err   error
}

func (b *boundedBody) read() ([]byte, error) {
	if !b.asked {
		b.asked = true
		b.body, b.err = b.readOnce()
	}
	return b.body, b.err
}

// readOnce charges what has come, not what was announced, and nothing for the first freeBodySize bytes: whoever announces
// much and sends little, or slowly, takes nothing from the messages of others.
func (b *boundedBody) readOnce() ([]byte, error) {
	limit := b.r.ContentLength
	if limit > MaxBodySize {
		return nil, tooLarge
	}
	if limit < 0 {
		limit = MaxBodySize + 1 // chunked: it may become that long
	}
	var body []byte
	for {
		if len(body) == cap(body) {
			next := min(limit, max(freeBodySize, 2*int64(len(body))))
			if !b.charge(next - freeBodySize) {
				return nil, errOverloaded
			}
			body = append(make([]byte, 0, next), body...)
		}
		n, err := b.r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > MaxBodySize:
			return nil, tooLarge
		case errors.Is(err, io.EOF), int64(len(body)) == b.r.ContentLength:
			return body, nil
		case err != nil:
			return nil, wechat.Refuse(wechat.ReasonMalformed, "the body broke off, or came too slowly")
		}
	}
}

// charge raises what is charged to n bytes, once there is room for them.
func (b *boundedBody) charge(n int64) bool {
	if n <= b.charged {
		return true
	}
	if !acquire(b.sidecar.budget, n-b.charged, b.deadline) {
		return false
	}
	b.charged = n
	return true
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

// refuse answers alike for every cause, so that nobody learns which check he failed; the cause is counted, and logged
// within bounds.
func (s *Sidecar) refuse(w http.ResponseWriter, platform string, err error) {
	var refusal *wechat.Refusal
	if !errors.As(err, &refusal) {
		s.metrics.Callbacks.WithLabelValues(string(backend.Overloaded)).Inc()
		fail(w, platform, http.StatusServiceUnavailable)
		return
	}
	s.metrics.Refused.WithLabelValues(string(refusal.Reason)).Inc()
	if s.refusals.Allow() {
		s.options.Log.Info("refused a callback", "reason", refusal.Reason, "detail", refusal.Detail)
	}
	if refusal.Reason == wechat.ReasonUnknownURL {
		fail(w, platform, http.StatusNotFound)
		return
	}
	fail(w, platform, http.StatusForbidden)
}

// fail answers with a status that makes WeChat try again, if it was WeChat. Pay wants to be told so in JSON too.
func fail(w http.ResponseWriter, platform string, status int) {
	if platform == config.PlatformPay {
		answer(w, status, "application/json", []byte(`{"code":"FAIL","message":"not accepted"}`))
		return
	}
	answer(w, status, plainText, nil)
}

const plainText = "text/plain; charset=utf-8"

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
