// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"slices"
	"time"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

const platformPay = string(v1alpha1.PlatformPay)

// platforms are those that are played, in the order of the documentation.
var platforms = []v1alpha1.Platform{
	v1alpha1.PlatformOfficialAccount, v1alpha1.PlatformMiniProgram, v1alpha1.PlatformShop,
	v1alpha1.PlatformWeCom, v1alpha1.PlatformOpenPlatform, v1alpha1.PlatformPay,
}

// account is what is known of an account without its secrets.
type account struct {
	platform v1alpha1.Platform
	mode     v1alpha1.MessageMode
	// receivers are accepted at the end of an encrypted message; none when nobody has said.
	receivers []string
	// freshness is how old a callback may be; zero leaves it to its kind.
	freshness time.Duration
}

// accountOf reads what the endpoint says, or else the options. Without either it is an Official Account, whose messages
// are encrypted if there is a key for that.
func accountOf(o options, endpoint *v1alpha1.WeChatEndpoint) account {
	if endpoint == nil {
		platform, _ := parsePlatform(o.platform) // validated
		a := account{platform: platform, mode: v1alpha1.MessageModeEncrypted}
		if config.HasModes(string(platform)) && o.aesKeyFile == "" {
			a.mode = v1alpha1.MessageModePlaintext
		}
		if o.receiverID != "" {
			a.receivers = []string{o.receiverID}
		}
		return a
	}
	spec := endpoint.Spec
	a := account{platform: spec.Platform, mode: spec.MessageMode, receivers: spec.ReceiverIDs}
	if len(a.receivers) == 0 {
		a.receivers = []string{spec.AppID}
	}
	if spec.Verification.Freshness != nil {
		a.freshness = spec.Verification.Freshness.Duration
	}
	return a
}

func (a account) encrypted() bool { return config.Encrypted(string(a.platform), string(a.mode)) }

// accepted are the receivers, or the one that --receiver-id says.
func (a account) accepted(o options) []string {
	if o.receiverID != "" {
		return []string{o.receiverID}
	}
	return a.receivers
}

// bot reports whether only messages without a receiver are accepted.
func (a account) bot() bool {
	return a.platform == v1alpha1.PlatformWeCom && len(a.receivers) > 0 && !slices.ContainsFunc(a.receivers, func(id string) bool { return id != "" })
}

func parsePlatform(name string) (v1alpha1.Platform, error) {
	if name == "" {
		return v1alpha1.PlatformOfficialAccount, nil
	}
	if platform := v1alpha1.Platform(name); slices.Contains(platforms, platform) {
		return platform, nil
	}
	return "", text.Errorf("--platform must be one of %v", platforms)
}

// checkable says why verify can do nothing for the platform.
func (a account) checkable() error {
	switch a.platform {
	case v1alpha1.PlatformOpenPlatform:
		return text.Errorf("WeChat does not check the URLs of a third-party platform: it sends a ticket every ten minutes instead, which kubectl wechat send plays")
	case v1alpha1.PlatformPay:
		return text.Errorf("WeChat Pay does not check a URL: it sends notifications, which kubectl wechat send plays; --scenario signtest needs no key of WeChat Pay's")
	default:
		return nil
	}
}
