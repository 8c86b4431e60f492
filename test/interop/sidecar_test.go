// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// running is a sidecar that serves an account before an app.
type running struct {
	account account
	url     string
}

// start runs a sidecar of the product, from files as the operator writes them.
func start(t *testing.T, a account, appURL, payload string, pair config.Pair) *running {
	t.Helper()
	path := a.path
	if path == "" {
		path = "/weixin"
	}
	c := config.Config{
		Generation: "g-1", Endpoint: "interop/" + "account", Platform: a.platform, AppID: appID, ReceiverIDs: a.receivers, MessageMode: a.mode, Path: path,
		Backend: config.Backend{URL: appURL, Payload: payload, Path: "/app", Deadline: config.Duration(4 * time.Second)},
	}
	pair.Generation = 1
	dir := t.TempDir()
	for name, content := range map[string]any{
		config.File: c, config.CredentialsFile: config.Credentials{Generation: "g-1", Pairs: []config.Pair{pair}},
	} {
		text, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log lockedBuffer
	public, ops := listen(t), listen(t)
	s := sidecar.New(sidecar.Options{ConfigDir: dir, Grace: time.Second, Log: slog.New(slog.NewTextHandler(&log, nil))})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, public, ops) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the sidecar's log:\n%s", log.String())
		}
	})
	called := path
	if a.called != "" {
		called = a.called
	}
	return &running{account: a, url: "http://" + public.Addr().String() + called}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// call sends one request, as WeChat does: no redirect is followed.
func call(t *testing.T, method, target string, query url.Values, header map[string]string, body string) (int, string) {
	t.Helper()
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	client := http.Client{Timeout: 6 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// plainApp knows nothing of WeChat's signatures and ciphers: it reads a message and says back what it is told.
type plainApp struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
}

func newPlainApp(t *testing.T) *plainApp {
	t.Helper()
	app := &plainApp{}
	app.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // what is cut off is not what was sent
		app.mu.Lock()
		app.bodies = append(app.bodies, string(body))
		app.mu.Unlock()
		fmt.Fprint(w, echo(string(body)))
	}))
	t.Cleanup(app.Close)
	return app
}

func (a *plainApp) seen() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.bodies...)
}

// echo is a reply in the form of the message, and nothing to what is no user's.
func echo(message string) string {
	switch {
	case strings.Contains(message, "<MsgType>"):
		return "<xml><ToUserName>" + userID + "</ToUserName><FromUserName>" + accountID + "</FromUserName><CreateTime>1</CreateTime>" +
			"<MsgType>text</MsgType><Content>you said it</Content></xml>"
	case strings.Contains(message, `"msgtype"`):
		return `{"msgtype":"text","text":{"content":"you said it"}}`
	case strings.Contains(message, `"MsgType"`):
		return `{"MsgType":"text","Content":"you said it"}`
	}
	return ""
}
