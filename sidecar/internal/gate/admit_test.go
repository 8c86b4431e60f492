// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// known is a memory that answers the same to all, and counts who asked.
type known struct {
	fresh bool
	fails error
	asked int
}

func (k *known) Use(context.Context, string, string, []byte, time.Time, time.Time) (bool, error) {
	k.asked++
	return k.fresh, k.fails
}

// admit checks a request, and admits it.
func (g *Gate) admit(ctx context.Context, r Request, uses Uses, now time.Time) (*Message, error) {
	m := new(Message)
	err := g.Admit(ctx, m, r, g.Check(m, r, now), uses, now)
	if reflect.ValueOf(*m).IsZero() {
		return nil, err
	}
	return m, err
}

// TestAdmit: the first use of a signature decides where the signature covers no body, and nowhere else.
func TestAdmit(t *testing.T) {
	plaintext := func() (*Gate, Request) {
		return newGate(), request{method: "POST", host: "wx.example.com", path: "/weixin", token: token, nonce: "7", body: "<xml/>"}.gate()
	}
	for name, test := range map[string]struct {
		edit    func(*Request)
		fresh   bool
		refused wechat.Reason
		asked   int
	}{
		"the first use passes":                 {fresh: true, asked: 1},
		"another use of it does not":           {refused: wechat.ReasonReplayed, asked: 1},
		"the memory is not asked of forgeries": {edit: func(r *Request) { r.RawQuery += "0" }, fresh: true, refused: wechat.ReasonBadSignature},
	} {
		t.Run(name, func(t *testing.T) {
			gate, r := plaintext()
			if test.edit != nil {
				test.edit(&r)
			}
			uses := &known{fresh: test.fresh}
			_, err := gate.admit(t.Context(), r, uses, now)
			var refusal *wechat.Refusal
			if errors.As(err, &refusal) != (test.refused != "") || refusal != nil && refusal.Reason != test.refused {
				t.Errorf("error %v, want reason %q", err, test.refused)
			}
			if uses.asked != test.asked {
				t.Errorf("the memory was asked %d times, want %d", uses.asked, test.asked)
			}
		})
	}
}

// TestAudit: what goes on all the same is marked, and nothing is known of it.
func TestAudit(t *testing.T) {
	broken := errors.New("the body broke off")
	for name, test := range map[string]struct {
		edit   func(*Request)
		ends   time.Duration
		goesOn bool
	}{
		"a forgery goes on":           {ends: time.Second, goesOn: true},
		"until the end of the audit":  {ends: 0},
		"a URL check does not":        {edit: func(r *Request) { r.Method = "GET" }, ends: time.Second},
		"nor what is for another URL": {edit: func(r *Request) { r.Path = "/admin" }, ends: time.Second},
		"nor what is too long": {edit: func(r *Request) {
			r.Body = func() ([]byte, error) { return nil, wechat.Refuse(wechat.ReasonTooLarge, "") }
		}, ends: time.Second},
		"nor what finds no room": {edit: func(r *Request) { r.Body = func() ([]byte, error) { return nil, broken } }, ends: time.Second},
		"nor what is not there as whole": {edit: func(r *Request) {
			r.Body = func() ([]byte, error) { return nil, wechat.Refuse(wechat.ReasonMalformed, "") }
		}, ends: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			until := now.Add(test.ends)
			gate := New(config.Config{Platform: config.PlatformOfficialAccount, MessageMode: config.ModeEncrypted, AppID: "wx1", Path: "/weixin", AuditUntil: &until},
				config.Credentials{Pairs: []config.Pair{{Generation: 1, Token: token, EncodingAESKey: aesKey}}})
			r := request{method: "POST", host: "wx.example.com", path: "/weixin", token: token, nonce: "7", body: "<xml/>", more: "&msg_signature=" + wechat.Sign("x")}.gate()
			if test.edit != nil {
				test.edit(&r)
			}
			message, err := gate.admit(t.Context(), r, &known{}, now)
			if (err == nil) != test.goesOn || test.goesOn != (message != nil && message.Unverified != nil) {
				t.Fatalf("error %v, message %+v", err, message)
			}
			if test.goesOn && (string(message.Body) != "<xml/>" || message.Generation != 0 || message.Fields != (wechat.Fields{})) {
				t.Errorf("it goes on as %+v", message)
			}
		})
	}
}

// TestAMemoryThatFails lets nothing pass, whatever it says besides, and is no refusal that an audit would let through.
func TestAMemoryThatFails(t *testing.T) {
	fails := errors.New("the memory is away")
	until := now.Add(time.Hour)
	gate := New(config.Config{Platform: config.PlatformOfficialAccount, MessageMode: config.ModePlaintext, Path: "/weixin", AuditUntil: &until},
		config.Credentials{Pairs: []config.Pair{{Generation: 1, Token: token}}})
	r := request{method: "POST", path: "/weixin", token: token, nonce: "7", body: "<xml/>"}.gate()
	if message, err := gate.admit(t.Context(), r, &known{fresh: true, fails: fails}, now); !errors.Is(err, fails) || message != nil {
		t.Errorf("error %v, message %+v", err, message)
	}
}
