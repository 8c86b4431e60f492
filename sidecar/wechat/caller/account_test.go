// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package caller_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

func TestReceiver(t *testing.T) {
	for name, test := range map[string]struct {
		account caller.Account
		want    string
	}{
		"without receivers, the account": {caller.Account{AppID: "wx1"}, "wx1"},
		"the first of several":           {caller.Account{AppID: "wx1", ReceiverIDs: []string{"ww1", "ww2"}}, "ww1"},
		"nobody, of a bot":               {caller.Account{AppID: "wx1", ReceiverIDs: []string{"", "ww2"}}, ""},
		"the id in the path":             {caller.Account{AppID: "wx1", ReceiverIDs: []string{"$CORPID$", "ww2"}, PathID: "ww9"}, "ww9"},
		"the next, without one":          {caller.Account{AppID: "wx1", ReceiverIDs: []string{"$CORPID$", "ww2"}}, "ww2"},
		"the id in the path for any":     {caller.Account{AppID: "wx1", ReceiverIDs: []string{"*"}, PathID: "ww9"}, "ww9"},
		"nobody is known among any":      {caller.Account{AppID: "wx1", ReceiverIDs: []string{"*"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.account.Receiver(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestPlayFor(t *testing.T) {
	pair := config.Pair{Token: "t", EncodingAESKey: "k", APIv3Key: "v", PlatformKeys: map[string]string{"B": "", "A": ""}}
	for name, test := range map[string]struct {
		account caller.Account
		want    caller.Sender
	}{
		"plaintext has no key":   {caller.Account{Platform: "OfficialAccount", MessageMode: "Plaintext"}, caller.Sender{Token: "t"}},
		"compatible":             {caller.Account{Platform: "MiniProgram", MessageMode: "Compatible", JSON: true}, caller.Sender{Token: "t", EncodingAESKey: "k", ReceiverID: "wx1", Cleartext: true, Form: wechat.FormJSON}},
		"a shop":                 {caller.Account{Platform: "Shop"}, caller.Sender{Token: "t", EncodingAESKey: "k", ReceiverID: "wx1", Form: wechat.FormJSON}},
		"WeCom":                  {caller.Account{Platform: "WeCom"}, caller.Sender{Token: "t", EncodingAESKey: "k", ReceiverID: "wx1", Account: "wx1", WeCom: true}},
		"a bot of WeCom":         {caller.Account{Platform: "WeCom", Bot: true}, caller.Sender{Token: "t", EncodingAESKey: "k", WeCom: true, Form: wechat.FormJSONLower}},
		"a third-party platform": {caller.Account{Platform: "OpenPlatform"}, caller.Sender{Token: "t", EncodingAESKey: "k", ReceiverID: "wx1"}},
		"Pay, by the first key":  {caller.Account{Platform: "Pay"}, caller.Sender{Pay: &caller.PayAccount{Serial: "A", APIv3Key: "v"}}},
	} {
		t.Run(name, func(t *testing.T) {
			test.account.AppID, test.account.Pair = "wx1", pair
			var got caller.Sender
			got.PlayFor(test.account)
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(caller.PayAccount{}, "PrivateKey")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
