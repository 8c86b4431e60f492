// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"

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
	if refusal := diagnose.URL(&t.sender); refusal != nil {
		return r.refused(text.Text{}, told(refusal)), nil
	}
	if t.endpoint != nil && o.url == "" {
		if refusal := unpublished(t.endpoint); refusal != nil {
			return r.refused(text.Text{}, refusal), nil
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
	if refusal := diagnose.URLCheck(answer, err); refusal != nil {
		return r.refused(text.Text{}, told(refusal)), nil
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
