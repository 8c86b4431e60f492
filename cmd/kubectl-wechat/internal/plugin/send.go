// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// send posts one text message. A URL that the console would not take is called all the same.
func (p Plugin) send(ctx context.Context, o options, t target) (int, error) {
	r := report{p.Stdout}
	request, err := t.sender.NewText(o.from, o.text)
	if err != nil {
		return 0, err
	}
	r.endpoint(t)
	if refusal := wechattest.DiagnoseURL(t.sender.URL); refusal != nil {
		r.line("note", "%s", refusal.Cause)
	}
	answer, err := t.sender.Send(ctx, request)
	if ctx.Err() != nil {
		return 0, errInterrupted
	}
	r.exchange(t, request, answer)
	r.line("text", "%s", printable(answer.Redact(o.text)))
	reply, refusal := wechattest.DiagnoseReply(answer, err)
	r.reply(answer, reply)
	if refusal != nil {
		return r.refused(fmt.Sprintf("WeChat would show the user %q: ", wechattest.FaultNotice), refusal), nil
	}
	return r.ok("WeChat would take this reply"), nil
}
