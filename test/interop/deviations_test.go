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
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/silenceper/wechat/v2/util"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
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

// claimed are the deviations that TestDeviations holds, whether it ran each or not.
var claimed []string

// TestDeviations lets each library do what it should not, and holds that the sidecar before it refuses the same.
func TestDeviations(t *testing.T) {
	s := newSigner(t)
	official, weCom, bot := named("OfficialAccount Encrypted XML"), named("WeCom Encrypted app"), named("WeCom Encrypted bot JSON")
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
	try(t, "the sidecar", official, "against inconsistent padding", func(t *trial) { expectEncryptRefused(t, official, badPadding) })

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
	deviates(t, "node-easywechat MiniApp", "refuses a Mini Program without an EncodingAESKey, as in plaintext mode", func(t *testing.T) {
		plain := named("MiniProgram Plaintext XML")
		status, body := call(t, http.MethodPost, startNode("node-easywechat MiniApp")(t, plain).url, plainQuery(), nil, plain.text("hi"))
		if status != http.StatusInternalServerError || !strings.Contains(body, "aes_key cannot be empty") {
			t.Errorf("it does not any more: %d %q", status, body)
		}
	})
	foreign := sealWith(t, weCom.text("hi"), "wwforeign", goodPadding)
	deviates(t, "go-workwx", "takes a message that is for another receiver", func(t *testing.T) {
		query, body := signedPost(weCom, foreign)
		if status, _ := call(t, http.MethodPost, startWorkwx(t, weCom).url, query, nil, body); status != http.StatusOK {
			t.Errorf("it does not any more: %d", status)
		}
	})
	try(t, "the sidecar", weCom, "against another receiver", func(t *trial) { expectEncryptRefused(t, weCom, foreign) })

	for _, name := range []string{"co-wechat", "wechat", "node-easywechat OfficialAccount", "silenceper/wechat"} {
		deviates(t, name, "takes a plaintext message although it has an EncodingAESKey (downgrade)", func(t *testing.T) {
			i := slices.IndexFunc(sdks, func(s sdk) bool { return s.name == name })
			status, reply := call(t, http.MethodPost, sdks[i].start(t, official).url, plainQuery(), nil, official.text("forged"))
			if status == http.StatusOK && strings.Contains(reply, "<Encrypt>") {
				reply = library{s, "@wecom/crypto", official}.open(t, reply) // it seals what it says to the forger
			}
			if status != http.StatusOK || !strings.Contains(reply, "you said: forged") {
				t.Errorf("it does not any more: %d %q", status, reply)
			}
		})
	}
	try(t, "the sidecar", official, "against a downgrade", func(t *trial) {
		behind := newPlainApp(t.T)
		r := start(t.T, official, behind.URL, config.PayloadOriginal, config.Pair{Token: token, EncodingAESKey: aesKey})
		status, body := call(t.T, http.MethodPost, r.url, plainQuery(), nil, official.text("forged"))
		expectRefused(t.T, "a plaintext message", status, body)
		expectGoodTaken(t, r, official, behind)
	})
	deviates(t, "node-easywechat OfficialAccount", "echoes echostr without looking at the signature", func(t *testing.T) {
		query := newStamp().query("signature", "forged", "echostr", "anything")
		if status, body := call(t, http.MethodGet, startNode("node-easywechat OfficialAccount")(t, official).url, query, nil, ""); status != http.StatusOK || body != "anything" {
			t.Errorf("it does not any more: %d %q", status, body)
		}
	})
	try(t, "the sidecar", official, "against an unsigned echostr", func(t *trial) {
		behind := newPlainApp(t.T)
		r := start(t.T, official, behind.URL, config.PayloadOriginal, config.Pair{Token: token, EncodingAESKey: aesKey})
		query := newStamp().query("signature", strings.Repeat("0", 40), "echostr", "anything")
		status, body := call(t.T, http.MethodGet, r.checkURL, query, nil, "")
		expectRefused(t.T, "an unsigned URL check", status, body)
		expectGoodTaken(t, r, official, behind)
	})
	t.Run("README.md lists these and no others", expectListed)
}

// expectListed compares what TestDeviations holds with the list in README.md, a block of text.
func expectListed(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(readme), "```text\n")
	list, _, _ = strings.Cut(list, "\n```")
	slices.Sort(claimed)
	if diff := cmp.Diff(claimed, strings.Split(list, "\n")); diff != "" {
		t.Errorf("README.md does not list what deviates (-held +listed):\n%s", diff)
	}
}

func goodPadding(size int) []byte { return bytes.Repeat([]byte{byte(size)}, size) }

func sealOf(t *testing.T, a account, message string) string {
	t.Helper()
	return sealWith(t, message, a.receiver(), goodPadding)
}

// plainQuery is what a plaintext account signs: good for any body.
func plainQuery() url.Values {
	s := newStamp()
	return s.query("signature", wechat.Sign(token, s.timestamp, s.nonce))
}

// expectEncryptRefused holds that a sidecar refuses an Encrypt although it is signed.
func expectEncryptRefused(t *trial, a account, encrypt string) {
	t.Helper()
	behind := newPlainApp(t.T)
	r := start(t.T, a, behind.URL, config.PayloadDecrypted, config.Pair{Token: token, EncodingAESKey: aesKey})
	query, body := signedPost(a, encrypt)
	status, answered := call(t.T, http.MethodPost, r.url, query, nil, body)
	expectRefused(t.T, "the message", status, answered)
	expectGoodTaken(t, r, a, behind)
}

// expectGoodTaken holds that the app saw nothing yet, and that the sidecar which refused does take a good message.
func expectGoodTaken(t *trial, r *running, a account, behind *plainApp) {
	t.Helper()
	if seen := behind.seen(); len(seen) != 0 {
		t.Errorf("the app saw %q", seen)
	}
	t.did("refused")
	query, body := signedPost(a, sealOf(t.T, a, a.text("good")))
	if status, _ := call(t.T, http.MethodPost, r.url, query, nil, body); len(behind.seen()) != 1 {
		t.Errorf("a good message is answered %d, the app saw %q", status, behind.seen())
	}
}
