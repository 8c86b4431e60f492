// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/backend"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/taps"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Whoever has an endpoint's gateway key may look at its messages as they come, and answer for users whom he names. What he does decides nothing for
// other messages, and nobody waits for him longer than the app can spare.

// openTap opens a tap of the endpoint that is asked for, if the caller proves that he has its gateway key.
func (s *Sidecar) openTap(asked tap.Asked, authorization []string) (*taps.Tap, tap.Refusal) {
	query, err := tap.ParseQuery(asked.RawQuery)
	if err != nil {
		return nil, tap.Malformed
	}
	e, proof, refusal := s.proven(query.Endpoint, asked, authorization)
	if refusal != "" {
		return nil, refusal
	}
	opened, refusal := e.taps.Open(proof, asked, query, e.clock(time.Now()))
	if refusal == "" {
		e.log.Warn("somebody looks at messages with the gateway key", "until", opened.Until, "messages", query.Messages, "keeps", query.Keep, "answersForUsers", len(query.Take))
	}
	return opened, refusal
}

// answerTap takes what is to be answered to a message that a tap took.
func (s *Sidecar) answerTap(asked tap.Asked, authorization []string, reply []byte) tap.Refusal {
	answer, err := tap.ParseAnswer(asked.RawQuery)
	if err != nil {
		return tap.Malformed
	}
	e, _, refusal := s.proven(answer.Endpoint, asked, authorization)
	if refusal != "" {
		return refusal
	}
	return e.taps.Answer(answer, reply)
}

// proven returns the endpoint whose gateway key has signed the request. Whoever has none learns nothing, not even which endpoints there are.
func (s *Sidecar) proven(endpoint string, asked tap.Asked, authorization []string) (*Endpoint, tap.Proof, tap.Refusal) {
	if len(authorization) != 1 {
		return nil, tap.Proof{}, tap.Forbidden
	}
	proof, ok := tap.ParseProof(authorization[0])
	a, own := s.table.Load().named(endpoint), s.own.Load()
	if !ok || a == nil || own == nil {
		return nil, tap.Proof{}, tap.Forbidden
	}
	return a.endpoint, proof, a.endpoint.taps.Verify(proof, asked, *own, s.clock(time.Now()))
}

// addressesOf are the addresses by which a pod is told from others: the loopback is every pod's, unless a process has no other.
func addressesOf(own []netip.Addr) []netip.Addr {
	others := slices.DeleteFunc(slices.Clone(own), netip.Addr.IsLoopback)
	if len(others) == 0 {
		return own
	}
	return others
}

// tellTaps is what /status says; nil where nobody looks.
func (e *Endpoint) tellTaps() *config.Tap {
	s := e.taps.Status()
	if s == (taps.Status{}) {
		return nil
	}
	return &config.Tap{Open: s.Open, Until: s.Until, TakenUsers: s.Taken, KeepsUntil: s.KeepsUntil, KeptBytes: s.KeptBytes}
}

// verdict is what taps are told of a callback. Its texts may be parts of the message.
type verdict struct {
	tells         bool // there is something to tell
	repeat, taken bool
	played        bool
	delivery      taps.Delivery
	outcome       outcome.Outcome
	cause         outcome.Cause
	reason        wechat.Reason
	kind, event   string
}

// conclude notes what became of a verified callback. The operator's own tell nobody anything.
func (v *verdict) conclude(message *gate.Message, report outcome.Report) {
	v.tells = report.Outcome != outcome.Probe
	v.outcome, v.cause, v.played = report.Outcome, report.Failure.Cause, message.Played()
	v.kind, v.event = message.Fields.MsgType, cmp.Or(message.Fields.Event, message.Fields.InfoType)
}

// record tells taps what became of the callback.
func (c *callback) record(status int, took time.Duration) {
	v := &c.verdict
	if !v.tells || c.handover != nil && c.handover.declined != 0 {
		return
	}
	if v.reason != "" {
		v.played = gate.SaysPlayed(c.request)
	}
	c.taps.Record(taps.Verdict{
		At: c.request.Arrived, Platform: c.account.config.Platform, Delivery: v.delivery, Outcome: string(v.outcome), Reason: string(v.reason), Cause: string(v.cause),
		Type: plain(v.kind), Event: plain(v.event), Status: status, Took: took, Repeat: v.repeat, Played: v.played, Taken: v.taken,
	})
}

// plain is a word of WeChat's, or nothing.
func plain(text string) string {
	if !plainWord(text) {
		return ""
	}
	return text
}

// takePatience is how long somebody's computer is waited for at most, who answers for a user: the app needs the rest of the time where he does not.
const takePatience = 2 * time.Second

// show copies a message to those who look at the endpoint's messages. If one of them answers for its sender, it waits for him, for half of the time
// until the deadline at most. It reports false where the app is to answer. What it costs without anybody who looks is one atomic load.
func (e *errand) show(ctx context.Context, call *backend.Call, delivery *backend.Delivery) (answer backend.Answer, taken bool) {
	if !e.taps.Listened() || e.decision.Unverified {
		return backend.Answer{}, false
	}
	now := time.Now()
	until := now.Add(min(takePatience, e.deadline.Sub(now)/2))
	shown := taps.Message{At: e.request.Arrived, Delivery: e.verdict.delivery, Target: call.Target, Fields: call.Fields, Body: call.Body}
	reply, result := e.taps.Show(ctx, shown, e.message.Fields.FromUserName, until)
	if result == taps.NotTaken {
		return backend.Answer{}, false
	}
	if result == taps.Answered && (int64(len(reply)) > call.MaxReply || call.Check != nil && call.Check(reply) != nil) {
		result = taps.Declined // WeChat would not take it
	}
	e.taken(result)
	if result != taps.Answered {
		return backend.Answer{}, false
	}
	e.verdict.taken = true
	answer = backend.Answer{Outcome: outcome.Answered, Reply: reply}
	e.settle(e.key, answer)
	delivery.Settle(answer)
	return answer, true
}
