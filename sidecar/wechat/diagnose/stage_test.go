// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

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

const (
	token  = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	openid = "oUser0123456789abcdefghijklm"
)

// correct is an endpoint as WeChat's documentation has it.
func correct(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if !wechat.Verify(q.Get("signature"), token, q.Get("timestamp"), q.Get("nonce")) {
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
	_, _ = w.Write([]byte(textReply(message.FromUserName, message.ToUserName, message.Content)))
}

func textReply(to, from, content string) string {
	return fmt.Sprintf("<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>1</CreateTime>"+
		"<MsgType><![CDATA[text]]></MsgType><Content>%s</Content></xml>", wechat.CDATA(to), wechat.CDATA(from), wechat.CDATA(content))
}

// serve runs a handler, and makes a caller.Sender for /weixin of a host that needs no DNS.
func serve(t *testing.T, handler http.HandlerFunc) *caller.Sender {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &caller.Sender{URL: "http://wx.example.com/weixin", Token: token, Address: server.Listener.Addr().String()}
}
