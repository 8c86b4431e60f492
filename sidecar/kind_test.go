// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"testing"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/tracing"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// TestKindsOfMessages are told by what WeChat alone writes, and by no word of it.
func TestKindsOfMessages(t *testing.T) {
	for name, test := range map[string]struct {
		platform, message string
		want              tracing.Kind
	}{
		"a user's":             {config.PlatformOfficialAccount, "<xml><MsgType>text</MsgType></xml>", tracing.KindMessage},
		"of a kind to come":    {config.PlatformOfficialAccount, "<xml><MsgType>hologram</MsgType></xml>", tracing.KindMessage},
		"an event":             {config.PlatformOfficialAccount, "<xml><MsgType>event</MsgType><Event>subscribe</Event></xml>", tracing.KindEvent},
		"an event without one": {config.PlatformMiniProgram, `{"MsgType":"event"}`, tracing.KindEvent},
		"a ticket":             {config.PlatformOpenPlatform, "<xml><AppId>wx1</AppId><InfoType>component_verify_ticket</InfoType></xml>", tracing.KindCommand},
		"a payment":            {config.PlatformPay, `{"out_trade_no":"1"}`, tracing.KindNotification},
		"one that is unknown":  {config.PlatformWeCom, "<xml><Unknown>\x1d</Unknown><MsgType>text</MsgType></xml>", tracing.KindUnreadable},
		"no document":          {config.PlatformWeCom, "text", tracing.KindUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			if got := kindOf(test.platform, new(wechat.ReadFields([]byte(test.message)))); got != test.want {
				t.Errorf("it is told as %s, want %s", got, test.want)
			}
		})
	}
}
