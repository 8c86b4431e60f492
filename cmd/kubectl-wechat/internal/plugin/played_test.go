// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// TestEverythingSentIsMarkedAsPlayed: a sidecar would take it for WeChat's otherwise, and end the earlier credentials.
func TestEverythingSentIsMarkedAsPlayed(t *testing.T) {
	_, private, public := payKey(t)
	credentials := encryptedSecret()
	maps.Copy(credentials.Data, paySecret(public).Data)
	marked := func(t *testing.T, prefix string, endpoint *v1alpha1.WeChatEndpoint, args ...string) {
		t.Helper()
		sent := 0
		address := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			sent++
			if nonce := cmp.Or(r.URL.Query().Get("nonce"), r.Header.Get(wechat.PayNonceHeader)); !strings.HasPrefix(nonce, prefix) {
				t.Errorf("the nonce is %q, without %s", nonce, prefix)
			}
		})
		run(t, cluster(t, endpoint, credentials.DeepCopy()), "", append(args, "--address", address)...)
		if sent == 0 {
			t.Error("nothing was sent")
		}
	}
	for _, platform := range platforms {
		for _, mode := range []v1alpha1.MessageMode{"", v1alpha1.MessageModePlaintext, v1alpha1.MessageModeCompatible, v1alpha1.MessageModeEncrypted} {
			if config.HasModes(string(platform)) != (mode != "") {
				continue
			}
			endpoint := demo(encrypted(platform, mode))
			if accountOf(options{}, endpoint).checkable() == nil {
				t.Run(fmt.Sprint(platform, mode, ": verify"), func(t *testing.T) {
					marked(t, config.ProbeNoncePrefix, endpoint.DeepCopy(), "verify", "demo")
				})
			}
			for _, scenario := range scenarios[platform] {
				t.Run(fmt.Sprint(platform, mode, ": ", scenario), func(t *testing.T) {
					endpoint, args := endpoint.DeepCopy(), []string{"send", "demo", "--scenario", scenario}
					if scenario == scenarioReleaseCheck {
						endpoint.Spec.URL.Path = "/weixin/$APPID$"
					}
					if platform == v1alpha1.PlatformPay {
						args = append(args, "--pay-private-key", file(t, private))
					}
					marked(t, config.TrialNoncePrefix, endpoint, args...)
				})
			}
		}
	}
	t.Run("without an endpoint", func(t *testing.T) {
		for command, prefix := range map[string]string{commandVerify: config.ProbeNoncePrefix, commandSend: config.TrialNoncePrefix} {
			marked(t, prefix, demo(), command, "--url", wxURL, "--token-file", file(t, token))
		}
	})
}
