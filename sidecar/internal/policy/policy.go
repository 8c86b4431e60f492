// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package policy says what becomes of a verified message: which app gets it, how long that may take, and what WeChat is
// told. It is pure, and the one place where the platforms' answers differ.
package policy

import (
	"cmp"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Decision is what becomes of one message.
type Decision struct {
	// Rule is the index of the rule that matches, or NoRule.
	Rule int
	// Discard answers the Acknowledgement at once, and calls no app.
	Discard bool
	// Backend is the app, with no field left to a default but Path.
	Backend config.Backend
	// Delivery is how the message gets to it.
	Delivery Delivery
	// Acknowledgement is the body that tells WeChat that the message was taken.
	Acknowledgement string
	// Replies says that the app's reply goes to WeChat; without, its status is all that counts.
	Replies bool
	// Unverified says that the message is told to be so. It is neither signed for the app nor remembered, so that nothing of it can
	// pass for a verified one, now or later.
	Unverified bool
}

// NoRule says that no rule matches.
const NoRule = -1

// Delivery is how a message gets to an app.
type Delivery int

// Direct calls the app while WeChat waits. It is the only one.
const Direct Delivery = iota

// Fallback is what becomes of a callback when the memory cannot be asked about it.
type Fallback int

const (
	// TryAgain tells WeChat to send it again.
	TryAgain Fallback = iota
	// GoOn takes it for one that was never seen.
	GoOn
)

// WithoutUse is for a signature that may have been used before. Where it does not cover the body, nothing else tells a forged body
// from the genuine one.
func WithoutUse(c *config.Config) Fallback {
	if c.MessageMode == config.ModePlaintext {
		return TryAgain
	}
	return GoOn
}

// WithoutClaim is for a message that may be a repeat. In every mode apps get some messages twice, and know them by their delivery id;
// none may be lost.
func WithoutClaim(*config.Config) Fallback { return GoOn }

// Audit returns the decision on a message that failed a check and goes on all the same. What it says decides nothing, and WeChat is
// not told in the app's place that it was taken.
func Audit(c *config.Config) Decision {
	d := Decide(&config.Config{Platform: c.Platform, Backend: c.Backend}, &wechat.Fields{})
	d.Backend.OnDeadline, d.Unverified = config.OnDeadlineFail, true
	return d
}

// Decide returns the decision on a message with these fields.
func Decide(c *config.Config, f *wechat.Fields) Decision {
	d := Decision{Rule: NoRule, Backend: c.Backend, Acknowledgement: acknowledgement(c.Platform, f), Replies: c.Platform != config.PlatformPay && f.InfoType == ""}
	for i := range c.Rules {
		rule := &c.Rules[i]
		if !matches(&rule.Match, f) {
			continue
		}
		d.Rule = i
		d.Discard = rule.Action == config.ActionDiscard
		if rule.Backend != nil {
			d.Backend = *rule.Backend
		}
		break
	}
	d.Backend.Payload = cmp.Or(d.Backend.Payload, config.PayloadDecrypted)
	d.Backend.OnDeadline = cmp.Or(d.Backend.OnDeadline, onDeadline(c, f))
	d.Backend.Deadline = cmp.Or(d.Backend.Deadline, deadline(c.Platform, f))
	if c.Platform == config.PlatformPay {
		d.Backend.OnDeadline = config.OnDeadlineFail // a payment is never acknowledged for the app
	}
	return d
}

func matches(m *config.Match, f *wechat.Fields) bool {
	return (m.MsgType == "" || m.MsgType == f.MsgType) &&
		(m.Event == "" || m.Event == f.Event) &&
		(m.InfoType == "" || m.InfoType == f.InfoType)
}

// acknowledgement is success in message push, and so for the events of a third-party platform and the commands of a
// suite, which insist on exactly that. WeCom's messages and Pay's notifications want no body.
func acknowledgement(platform string, f *wechat.Fields) string {
	if platform == config.PlatformPay || platform == config.PlatformWeCom && f.InfoType == "" {
		return ""
	}
	return wechat.Success
}

// Deadlines leave a part of what WeChat waits for to the network: 5 s; 3 s for Pay (a community article of Tencent's); 1 s
// for the commands of a suite (developer.work.weixin.qq.com/document/path/90642).
func deadline(platform string, f *wechat.Fields) config.Duration {
	switch {
	case platform == config.PlatformPay:
		return config.Duration(2500 * time.Millisecond)
	case platform == config.PlatformWeCom && f.InfoType != "":
		return config.Duration(900 * time.Millisecond)
	}
	return config.Duration(4500 * time.Millisecond)
}

// onDeadline is Fail for what the app must not lose, and Acknowledge for what a user waits for, who would read that the account is
// out of order.
func onDeadline(c *config.Config, f *wechat.Fields) string {
	if c.MustNotBeLost(f.MustNotBeLost()) {
		return config.OnDeadlineFail
	}
	return config.OnDeadlineAcknowledge
}
