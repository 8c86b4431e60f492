// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"errors"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/door"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// callback is one request on its way through the sidecar.
type callback struct {
	*Sidecar
	w       http.ResponseWriter
	r       *http.Request
	served  *served
	arrived time.Time // when its head was whole: deadlines count from then
	now     time.Time // by the clock that timestamps are compared with
}

func (s *Sidecar) serveCallback(w http.ResponseWriter, r *http.Request) {
	defer s.recovered()
	if s.draining.Load() {
		w.Header().Set("Connection", "close") // the router opens its next connection elsewhere
	}
	served := s.served.Load()
	if served == nil {
		answer(w, http.StatusServiceUnavailable, plainText, nil)
		return
	}
	c := &callback{Sidecar: s, w: w, r: r, served: served, arrived: time.Now(), now: s.now()}
	if !c.serveFile() {
		c.serve()
	}
}

// recovered logs a fault of the program's own and ends the connection. What net/http would log may quote what a user wrote.
func (s *Sidecar) recovered() {
	if fault := recover(); fault != nil {
		s.options.Log.Error("a fault of the sidecar's own ended a callback; please report it", "stack", string(debug.Stack()))
		panic(http.ErrAbortHandler)
	}
}

// serve obeys the gate: what it refuses is refused here, what it passes goes to the app.
func (c *callback) serve() {
	parcel := newParcel(c.r, maxBody(c.served.config), c.strangers, c.arrived.Add(bodyPatience))
	message, err := c.served.gate.Check(gate.Request{
		Method:   c.r.Method,
		Host:     c.r.Host,
		Path:     c.r.URL.EscapedPath(),
		RawQuery: c.r.URL.RawQuery,
		Header:   c.r.Header,
		Body:     parcel.read,
	}, c.now)
	door.Received(c.r.Context())
	if err == nil && message.Bind &&
		!c.signatures.Bind(message.Query.Signature, c.r.Method, message.Body, c.now, message.StaleAt) {
		err = wechat.Refuse(wechat.ReasonReplayed, "the signature was used before, with another body or method")
	}
	if err == nil && !parcel.move(c.bodies, message.Forms()) {
		err = errOverloaded
	}
	switch {
	case err != nil && c.audits(err):
		c.forwardUnverified(parcel, err)
	case err != nil:
		parcel.free()
		c.refuse(err)
	default:
		door.Proven(c.r.Context())
		c.serveVerified(message, parcel)
	}
}

// serveVerified answers what the app need not see, and forwards the rest.
func (c *callback) serveVerified(message gate.Message, parcel *parcel) {
	switch {
	case message.Probe():
		parcel.free()
		c.conclude(message, outcome.Report{Outcome: outcome.Probe})
		c.answer(http.StatusOK, plainText, probeAnswer(message))
	case message.URLCheck():
		c.noteVerified(message)
		c.conclude(message, outcome.Report{Outcome: outcome.URLCheck})
		c.answer(http.StatusOK, plainText, message.Echo)
	default:
		c.noteVerified(message)
		c.forward(message, parcel)
	}
}

func probeAnswer(message gate.Message) []byte {
	if message.URLCheck() {
		return message.Echo
	}
	return []byte(wechat.Success)
}

// noteVerified remembers that WeChat was here. What is played is no sign of that: it is signed with the token of the Secret, and
// the earlier credentials would end before the console holds the new ones.
func (c *callback) noteVerified(message gate.Message) {
	if message.Played() {
		return
	}
	c.metrics.LastVerified.Set(float64(c.now.Unix()))
	c.uses.note(message.Generation, c.now)
}

// refuse answers alike for every cause, so that nobody learns which check he failed; the cause is counted, and logged
// within bounds. Where there are many connections, this one is closed: WeChat does not need it.
func (c *callback) refuse(err error) {
	var refusal *wechat.Refusal
	if !errors.As(err, &refusal) {
		c.metrics.Callbacks.WithLabelValues(string(outcome.Overloaded)).Inc()
		c.fail(http.StatusServiceUnavailable)
		return
	}
	c.metrics.Refused.WithLabelValues(string(refusal.Reason)).Inc()
	c.uses.noteStranger(refusal.Receiver, c.now)
	if c.refusals.Allow() {
		c.options.Log.Info("refused a callback", "reason", refusal.Reason, "detail", refusal.Detail)
	}
	if c.crowded() {
		c.w.Header().Set("Connection", "close")
	}
	if refusal.Reason == wechat.ReasonUnknownURL {
		c.fail(http.StatusNotFound)
		return
	}
	c.fail(http.StatusForbidden)
}

// fail answers with a status that makes WeChat try again, if it was WeChat. Pay wants to be told so in JSON too.
func (c *callback) fail(status int) {
	if c.served.config.Platform == config.PlatformPay {
		c.answer(status, "application/json", []byte(`{"code":"FAIL","message":"not accepted"}`))
		return
	}
	c.answer(status, plainText, nil)
}

const plainText = "text/plain; charset=utf-8"

func (c *callback) answer(status int, contentType string, body []byte) {
	answer(c.w, status, contentType, body)
}

// answer writes the exact bytes, as a type that no browser runs: echostr is chosen by whoever holds a signature.
func answer(w http.ResponseWriter, status int, contentType string, body []byte) {
	writeHead(w, status, contentType, len(body))
	_, _ = w.Write(body) // a client that hung up needs no answer
}

func writeHead(w http.ResponseWriter, status int, contentType string, length int) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(length))
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
}
