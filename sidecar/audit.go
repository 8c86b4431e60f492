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
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// audits reports whether a refused message goes on all the same, marked as unverified. It is for the days of a move from
// an app that verifies for itself, and ends by itself. URL checks are never let through, nor what has no place here: a
// wrong URL or method, or a body over the bound.
func (s *served) audits(r *http.Request, err error, now time.Time) bool {
	var refusal *wechat.Refusal
	if s.config.AuditUntil == nil || !now.Before(*s.config.AuditUntil) || s.config.Platform == config.PlatformPay ||
		r.Method != http.MethodPost || !errors.As(err, &refusal) {
		return false
	}
	return refusal.Reason != wechat.ReasonUnknownURL && refusal.Reason != wechat.ReasonTooLarge
}

// forwardUnverified gives the app the request as it came, with the reason why it would have been refused. It is neither
// signed for the app nor remembered, so that nothing of it can pass for a verified message, now or later.
func (s *Sidecar) forwardUnverified(w http.ResponseWriter, r *http.Request, served *served, body *boundedBody, cause error) {
	content, err := body.read()
	if err != nil {
		body.release()
		s.refuse(w, served.config.Platform, err)
		return
	}
	var refusal *wechat.Refusal
	errors.As(cause, &refusal) // audits saw it
	s.metrics.Refused.WithLabelValues(string(refusal.Reason)).Inc()
	s.metrics.Unverified.Inc()
	app := policy.Decide(config.Config{Platform: served.config.Platform, Backend: served.config.Backend}, wechat.Fields{}).Backend
	path := r.URL.EscapedPath()
	if app.Path != "" {
		path = app.Path
	}
	call := backend.Call{
		URL: app.URL + path + "?" + r.URL.RawQuery, Body: content, Deadline: time.Now().Add(time.Duration(app.Deadline)),
		Header: http.Header{
			"Content-Type":                 {wechat.FormOf(content).ContentType()},
			"User-Agent":                   {"wechatendpoint"},
			"X-Wechat-Verified":            {"false"},
			"X-Wechat-Verification-Reason": {string(refusal.Reason)},
			"X-Wechat-Endpoint":            {served.config.Endpoint},
			"X-Wechat-Platform":            {served.config.Platform},
		},
		Check: func(reply []byte) error { return wechat.CheckReply(reply, wechat.FormOf(content)) },
	}
	s.calls.Add(1)
	reply := s.backend.Start(call, func(backend.Answer, bool) {
		body.release()
		s.calls.Done()
	}).Wait(r.Context(), call.Deadline, false)
	if reply.Outcome != backend.Answered {
		fail(w, served.config.Platform, http.StatusServiceUnavailable)
		return
	}
	answer(w, http.StatusOK, wechat.FormOf(reply.Reply).ContentType(), reply.Reply)
}
