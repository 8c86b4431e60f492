// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

func TestEachKindOfMessageHasItsAnswer(t *testing.T) {
	const user, info = "text", "component_verify_ticket"
	backend := func(onDeadline string, deadline time.Duration) config.Backend {
		return config.Backend{Payload: config.PayloadDecrypted, OnDeadline: onDeadline, Deadline: config.Duration(deadline)}
	}
	acknowledged, failed := backend(config.OnDeadlineAcknowledge, 4500*time.Millisecond), backend(config.OnDeadlineFail, 4500*time.Millisecond)
	for name, test := range map[string]struct {
		platform string
		fields   wechat.Fields
		want     Decision
	}{
		"a user's message":               {config.PlatformOfficialAccount, wechat.Fields{MsgType: user}, Decision{Rule: NoRule, Backend: acknowledged, Acknowledgement: "success", Replies: true}},
		"a user's of a Mini Program":     {config.PlatformMiniProgram, wechat.Fields{MsgType: user}, Decision{Rule: NoRule, Backend: acknowledged, Acknowledgement: "success", Replies: true}},
		"goods that were paid for":       {config.PlatformMiniProgram, wechat.Fields{Event: "xpay_goods_deliver_notify"}, Decision{Rule: NoRule, Backend: failed, Acknowledgement: "success", Replies: true}},
		"a game's goods":                 {config.PlatformMiniProgram, wechat.Fields{Event: "minigame_game_pay_goods_deliver_notify"}, Decision{Rule: NoRule, Backend: failed, Acknowledgement: "success", Replies: true}},
		"an event of a shop":             {config.PlatformShop, wechat.Fields{Event: "channels_ec_order_pay"}, Decision{Rule: NoRule, Backend: failed, Acknowledgement: "success", Replies: true}},
		"a message to a WeCom app":       {config.PlatformWeCom, wechat.Fields{MsgType: user}, Decision{Rule: NoRule, Backend: acknowledged, Replies: true}},
		"a command to a suite":           {config.PlatformWeCom, wechat.Fields{InfoType: "suite_ticket"}, Decision{Rule: NoRule, Backend: backend(config.OnDeadlineFail, 900*time.Millisecond), Acknowledgement: "success"}},
		"a ticket":                       {config.PlatformOpenPlatform, wechat.Fields{InfoType: info}, Decision{Rule: NoRule, Backend: failed, Acknowledgement: "success"}},
		"a message to an authorizer":     {config.PlatformOpenPlatform, wechat.Fields{MsgType: user}, Decision{Rule: NoRule, Backend: failed, Acknowledgement: "success", Replies: true}},
		"a payment to the platform":      {config.PlatformMiniProgram, wechat.Fields{Event: "funds_order_pay"}, Decision{Rule: NoRule, Backend: failed, Acknowledgement: "success", Replies: true}},
		"a payment, whatever is written": {config.PlatformPay, wechat.Fields{}, Decision{Rule: NoRule, Backend: backend(config.OnDeadlineFail, 2500*time.Millisecond)}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Decide(&config.Config{Platform: test.platform}, &test.fields)); diff != "" {
				t.Errorf("decided otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheFirstRuleThatMatchesDecides(t *testing.T) {
	c := config.Config{Platform: config.PlatformOfficialAccount, Backend: config.Backend{URL: "http://default"}, Rules: []config.Rule{
		{Match: config.Match{MsgType: "event", Event: "VIEW"}, Action: config.ActionDiscard},
		{Match: config.Match{MsgType: "event"}, Action: config.ActionForward, Backend: &config.Backend{URL: "http://events"}},
		{Match: config.Match{InfoType: "x"}, Action: config.ActionForward},
		{Match: config.Match{InfoType: "y"}, Action: config.ActionDiscard},
	}}
	for name, test := range map[string]struct {
		fields  wechat.Fields
		rule    int
		url     string
		discard bool
	}{
		"both fields match":         {wechat.Fields{MsgType: "event", Event: "VIEW"}, 0, "http://default", true},
		"one of them does":          {wechat.Fields{MsgType: "event", Event: "CLICK"}, 1, "http://events", false},
		"case matters":              {wechat.Fields{MsgType: "Event"}, NoRule, "http://default", false},
		"a rule without a backend":  {wechat.Fields{InfoType: "x"}, 2, "http://default", false},
		"another infoType":          {wechat.Fields{InfoType: "y"}, 3, "http://default", true},
		"a message without a field": {wechat.Fields{}, NoRule, "http://default", false},
	} {
		t.Run(name, func(t *testing.T) {
			if d := Decide(&c, &test.fields); d.Rule != test.rule || d.Backend.URL != test.url || d.Discard != test.discard {
				t.Errorf("decided %+v", d)
			}
		})
	}
}

// TestAPaymentIsNeverAcknowledgedForTheApp, not even by a configuration that slipped through.
func TestAPaymentIsNeverAcknowledgedForTheApp(t *testing.T) {
	c := config.Config{Platform: config.PlatformPay, Backend: config.Backend{OnDeadline: config.OnDeadlineAcknowledge}}
	if d := Decide(&c, &wechat.Fields{}); d.Backend.OnDeadline != config.OnDeadlineFail {
		t.Errorf("at the deadline WeChat is told %s", d.Backend.OnDeadline)
	}
}

// TestAudit: what is not verified goes to the app itself, whatever it says, and nothing is said in the app's place.
func TestAudit(t *testing.T) {
	c := config.Config{
		Platform: config.PlatformOfficialAccount, Backend: config.Backend{URL: "http://default", Payload: config.PayloadOriginal, OnDeadline: config.OnDeadlineAcknowledge},
		Rules: []config.Rule{{Match: config.Match{MsgType: "text"}, Action: config.ActionDiscard}},
	}
	want := Decision{
		Rule:            NoRule,
		Backend:         config.Backend{URL: "http://default", Payload: config.PayloadOriginal, OnDeadline: config.OnDeadlineFail, Deadline: config.Duration(4500 * time.Millisecond)},
		Acknowledgement: wechat.Success, Replies: true, Unverified: true,
	}
	if diff := cmp.Diff(want, Audit(&c)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWithoutMemory: only what the signature covers goes on.
func TestWithoutMemory(t *testing.T) {
	for name, test := range map[string]struct {
		config     config.Config
		use, claim Fallback
	}{
		"plaintext":  {config.Config{Platform: config.PlatformOfficialAccount, MessageMode: config.ModePlaintext}, TryAgain, GoOn},
		"compatible": {config.Config{Platform: config.PlatformMiniProgram, MessageMode: config.ModeCompatible}, GoOn, GoOn},
		"encrypted":  {config.Config{Platform: config.PlatformOfficialAccount, MessageMode: config.ModeEncrypted}, GoOn, GoOn},
		"WeCom":      {config.Config{Platform: config.PlatformWeCom}, GoOn, GoOn},
		"Pay":        {config.Config{Platform: config.PlatformPay}, GoOn, GoOn},
	} {
		t.Run(name, func(t *testing.T) {
			if use, claim := WithoutUse(&test.config), WithoutClaim(&test.config); use != test.use || claim != test.claim {
				t.Errorf("without use %v, without claim %v", use, claim)
			}
		})
	}
}
