// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"maps"
	"slices"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Account is what WeChat knows of an account: how it was set up, and its newest credentials.
type Account struct {
	// Platform and MessageMode are those of package config.
	Platform, MessageMode string
	// ReceiverIDs are accepted at the end of an encrypted message, as in config.Config; none accepts the AppID.
	AppID       string
	ReceiverIDs []string
	// PathID stands in the URL in place of the placeholder.
	PathID string
	// Bot says that messages are those of a bot of WeCom, and JSON that those of a Mini Program are in JSON.
	Bot, JSON bool
	Pair      config.Pair
}

// PlayFor makes the Sender play WeChat for the account. Where it calls, and when, stays as it is.
func (s *Sender) PlayFor(a Account) {
	if a.Platform == config.PlatformPay {
		s.Pay = &PayAccount{APIv3Key: a.Pair.APIv3Key}
		if serials := slices.Sorted(maps.Keys(a.Pair.PlatformKeys)); len(serials) > 0 {
			s.Pay.Serial = serials[0]
		}
		return
	}
	s.Token = a.Pair.Token
	s.Cleartext = a.MessageMode == config.ModeCompatible
	s.WeCom = a.Platform == config.PlatformWeCom
	switch {
	case s.WeCom && a.Bot:
		s.Form = wechat.FormJSONLower
	case a.Platform == config.PlatformShop, a.Platform == config.PlatformMiniProgram && a.JSON:
		s.Form = wechat.FormJSON
	}
	if !config.Encrypted(a.Platform, a.MessageMode) {
		return
	}
	s.EncodingAESKey = a.Pair.EncodingAESKey
	if s.WeCom && a.Bot {
		return
	}
	s.ReceiverID = a.Receiver()
	if s.WeCom {
		s.Account = s.ReceiverID
	}
}

// Receiver is whom a message is encrypted for: the first that is accepted and no placeholder. A placeholder, and what stands for any
// id, is the id in the path.
func (a Account) Receiver() string {
	accepted := a.ReceiverIDs
	if len(accepted) == 0 {
		accepted = []string{a.AppID}
	}
	for _, id := range accepted {
		switch {
		case !strings.Contains(id, "$") && id != config.AnyReceiver:
			return id
		case a.PathID != "":
			return a.PathID
		}
	}
	return ""
}

// WithPathID puts an id in place of the placeholder of a URL, or a part of one.
func WithPathID(text, id string) string {
	return strings.NewReplacer(config.PlaceholderAppID, id, config.PlaceholderCorpID, id).Replace(text)
}
