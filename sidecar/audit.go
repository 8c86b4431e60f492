// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"errors"
	"net/http"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/backend"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/policy"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// audits reports whether a refused message goes on all the same, marked as unverified. It is for the days of a move from
// an app that verifies for itself, and ends by itself. URL checks are never let through, nor what has no place here: a
// wrong URL or method, or a body over the bound.
func (c *callback) audits(err error) bool {
	var refusal *wechat.Refusal
	until := c.served.config.AuditUntil
	if until == nil || !c.now.Before(*until) || c.served.config.Platform == config.PlatformPay ||
		c.r.Method != http.MethodPost || !errors.As(err, &refusal) {
		return false
	}
	return refusal.Reason != wechat.ReasonUnknownURL && refusal.Reason != wechat.ReasonTooLarge
}

// forwardUnverified gives the app the request as it came, with the reason why it would have been refused. It is neither
// signed for the app nor remembered, so that nothing of it can pass for a verified message, now or later.
func (c *callback) forwardUnverified(parcel *parcel, cause error) {
	content, err := parcel.read()
	if err == nil && !parcel.move(c.bodies, 1) {
		err = errOverloaded
	}
	if err != nil {
		parcel.free()
		c.refuse(err)
		return
	}
	var refusal *wechat.Refusal
	errors.As(cause, &refusal) // audits saw it
	c.metrics.Refused.WithLabelValues(string(refusal.Reason)).Inc()
	c.metrics.Unverified.Inc()
	app := policy.Decide(config.Config{Platform: c.served.config.Platform, Backend: c.served.config.Backend}, wechat.Fields{}).Backend
	call := c.callTo(app, c.arrived.Add(time.Duration(app.Deadline)), c.r.URL.RawQuery)
	call.Body = content
	call.Header = http.Header{
		"Content-Type":                 {wechat.FormOf(content).ContentType()},
		"User-Agent":                   {"wechatendpoint"},
		"X-Wechat-Verified":            {"false"},
		"X-Wechat-Verification-Reason": {string(refusal.Reason)},
		"X-Wechat-Endpoint":            {c.served.config.Endpoint},
		"X-Wechat-Platform":            {c.served.config.Platform},
	}
	call.MaxReply = c.maxReply(wechat.FormOf(content))
	call.Check = func(reply []byte) error { return wechat.CheckReply(reply, wechat.FormOf(content)) }
	c.calls.Add(1)
	reply := c.backend.Start(call, func(backend.Answer, bool) {
		parcel.free()
		c.calls.Done()
	}).Wait(c.r.Context(), call.Deadline, false)
	if reply.Outcome != outcome.Answered {
		c.fail(http.StatusServiceUnavailable)
		return
	}
	c.answer(http.StatusOK, wechat.FormOf(reply.Reply).ContentType(), reply.Reply)
}
