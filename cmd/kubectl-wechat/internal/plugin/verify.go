// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"time"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/doctor"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// verify does the URL check. A URL that the console would not take is refused before anything is sent.
func (p Plugin) verify(ctx context.Context, o options) (int, error) {
	t, err := p.target(ctx, o)
	if err != nil {
		return 0, err
	}
	r := p.reportOn(t, o)
	r.endpoint(t)
	if invalid := diagnose.URL(&t.sender); invalid != nil {
		return r.refused(text.Text{}, told(invalid)), nil
	}
	if t.endpoint != nil && o.url == "" {
		if why := unpublished(t.endpoint); why != nil {
			return r.refused(text.Text{}, why), nil
		}
	}
	request, err := t.sender.NewURLCheck()
	if err != nil {
		return 0, err
	}
	answer, err := t.sender.Send(ctx, request)
	if ctx.Err() != nil {
		return 0, errInterrupted
	}
	r.exchange(t, request, answer)
	call := doctor.Call{Address: answer.Remote, Answer: answer, Err: err, Signed: true}
	for _, one := range doctor.Decide(doctor.Facts{Now: time.Now(), Platform: t.account.platform, Checked: true, Here: doctor.Here{Calls: []doctor.Call{call}}}) {
		switch one.Level {
		case doctor.Refuses:
			return r.refused(text.Text{}, &refusal{diagnose.Code(one.Cause), one.Text, one.Remedy}), nil
		case doctor.Risk:
			r.line("note", "%s: %s", one.Text, one.Remedy)
		case doctor.Unknown, doctor.Ask: // kubectl wechat doctor tells them
		}
	}
	return r.ok("WeChat would accept this URL, if the console holds %s", t.secrets(o)), nil
}

// secrets names what the check was made with. Nobody but the console knows what it holds.
func (t target) secrets(o options) text.Text {
	what := text.New("the token")
	if t.account.encrypted() {
		what = text.New("the token and the EncodingAESKey")
	}
	if t.endpoint == nil || o.tokenFile+o.aesKeyFile != "" {
		return text.New("%s of the command line", what)
	}
	return text.New("%s of Secret %s/%s", what, t.endpoint.Namespace, t.endpoint.Spec.Credentials.SecretName)
}
