// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
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

// played is what came of one message.
type played struct {
	// received is the answer as it came, and opened the same without its encryption.
	received, opened caller.Answer
	reply            diagnose.Reply
	// judged says that the answer could be opened, and the reply read.
	judged bool
	// refusal is why WeChat would not take the answer, behind its consequence; nil if it would.
	refusal     *refusal
	consequence text.Text
}

// play sends one message and judges the answer as WeChat would.
func (t target) play(ctx context.Context, p play, request *caller.Request) (played, error) {
	answer, err := t.sender.Send(ctx, request)
	if ctx.Err() != nil {
		return played{}, errInterrupted
	}
	opened, refusal := diagnose.Open(&t.sender, answer, err)
	if refusal != nil {
		return played{received: answer, opened: opened, refusal: told(refusal), consequence: p.consequence}, nil
	}
	done := played{received: answer, opened: opened, judged: true}
	if done.reply, refusal = diagnose.Scenario(p.Scenario, opened, err); refusal != nil {
		done.refusal, done.consequence = told(refusal), p.after(opened)
	}
	return done, nil
}

// play sends one message and says what WeChat would make of the answer.
func (r report) play(ctx context.Context, t target, p play, request *caller.Request) (int, error) {
	r.line("message", "%s", p.Name)
	done, err := t.play(ctx, p, request)
	if err != nil {
		return 0, err
	}
	r.exchange(t, request, done.received)
	if p.text != "" {
		r.line("text", "%s", printable(done.received.Redact(p.text)))
	}
	if done.opened.Sealed {
		r.line("sealed", "yes, and opened with the EncodingAESKey")
	}
	if done.judged {
		r.reply(done.opened, done.reply)
	}
	if done.refusal != nil {
		return r.refused(done.consequence, done.refusal), nil
	}
	return r.ok("%s", p.ok), nil
}
