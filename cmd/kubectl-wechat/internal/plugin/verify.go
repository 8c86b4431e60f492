// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// verify does the URL check. A URL that the console would not take is refused before anything is sent.
func (p Plugin) verify(ctx context.Context, o options) (int, error) {
	t, err := p.target(ctx, o)
	if err != nil {
		return 0, err
	}
	r := newReport(p.Stdout, t, o)
	r.endpoint(t)
	if refusal := diagnose.URL(&t.sender); refusal != nil {
		return r.refused("", refusal), nil
	}
	if t.endpoint != nil && o.url == "" {
		if refusal := unpublished(t.endpoint); refusal != nil {
			return r.refused("", refusal), nil
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
		return r.refused("", refusal), nil
	}
	return r.ok("WeChat would accept this URL, if the console holds " + t.secrets(o)), nil
}

// secrets names what the check was made with. Nobody but the console knows what it holds.
func (t target) secrets(o options) string {
	what := "the token"
	if t.account.encrypted() {
		what += " and the EncodingAESKey"
	}
	if t.endpoint == nil || o.tokenFile+o.aesKeyFile != "" {
		return what + " of the command line"
	}
	return fmt.Sprintf("%s of Secret %s/%s", what, t.endpoint.Namespace, t.endpoint.Spec.Credentials.SecretName)
}
