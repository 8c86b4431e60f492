// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"io"
	"net/http"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

const aesKey = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"

// decipher is an endpoint in an encrypted mode: it decrypts WeCom's echostr, and answers a message with a sealed reply.
func decipher(t *testing.T) http.HandlerFunc {
	t.Helper()
	key, err := wechat.ParseEncodingAESKey(aesKey)
	if err != nil {
		t.Fatal(err)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		query, err := wechat.ParseQuery(r.URL.RawQuery)
		if err != nil {
			t.Error(err)
		}
		if r.Method == http.MethodGet {
			opened, err := key.Open([]byte(query.Echostr))
			if err != nil {
				opened.Message = []byte(query.Echostr) // an Official Account's is not encrypted
			}
			_, _ = w.Write(opened.Message)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		envelope, err := wechat.ParseEnvelope(body, true)
		if err != nil {
			t.Error(err)
		}
		opened, err := key.Open(envelope.Encrypt)
		if err != nil {
			t.Error(err)
		}
		reply := "<xml><ToUserName>" + wechat.ReadFields(opened.Message).FromUserName + "</ToUserName><FromUserName>gh</FromUserName>" +
			"<CreateTime>1</CreateTime><MsgType>text</MsgType><Content>sealed words</Content></xml>"
		sealed, err := key.Seal([wechat.RandomSize]byte{}, []byte(reply), opened.ReceiverID)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(wechat.ReplyEnvelope(envelope.Form, token, query.Timestamp, query.Nonce, sealed))
	}
}

func encrypted(platform v1alpha1.Platform, mode v1alpha1.MessageMode) func(*v1alpha1.WeChatEndpoint) {
	return func(e *v1alpha1.WeChatEndpoint) { e.Spec.Platform, e.Spec.MessageMode = platform, mode }
}

func TestEncryptedEndpoints(t *testing.T) {
	credentials := secret(token)
	credentials.Data[v1alpha1.KeyEncodingAESKey] = []byte(aesKey)
	for name, account := range map[string]func(*v1alpha1.WeChatEndpoint){
		"an Official Account": encrypted(v1alpha1.PlatformOfficialAccount, "Encrypted"),
		"a WeCom app":         encrypted(v1alpha1.PlatformWeCom, ""),
	} {
		t.Run(name, func(t *testing.T) {
			address, connect := serve(t, decipher(t)), cluster(t, demo(account), credentials.DeepCopy())
			run(t, connect, "", "verify", "demo", "--address", address).check(t, StatusOK, "ok: WeChat would accept this URL, if the console holds the token and the EncodingAESKey of Secret shop/demo-token\n")
			run(t, connect, "", "send", "demo", "--address", address).check(t, StatusOK, "sealed    yes", "reply     sealed words\n", "ok: WeChat would take this reply\n")
		})
	}
}

func TestWhatCannotBePlayedIsSaid(t *testing.T) {
	credentials := secret(token)
	credentials.Data[v1alpha1.KeyEncodingAESKey] = []byte(aesKey)
	for name, test := range map[string]struct {
		account       func(*v1alpha1.WeChatEndpoint)
		command, said string
	}{
		"a payment":                      {encrypted(v1alpha1.PlatformPay, ""), "verify", "WeChat Pay does not check a URL: it sends notifications, which kubectl wechat send plays"},
		"the URL check of a platform":    {encrypted(v1alpha1.PlatformOpenPlatform, ""), "verify", "a ticket every ten minutes instead, which kubectl wechat send plays"},
		"a path that stands for several": {func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Path = "/weixin/$APPID$" }, "send", "placeholder"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, cluster(t, demo(test.account), credentials.DeepCopy()), "", test.command, "demo").check(t, StatusUsage, test.said)
		})
	}
	t.Run("a Secret without the key", func(t *testing.T) {
		run(t, cluster(t, demo(encrypted(v1alpha1.PlatformWeCom, "")), secret(token)), "", "verify", "demo").check(t, StatusUsage, "has no key encodingAESKey: put the EncodingAESKey of the console there")
	})
}
