// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/silenceper/wechat/v2/util"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// sealWith encrypts by the protocol but for the padding, whose last byte counts.
func sealWith(t *testing.T, message, receiver string, pad func(size int) []byte) string {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(aesKey + "=")
	if err != nil {
		t.Fatal(err)
	}
	plain := binary.BigEndian.AppendUint32([]byte("0123456789abcdef"), uint32(len(message))) //nolint:gosec // a short text
	plain = slices.Concat(plain, []byte(message), []byte(receiver))
	plain = append(plain, pad(32-len(plain)%32)...)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	cipher.NewCBCEncrypter(block, key[:16]).CryptBlocks(plain, plain)
	return base64.StdEncoding.EncodeToString(plain)
}

// inconsistent is a padding of which only the last byte is right.
func inconsistent(size int) []byte {
	return append(bytes.Repeat([]byte{0}, size-1), byte(size))
}

// signedPost is a message with both signatures, whatever its Encrypt holds.
func signedPost(a account, encrypt string) (url.Values, string) {
	s := newStamp()
	query := s.query("msg_signature", wechat.Sign(token, s.timestamp, s.nonce, encrypt))
	if !a.weCom() {
		query.Set("signature", wechat.Sign(token, s.timestamp, s.nonce))
		query.Set("encrypt_type", "aes")
	}
	return query, a.envelope("", encrypt)
}

// TestDeviations lets each library do what it should not, and holds that the sidecar before it refuses the same.
func TestDeviations(t *testing.T) {
	s := newSigner(t)
	official, weCom, bot := named("OfficialAccount Encrypted"), named("WeCom app"), named("WeCom bot")
	badPadding := sealWith(t, official.text("hi"), appID, inconsistent)

	for _, name := range []string{"@wecom/crypto", "wechat-crypto", "wechat-encrypt"} {
		deviates(t, name, "opens a message whose padding is inconsistent", func(t *testing.T) {
			if a := s.ask(t, question{SDK: name, ID: appID, Op: "open", Text: badPadding}); a.Error != "" || !strings.Contains(a.Message, "hi") {
				t.Errorf("it does not any more: %+v", a)
			}
		})
	}
	deviates(t, "silenceper/wechat", "opens a message whose padding is inconsistent", func(t *testing.T) {
		if _, opened, err := util.DecryptMsg(appID, badPadding, aesKey); err != nil || !strings.Contains(string(opened), "hi") {
			t.Errorf("it does not any more: %q, %v", opened, err)
		}
	})
	t.Run("the sidecar refuses that padding", func(t *testing.T) { expectRefused(t, official, badPadding) })

	deviates(t, "wechat-crypto", "refuses an account without an id, as WeCom's bots are", func(t *testing.T) {
		if a := s.ask(t, question{SDK: "wechat-crypto", Op: "seal", Text: "hi"}); a.Error == "" {
			t.Error("it does not any more")
		}
	})
	deviates(t, "silenceper/wechat", "cannot open a message without a receiver, as WeCom's bots send", func(t *testing.T) {
		if _, _, err := util.DecryptMsg("", sealOf(t, bot, bot.text("hi")), aesKey); err == nil {
			t.Error("it can now")
		}
	})
	foreign := sealWith(t, weCom.text("hi"), "wwforeign", goodPadding)
	deviates(t, "go-workwx", "takes a message that is for another receiver", func(t *testing.T) {
		query, body := signedPost(weCom, foreign)
		if status, _ := call(t, http.MethodPost, startWorkwx(t, weCom), query, nil, body); status != http.StatusOK {
			t.Errorf("it does not any more: %d", status)
		}
	})
	t.Run("the sidecar refuses that receiver", func(t *testing.T) { expectRefused(t, weCom, foreign) })

	for _, name := range []string{"co-wechat", "wechat", "node-easywechat OfficialAccount", "silenceper/wechat"} {
		deviates(t, name, "takes a plaintext message although it has an EncodingAESKey (downgrade)", func(t *testing.T) {
			i := slices.IndexFunc(sdks, func(s sdk) bool { return s.name == name })
			stamp := newStamp()
			query := stamp.query("signature", wechat.Sign(token, stamp.timestamp, stamp.nonce))
			status, reply := call(t, http.MethodPost, sdks[i].start(t, official), query, nil, official.text("forged"))
			if status != http.StatusOK || reply == "" {
				t.Errorf("it does not any more: %d %q", status, reply)
			}
		})
	}
	t.Run("the sidecar refuses the downgrade", func(t *testing.T) {
		app := newPlainApp(t)
		r := start(t, official, app.URL, config.PayloadOriginal, config.Pair{Token: token, EncodingAESKey: aesKey})
		sender := wechattest.Sender{URL: r.url, Token: token}
		if answer, err := sender.Post(t.Context(), []byte(official.text("forged"))); err != nil || answer.Status != http.StatusForbidden || len(app.seen()) > 0 {
			t.Errorf("answered %d, %v", answer.Status, err)
		}
	})
	deviates(t, "node-easywechat OfficialAccount", "echoes echostr without looking at the signature", func(t *testing.T) {
		query := newStamp().query("signature", "forged", "echostr", "anything")
		if status, body := call(t, http.MethodGet, startNode("node-easywechat OfficialAccount")(t, official), query, nil, ""); status != http.StatusOK || body != "anything" {
			t.Errorf("it does not any more: %d %q", status, body)
		}
	})
	t.Run("the sidecar does not", func(t *testing.T) {
		r := start(t, official, "http://127.0.0.1:1", config.PayloadOriginal, config.Pair{Token: token, EncodingAESKey: aesKey})
		query := newStamp().query("signature", strings.Repeat("0", 40), "echostr", "anything")
		if status, body := call(t, http.MethodGet, r.url, query, nil, ""); status != http.StatusForbidden || body != "" {
			t.Errorf("answered %d %q", status, body)
		}
	})
}

func goodPadding(size int) []byte { return bytes.Repeat([]byte{byte(size)}, size) }

func sealOf(t *testing.T, a account, message string) string {
	t.Helper()
	return sealWith(t, message, a.receiver(), goodPadding)
}

// expectRefused holds that a sidecar refuses a text that is signed, and takes a good one all the same.
func expectRefused(t *testing.T, a account, encrypt string) {
	t.Helper()
	app := newPlainApp(t)
	r := start(t, a, app.URL, config.PayloadDecrypted, config.Pair{Token: token, EncodingAESKey: aesKey})
	query, body := signedPost(a, encrypt)
	if status, answer := call(t, http.MethodPost, r.url, query, nil, body); status != http.StatusForbidden || answer != "" || len(app.seen()) > 0 {
		t.Errorf("answered %d %q, the app saw %q", status, answer, app.seen())
	}
	query, body = signedPost(a, sealOf(t, a, a.text("good")))
	if status, _ := call(t, http.MethodPost, r.url, query, nil, body); status != http.StatusOK || len(app.seen()) != 1 {
		t.Errorf("a good message is answered %d", status)
	}
}
