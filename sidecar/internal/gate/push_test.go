// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"net/url"
	"strings"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

const aesKey = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"

func newEncryptedGate() *Gate {
	return New(config.Config{Platform: config.PlatformOfficialAccount, MessageMode: config.ModeEncrypted, AppID: "wx1", Path: "/weixin"},
		config.Credentials{Pairs: []config.Pair{{Generation: 1, Token: token, EncodingAESKey: aesKey}}})
}

// sealed is a genuine query and body.
func sealed(tb testing.TB) (query, body string) {
	tb.Helper()
	key, err := wechat.ParseEncodingAESKey(aesKey)
	if err != nil {
		tb.Fatal(err)
	}
	encrypted, err := key.Seal([wechat.RandomSize]byte{}, []byte("<xml><MsgType>text</MsgType></xml>"), "wx1")
	if err != nil {
		tb.Fatal(err)
	}
	query = "timestamp=1700000000&nonce=7&encrypt_type=aes&msg_signature=" + wechat.Sign(token, "1700000000", "7", encrypted)
	return query, string(wechat.RequestEnvelope(wechat.FormXML, nil, encrypted))
}

// FuzzCheckEncrypted holds that whatever passes was signed with the token over its Encrypt, which opens to what passes.
func FuzzCheckEncrypted(f *testing.F) {
	query, body := sealed(f)
	f.Add(query, body)
	f.Add(strings.Replace(query, "msg_signature", "signature", 1), body)
	f.Add(query, strings.Replace(body, "</xml>", "<Encrypt>a</Encrypt></xml>", 1))
	f.Add(query, `{"Encrypt":"a","encrypt":"b"}`)
	key, err := wechat.ParseEncodingAESKey(aesKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, query, body string) {
		message, err := newEncryptedGate().Check(Request{
			Method: "POST", Path: "/weixin", RawQuery: query, Body: func() ([]byte, error) { return []byte(body), nil },
		}, now)
		if err != nil {
			return
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		opened, receiver, err := key.Open(message.encrypt)
		if err != nil || receiver != "wx1" || string(opened) != string(message.Body) {
			t.Errorf("passed %q for %q: %v", message.Body, receiver, err)
		}
		if values.Get("msg_signature") != wechat.Sign(token, values.Get("timestamp"), values.Get("nonce"), message.encrypt) {
			t.Errorf("passed unsigned: %q", query)
		}
	})
}

func TestPlaceholder(t *testing.T) {
	for name, test := range map[string]struct {
		pattern, path, id string
		ok                bool
	}{
		"at the end":                  {"/a/$APPID$", "/a/wx1", "wx1", true},
		"with a trailing slash":       {"/a/$APPID$", "/a/wx1/", "wx1", true},
		"with two":                    {"/a/$APPID$", "/a/wx1//", "", false},
		"in the middle":               {"/a/$CORPID$/b", "/a/ww1/b", "ww1", true},
		"nothing in its place":        {"/a/$APPID$", "/a/", "", false},
		"more than one segment":       {"/a/$APPID$", "/a/wx1/admin", "", false},
		"a dot segment":               {"/a/$APPID$", "/a/..", "", false},
		"an escape":                   {"/a/$APPID$", "/a/wx%2f1", "", false},
		"another beginning":           {"/a/$APPID$", "/b/wx1", "", false},
		"another end":                 {"/a/$APPID$/b", "/a/wx1/c", "", false},
		"an id longer than any known": {"/a/$APPID$", "/a/" + strings.Repeat("w", 65), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			gate := New(config.Config{Path: test.pattern}, config.Credentials{})
			if id, ok := gate.serves("", test.path); ok != test.ok || ok && id != test.id {
				t.Errorf("got %q %v", id, ok)
			}
		})
	}
}

// BenchmarkCheckEncrypted opens a message of the size of a text.
func BenchmarkCheckEncrypted(b *testing.B) {
	query, body := sealed(b)
	gate := newEncryptedGate()
	r := Request{Method: "POST", Path: "/weixin", RawQuery: query, Body: func() ([]byte, error) { return []byte(body), nil }}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := gate.Check(r, now); err != nil {
			b.Fatal(err)
		}
	}
}
