// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Uses remembers the first use of each signature.
type Uses interface {
	// Use reports whether a verified signature may be used with this method and body: it is the first use, or the same as the
	// first one. It remembers the use until the given time. Admit returns its error as it is.
	Use(ctx context.Context, signature, method string, body []byte, now, until time.Time) (bool, error)
}

// Admit adds to what Check returned of a request the two decisions that need more than the request: whether the signature was used
// before, and whether a message that failed a check goes on all the same.
func (g *Gate) Admit(ctx context.Context, m *Message, r Request, err error, uses Uses, now time.Time) error {
	if err == nil && m.Bind {
		err = bind(ctx, r, m, uses, now)
	}
	if err == nil {
		return nil
	}
	*m = Message{}
	if refusal, ok := g.audits(r, err, now); ok {
		return m.unverify(r, refusal)
	}
	return err
}

// bind ties the use of a signature to its first one.
func bind(ctx context.Context, r Request, m *Message, uses Uses, now time.Time) error {
	ok, err := uses.Use(ctx, m.Query.Signature, r.Method, m.Body, now, m.StaleAt)
	if err == nil && !ok {
		err = wechat.Refuse(wechat.ReasonReplayed, "the signature was used before, with another body or method")
	}
	return err
}

// audits reports whether a refused message goes on all the same, marked as unverified. It is for the days of a move from
// an app that verifies for itself, and ends by itself. URL checks are never let through, nor what has no place here: a
// wrong URL or method, or a body over the bound.
func (g *Gate) audits(r Request, err error, now time.Time) (refusal *wechat.Refusal, ok bool) {
	until := g.config.AuditUntil
	if until == nil || !now.Before(*until) || g.config.Platform == config.PlatformPay || r.Method != "POST" {
		return nil, false
	}
	refusal, ok = errors.AsType[*wechat.Refusal](err)
	return refusal, ok && refusal.Reason != wechat.ReasonUnknownURL && refusal.Reason != wechat.ReasonTooLarge
}

// unverify makes m a message of which nothing is known but that it failed a check.
func (m *Message) unverify(r Request, refusal *wechat.Refusal) error {
	body, err := r.Body()
	if err == nil {
		*m = Message{Body: body, Form: wechat.FormOf(body), Unverified: refusal}
	}
	return err
}
