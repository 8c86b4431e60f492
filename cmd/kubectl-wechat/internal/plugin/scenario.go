// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"slices"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// Names of what send can play.
const (
	scenarioText         = "text"
	scenarioBot          = "bot"
	scenarioSuiteTicket  = "suite-ticket"
	scenarioOrder        = "order"
	scenarioTicket       = "ticket"
	scenarioReleaseCheck = "release-check"
	scenarioPayment      = "payment"
	scenarioSignTest     = "signtest"
)

// scenarios are what can be played for a platform, the default first.
var scenarios = map[v1alpha1.Platform][]string{
	v1alpha1.PlatformOfficialAccount: {scenarioText},
	v1alpha1.PlatformMiniProgram:     {scenarioText},
	v1alpha1.PlatformShop:            {scenarioOrder},
	v1alpha1.PlatformWeCom:           {scenarioText, scenarioBot, scenarioSuiteTicket},
	v1alpha1.PlatformOpenPlatform: {
		scenarioTicket, caller.Authorized, caller.UpdateAuthorized, caller.Unauthorized, scenarioText, scenarioReleaseCheck,
	},
	v1alpha1.PlatformPay: {scenarioPayment, scenarioSignTest},
}

// play is one message with what is said about its answer.
type play struct {
	caller.Scenario
	text string // what the user writes, empty where nobody does
	// consequence goes before the cause of a refusal.
	consequence, ok text.Text
}

// after is the consequence of an answer: who is told success in the app's place is shown nothing.
func (p play) after(answer caller.Answer) text.Text {
	if report, ok := answer.Report(); ok && report.Outcome == outcome.Acknowledged && p.text != "" {
		return text.New("WeChat would show the user nothing: ")
	}
	return p.consequence
}

// plays are the messages of the scenario that the options name.
func (t target) plays(o options) ([]play, error) {
	known := scenarios[t.account.platform]
	if o.scenario == "" {
		o.scenario = known[0]
	}
	if !slices.Contains(known, o.scenario) {
		return nil, text.Errorf("nobody sends that to an account of platform %s: --scenario is one of %v", t.account.platform, known)
	}
	s := &t.sender
	one := play{ok: text.New("WeChat would take this answer")}
	switch o.scenario {
	case scenarioReleaseCheck:
		return t.releaseCheck(o), nil
	case scenarioText, scenarioBot:
		return []play{t.message(o)}, nil
	case scenarioOrder:
		one.Scenario = s.ShopScenario(o.from)
	case scenarioSuiteTicket:
		one.Scenario = s.SuiteTicketScenario()
	case scenarioTicket:
		one.Scenario = s.TicketScenario()
	case scenarioPayment:
		one.Scenario, one.consequence, one.ok = s.PaymentScenario(t.merchant(o), o.from), text.New("WeChat Pay would send it again: "), text.New("WeChat Pay would take this answer")
	case scenarioSignTest:
		one.Scenario, one.ok = s.ProbeScenario(t.merchant(o), o.from), text.New("the wrong signature was refused, as WeChat Pay wants")
	default: // a kind of authorization
		one.Scenario = s.AuthorizationScenario(o.scenario, caller.ReleaseAccounts[0].AppID)
	}
	return []play{one}, nil
}

// message is what a user writes. WeCom shows its users no notice of a fault.
func (t target) message(o options) play {
	p := play{Scenario: t.sender.TextScenario(o.from, o.text), text: o.text, ok: text.New("WeChat would take this reply")}
	if t.account.platform != v1alpha1.PlatformWeCom {
		p.consequence = text.New("WeChat would show the user %q: ", diagnose.FaultNotice)
	}
	return p
}

// releaseCheck plays with the first Official Account and the first Mini Program of WeChat's.
func (t target) releaseCheck(o options) []play {
	seen := map[bool]bool{}
	var all []play
	for _, account := range caller.ReleaseAccounts {
		if seen[account.MiniProgram] {
			continue
		}
		seen[account.MiniProgram] = true
		for _, scenario := range t.sender.ReleaseCheck(account, o.from) {
			all = append(all, play{Scenario: scenario, consequence: text.New("the release check would fail: "), ok: text.New("the release check would take this answer")})
		}
	}
	return all
}

func (t target) merchant(o options) string {
	if id := (caller.Account{ReceiverIDs: t.account.accepted(o), PathID: o.pathID}).Receiver(); id != "" {
		return id
	}
	return "1900000001"
}
