// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechattest

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// What Correct and Serve have in common, and a user who writes.
const (
	Token  = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	OpenID = "oUser0123456789abcdefghijklm"
)

// Correct is an endpoint in plaintext mode as WeChat's documentation has it, which says back what a user says.
func Correct(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if !wechat.Verify(q.Get("signature"), Token, q.Get("timestamp"), q.Get("nonce")) {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, q.Get("echostr"))
		return
	}
	var message struct{ ToUserName, FromUserName, Content string }
	if err := xml.NewDecoder(r.Body).Decode(&message); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	_, _ = io.WriteString(w, TextReply(message.FromUserName, message.ToUserName, message.Content))
}

// TextReply is a passive reply.
func TextReply(to, from, content string) string {
	return fmt.Sprintf("<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>1</CreateTime>"+
		"<MsgType><![CDATA[text]]></MsgType><Content>%s</Content></xml>", wechat.CDATA(to), wechat.CDATA(from), wechat.CDATA(content))
}

// Serve runs a handler until the test ends, and returns who calls it at /weixin of a host that needs no DNS.
func Serve(t testing.TB, handler http.HandlerFunc) *caller.Sender {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &caller.Sender{URL: "http://wx.example.com/weixin", Token: Token, Address: server.Listener.Addr().String()}
}
