// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// chatty are the platforms on which users write.
var chatty = []v1alpha1.Platform{v1alpha1.PlatformOfficialAccount, v1alpha1.PlatformMiniProgram, v1alpha1.PlatformWeCom}

// send posts one text message. A URL that the console would not take is called all the same.
func (p Plugin) send(ctx context.Context, o options, t target) (int, error) {
	r := report{p.Stdout}
	if t.endpoint != nil && !slices.Contains(chatty, t.endpoint.Spec.Platform) {
		return 0, fmt.Errorf("nobody writes to an account of platform %s: send is for %v", t.endpoint.Spec.Platform, chatty)
	}
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
	if err == nil && t.sender.EncodingAESKey != "" && !wechat.Acknowledges(answer.Body) && answer.Status == http.StatusOK {
		opened, openErr := t.sender.OpenReply(answer.Body)
		if openErr != nil {
			return r.refused(fmt.Sprintf("WeChat would show the user %q: ", wechattest.FaultNotice), &wechattest.Refusal{
				Cause: "the reply cannot be opened: " + openErr.Error(), Remedy: "let the sidecar seal it (payload: Decrypted), or check the app's own EncodingAESKey and AppID",
			}), nil
		}
		answer.Body = opened
		r.line("sealed", "yes, and opened with the Secret's encodingAESKey")
	}
	reply, refusal := wechattest.DiagnoseReply(answer, err)
	r.reply(answer, reply)
	if refusal != nil {
		return r.refused(fmt.Sprintf("WeChat would show the user %q: ", wechattest.FaultNotice), refusal), nil
	}
	return r.ok("WeChat would take this reply"), nil
}
