// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// TestMain holds that nothing but the sidecar's own log is written to, in all tests of the package: libraries quote what they met.
func TestMain(m *testing.M) {
	var others syncBuffer
	log.SetOutput(&others)
	code := m.Run()
	if text := others.String(); text != "" {
		fmt.Fprintf(os.Stderr, "a library has logged:\n%s", text)
		code = 1
	}
	os.Exit(code)
}

// TestTheLogNamesCausesAndQuotesNothing, whatever is wrong with the app, with the whole of WeChat's own request passed on to it. Each
// stage looks for secrets in its log when it ends.
func TestTheLogNamesCausesAndQuotesNothing(t *testing.T) {
	t.Parallel()
	raw := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			connection, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer connection.Close()
			_, _ = io.WriteString(connection, text)
		}
	}
	for name, row := range map[string]struct {
		app   http.HandlerFunc
		cause string // nil is an app that is away
	}{
		"an app that is away":          {nil, "it refuses connections"},
		"an answer that is not HTTP":   {raw("private words of oUser"), "not answer with HTTP"},
		"a status that quotes":         {raw("HTTP/1.1 500 private words\r\nContent-Length: 0\r\n\r\n"), "status 500"},
		"a redirect that quotes":       {raw("HTTP/1.1 302 Found\r\nLocation: /private words?openid=oUser\r\nContent-Length: 0\r\n\r\n"), "status 302"},
		"a reply that quotes":          {raw("HTTP/1.1 200 OK\r\n\r\nprivate words"), "neither empty"},
		"half a reply":                 {raw("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n<xml>private words"), "broke off"},
		"an answer that never was one": {raw(""), "closed"},
		"an answer before the answer":  {raw("HTTP/1.1 100 private words\r\n\r\nprivate words"), "not answer with HTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, "an Official Account, encrypted", func(c *config.Config) {
				c.Backend.Payload = config.PayloadOriginal
				c.Backend.Deadline = config.Duration(500 * time.Millisecond)
				if row.app == nil {
					c.Backend.URL = "http://127.0.0.1:1"
				}
			})
			v.app.answers(row.app)
			request, err := v.sender.NewText("oUser", "private words", wechattest.WithOpenID("oUser"))
			if err != nil {
				t.Fatal(err)
			}
			if answer := whole(v.sender.Send(t.Context(), request)); answer.Status < 500 {
				t.Errorf("answered %d", answer.Status)
			}
			if !strings.Contains(v.log.String(), row.cause) {
				t.Errorf("the log does not say %q:\n%s", row.cause, v.log)
			}
		})
	}
}

// TestARawClientIsNotQuoted: net/http, which refuses these, would log what it read.
func TestARawClientIsNotQuoted(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "an Official Account, encrypted", nil)
	for _, text := range []string{
		"private words\r\n\r\n", "POST /weixin?signature=1 HTTP/9\r\n\r\n", "GET / HTTP/1.1\r\nHost: private words\r\n\r\n",
		"POST /weixin HTTP/1.1\r\nHost: a\r\nContent-Length: private words\r\n\r\n", "\x16\x03\x01private words\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nprivate words\r\n\r\n",
	} {
		v.exchange(t, text, true)
	}
	v.expectFresh(t)
}
