// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

const (
	newKey = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
	oldKey = "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR"
)

// TestPairsEndByThemselves: the sidecar needs no operator to refuse what has ended.
func TestPairsEndByThemselves(t *testing.T) {
	encrypted := config.Config{Platform: config.PlatformOfficialAccount, MessageMode: config.ModeEncrypted, AppID: "wx1", Path: "/weixin"}
	plaintext := encrypted
	plaintext.MessageMode = config.ModePlaintext
	for name, test := range map[string]struct {
		config  config.Config
		sender  caller.Sender
		ends    time.Duration // of the older pair, from now
		refused wechat.Reason
	}{
		"an older token before its end":         {plaintext, caller.Sender{Token: older}, time.Second, ""},
		"an older token at its end":             {plaintext, caller.Sender{Token: older}, 0, wechat.ReasonBadSignature},
		"an older pair before its end":          {encrypted, caller.Sender{Token: older, EncodingAESKey: oldKey, ReceiverID: "wx1"}, time.Second, ""},
		"an older pair at its end":              {encrypted, caller.Sender{Token: older, EncodingAESKey: oldKey, ReceiverID: "wx1"}, 0, wechat.ReasonBadSignature},
		"the newer pair after the older's end":  {encrypted, caller.Sender{Token: token, EncodingAESKey: newKey, ReceiverID: "wx1"}, 0, ""},
		"the newer token after the older's end": {plaintext, caller.Sender{Token: token}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			end := now.Add(test.ends)
			gate := New(test.config, config.Credentials{Pairs: []config.Pair{
				{Generation: 2, Token: token, EncodingAESKey: newKey}, {Generation: 1, Token: older, EncodingAESKey: oldKey, NotAfter: &end},
			}})
			_, err := gate.checked(play(t, test.sender), now)
			var refusal *wechat.Refusal
			if test.refused == "" && err != nil || test.refused != "" && (!errors.As(err, &refusal) || refusal.Reason != test.refused) {
				t.Errorf("error %v, want %q", err, test.refused)
			}
		})
	}
}

func TestPlatformKeyEndsWithItsPair(t *testing.T) {
	payer, gate := newPayer(t)
	request := payer.request(t, func(*notification) {})
	gate.pairs[0].NotAfter = new(now.Add(time.Second))
	if _, err := gate.checked(request, now); err != nil {
		t.Errorf("before the end: %v", err)
	}
	gate.pairs[0].NotAfter = new(now)
	var refusal *wechat.Refusal
	if _, err := gate.checked(request, now); !errors.As(err, &refusal) || refusal.Reason != wechat.ReasonUnknownSerial {
		t.Errorf("at the end: %v", err)
	}
}

// TestSignatureOfTwoPairsTellsNoGeneration: where only the key was changed, a signature alone does not say whether the
// console has the new one, and an older pair must not begin to end because of it.
func TestSignatureOfTwoPairsTellsNoGeneration(t *testing.T) {
	gate := New(config.Config{Platform: config.PlatformOfficialAccount, MessageMode: config.ModeEncrypted, AppID: "wx1", Path: "/weixin"},
		config.Credentials{Pairs: []config.Pair{
			{Generation: 2, Token: token, EncodingAESKey: newKey}, {Generation: 1, Token: token, EncodingAESKey: oldKey},
		}})
	sender := caller.Sender{URL: "http://a/weixin", Token: token, Now: func() time.Time { return now }}
	check, err := sender.NewURLCheck()
	if err != nil {
		t.Fatal(err)
	}
	message, err := gate.checked(asked(check), now)
	if err != nil || message.Generation != 0 {
		t.Errorf("the URL check is of generation %d, %v", message.Generation, err)
	}
	for key, want := range map[string]int64{newKey: 2, oldKey: 1} {
		message, err := gate.checked(play(t, caller.Sender{Token: token, EncodingAESKey: key, ReceiverID: "wx1"}), now)
		if err != nil || message.Generation != want {
			t.Errorf("a message is of generation %d, want %d, %v", message.Generation, want, err)
		}
	}
}

// play is a message as the sender would send it now.
func play(t *testing.T, sender caller.Sender) Request {
	t.Helper()
	sender.URL, sender.Now = "http://a/weixin", func() time.Time { return now }
	request, err := sender.NewText("oUser", "hi")
	if err != nil {
		t.Fatal(err)
	}
	return asked(request)
}

func asked(r *caller.Request) Request {
	return Request{Method: r.Method, Host: r.Host, Path: r.Path, RawQuery: r.Query, Body: func() ([]byte, error) { return r.Body, nil }}
}
