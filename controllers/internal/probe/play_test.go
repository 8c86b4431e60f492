// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/sidecartest"
)

const (
	token  = "a-fine-token"
	aesKey = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
)

// played is a running sidecar, which the operator plays WeChat for.
type played struct {
	port, ops string
	called    *bool // the app was
}

// run serves the subject with a real sidecar.
func run(t *testing.T, s Subject) played {
	t.Helper()
	called := false
	app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	t.Cleanup(app.Close)
	pair := s.Pair
	pair.Generation = 1
	callbacks, ops := sidecartest.Run(t, config.Document{
		Config: config.Config{
			Generation: "g", Endpoint: "team-a/shop", Platform: s.Platform, AppID: s.AppID, ReceiverIDs: s.ReceiverIDs, MessageMode: s.MessageMode,
			Host: s.Host, Path: s.Path, Backend: config.Backend{URL: app.URL},
		},
		Credentials: config.Credentials{Pairs: []config.Pair{pair}},
	})
	_, port, _ := net.SplitHostPort(callbacks)
	return played{port, "http://" + ops, &called}
}

func (p played) play(t *testing.T, s Subject) error {
	t.Helper()
	port, err := strconv.Atoi(p.port)
	if err != nil {
		t.Fatal(err)
	}
	ops, err := strconv.Atoi(p.ops[strings.LastIndex(p.ops, ":")+1:])
	if err != nil {
		t.Fatal(err)
	}
	return New(ops).Play(t.Context(), []string{"127.0.0.1"}, port, s)[0]
}

// status is what the sidecar says of itself.
func (p played) status(t *testing.T) string {
	t.Helper()
	response, err := http.Get(p.ops + "/status?entry=" + config.Entry)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func platformKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func TestPlay(t *testing.T) {
	sealed := config.Pair{Token: token, EncodingAESKey: aesKey}
	for name, subject := range map[string]Subject{
		"an Official Account in plaintext": {Platform: "OfficialAccount", MessageMode: "Plaintext", AppID: "wx1", Host: "wx.example.com", Path: "/weixin", Pair: config.Pair{Token: token}},
		"a bare address":                   {Platform: "OfficialAccount", MessageMode: "Plaintext", AppID: "wx1", Path: "/weixin", Pair: config.Pair{Token: token}},
		"a Mini Program":                   {Platform: "MiniProgram", MessageMode: "Encrypted", AppID: "wx1", Path: "/weixin", Pair: sealed},
		"a Shop":                           {Platform: "Shop", AppID: "wx1", Path: "/weixin", Pair: sealed},
		"a WeCom app":                      {Platform: "WeCom", AppID: "ww1", Path: "/weixin", Pair: sealed},
		"a WeCom bot":                      {Platform: "WeCom", AppID: "ww1", ReceiverIDs: []string{""}, Path: "/weixin", Pair: sealed},
		"a suite's data":                   {Platform: "WeCom", AppID: "ww1", ReceiverIDs: []string{"$CORPID$"}, Path: "/weixin/$CORPID$", Pair: sealed},
		"a third-party platform":           {Platform: "OpenPlatform", AppID: "wx1", Path: "/weixin/$APPID$/callback", Pair: sealed},
		"a merchant": {Entry: config.Entry, Platform: "Pay", AppID: "1900000109", Path: "/pay", Pair: config.Pair{
			APIv3Key: strings.Repeat("k", 32), PlatformKeys: map[string]string{"PUB_KEY_ID_1": platformKey(t)},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			running := run(t, subject)
			if err := running.play(t, subject); err != nil {
				t.Errorf("the sidecar answers otherwise: %v", err)
			}
			if *running.called {
				t.Error("the app was called")
			}
			if status := running.status(t); strings.Contains(status, `"used"`) {
				t.Errorf("the operator counts as WeChat: %s", status)
			}
			other := subject
			other.Pair.Token, other.Path = "another-token", subject.Path
			if err := running.play(t, other); err == nil && subject.Platform != "Pay" {
				t.Error("another token is no matter")
			}
			if len(subject.Pair.PlatformKeys) > 0 {
				other = subject
				other.Pair.PlatformKeys = map[string]string{"PUB_KEY_ID_1": "", "PUB_KEY_ID_2": ""}
				if err := running.play(t, other); err == nil || !strings.Contains(err.Error(), "does not know the key with serial PUB_KEY_ID_2") {
					t.Errorf("a key that the pod has not got is no matter: %v", err)
				}
				other = subject
				other.Entry = "another"
				if err := running.play(t, other); err == nil {
					t.Error("another entry of the pod is no matter")
				}
			}
			other = subject
			other.Path = "/elsewhere"
			if err := running.play(t, other); err == nil {
				t.Error("another path is no matter")
			}
		})
	}
}

func TestPlayNamesWhatIsWrong(t *testing.T) {
	subject := Subject{Platform: "OfficialAccount", MessageMode: "Plaintext", AppID: "wx1", Path: "/weixin", Pair: config.Pair{Token: token}}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"a redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, "redirect"},
		"extra bytes": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.URL.Query().Get("echostr")+"\n")
		}, "echostr"},
		"another answer": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, "403"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(test.answer)
			defer server.Close()
			_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
			if err := (played{port: port, ops: ":0"}).play(t, subject); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), token) {
				t.Errorf("error %v, want %q in it and no token", err, test.want)
			}
		})
	}
}
