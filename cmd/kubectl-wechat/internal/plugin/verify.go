// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// verify does the URL check. A URL that the console would not take is refused before anything is sent.
func (p Plugin) verify(ctx context.Context, _ options, t target) (int, error) {
	r := report{p.Stdout}
	if t.endpoint != nil && t.endpoint.Spec.Platform == v1alpha1.PlatformOpenPlatform {
		return 0, errors.New("WeChat does not check the URLs of a third-party platform: it sends a ticket every ten minutes instead")
	}
	r.endpoint(t)
	if refusal := wechattest.DiagnoseURL(t.sender.URL); refusal != nil {
		return r.refused("", refusal), nil
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
	if refusal := wechattest.Diagnose(answer, err); refusal != nil {
		return r.refused("", refusal), nil
	}
	return r.ok("WeChat would accept this URL"), nil
}
