// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package caller_test

import (
	"strings"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

func TestCleartextStandsBesideWhatHasAnEnd(t *testing.T) {
	for body, beside := range map[string]bool{"<xml><MsgType>text</MsgType></xml>\n": true, "x": false} {
		sender := caller.Sender{URL: "http://a/weixin", Token: "token", EncodingAESKey: strings.Repeat("a", 43), ReceiverID: "wx1", Cleartext: true}
		request, err := sender.NewPost([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if envelope, err := wechat.ParseEnvelope(request.Body, true); err != nil || envelope.Cleartext != beside {
			t.Errorf("%q was sent as %s: %v", body, request.Body, err)
		}
	}
}
