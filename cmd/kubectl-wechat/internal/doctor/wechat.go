// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

func atWeChat(cause Cause, said, remedy text.Text) Finding {
	return Finding{Cause: cause, Place: FromWeChat, Level: Ask, Text: said, Remedy: remedy}
}

// decideWeChat says what is left that only WeChat sees. Who was seen using the newest values holds them.
func decideWeChat(f Facts) (all []Finding) {
	if f.Invalid != nil {
		return nil
	}
	if !usesNewest(f.Cluster) {
		all = append(all, atWeChat(CauseConsoleToken, text.New("whether the console holds the same token and key"), text.New("compare them: kubectl wechat console says where they stand")))
	}
	if f.Platform == v1alpha1.PlatformOfficialAccount || f.Platform == v1alpha1.PlatformMiniProgram {
		all = append(all, atWeChat(CauseConsoleMode, text.New("whether the console has the same message mode (消息加解密方式)"), text.New("compare it with messageMode, and the data format (数据格式) with what the app reads")))
	}
	return append(all,
		atWeChat(CauseConsoleURL, text.New("whether the console of the right account has this very URL"), text.New("copy it from here, and compare the AppID or CorpID")),
		atWeChat(CauseInternet, text.New("whether the internet reaches what this computer reaches: ICP filing (备案), firewalls of the web, IP lists, user agents (WeChat's is Mozilla/4.0)"),
			text.New("call the URL from a phone without Wi-Fi, and look for the call in the access log when you press 提交")))
}

// usesNewest reports whether WeChat was seen using the newest credentials.
func usesNewest(c *Cluster) bool {
	if c == nil {
		return false
	}
	for _, accepted := range c.Endpoint.Status.Credentials.Accepted {
		if accepted.Generation == c.Endpoint.Status.Credentials.Generation && accepted.LastUsed != nil {
			return true
		}
	}
	return false
}
