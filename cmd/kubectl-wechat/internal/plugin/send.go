// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// send plays a scenario, message by message. A URL that the console would not take is called all the same.
func (p Plugin) send(ctx context.Context, o options) (int, error) {
	t, err := p.target(ctx, o)
	if err != nil {
		return 0, err
	}
	plays, err := t.plays(o)
	if err != nil {
		return 0, err
	}
	requests := make([]*caller.Request, len(plays))
	for i, one := range plays {
		if requests[i], err = t.sender.NewScenario(one.Scenario); err != nil {
			return 0, err
		}
	}
	r := p.reportOn(t, o)
	r.endpoint(t)
	if refusal := diagnose.URL(&t.sender); refusal != nil {
		r.line("note", "%s", told(refusal).cause)
	}
	worst := StatusOK
	for i, one := range plays {
		status, err := r.play(ctx, t, one, requests[i])
		if err != nil {
			return 0, err
		}
		worst = max(worst, status)
	}
	if o.scenario == scenarioReleaseCheck {
		r.line("note", "the release check also wants the code and _from_api by the customer service API, which cannot be seen here, "+
			"and a ticket at the other URL (--scenario ticket)")
	}
	return worst, nil
}

// play sends one message and says what WeChat would make of the answer.
func (r report) play(ctx context.Context, t target, p play, request *caller.Request) (int, error) {
	r.line("message", "%s", p.Name)
	answer, err := t.sender.Send(ctx, request)
	if ctx.Err() != nil {
		return 0, errInterrupted
	}
	r.exchange(t, request, answer)
	if p.text != "" {
		r.line("text", "%s", printable(answer.Redact(p.text)))
	}
	answer, refusal := diagnose.Open(&t.sender, answer, err)
	if refusal != nil {
		return r.refused(p.consequence, told(refusal)), nil
	}
	if answer.Sealed {
		r.line("sealed", "yes, and opened with the EncodingAESKey")
	}
	reply, refusal := diagnose.Scenario(p.Scenario, answer, err)
	r.reply(answer, reply)
	if refusal != nil {
		return r.refused(p.after(answer), told(refusal)), nil
	}
	return r.ok("%s", p.ok), nil
}
