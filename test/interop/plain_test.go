// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

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

func (a *plainApp) calls(*testing.T) int { return len(a.seen()) }

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
