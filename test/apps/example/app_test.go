// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

func TestSaysBackWhatItIsTold(t *testing.T) {
	server := httptest.NewServer(newApp())
	defer server.Close()
	for _, path := range []string{"/weixin", "/weixin/"} {
		for _, content := range []string{"你好", "]]>", "<xml>&amp;</xml>", "]]]]>>"} {
			sender := caller.Sender{URL: server.URL + path, Token: "unused"}
			answer, err := sender.Text(t.Context(), "oUser", content)
			reply, refusal := diagnose.Message(answer, err)
			if refusal != nil {
				t.Fatalf("%s to %s: %v", content, path, refusal)
			}
			if want := "you said: " + content; reply.Content != want || reply.From != caller.DefaultAccount {
				t.Errorf("%s answered %+v, want %q from the account", path, reply, want)
			}
			if err := wechat.CheckReply(answer.Body, wechat.FormXML); err != nil {
				t.Errorf("the sidecar would not pass the reply on: %v", err)
			}
		}
	}
	if got := seen(t, server.URL); got.Count != 8 || got.Messages[7].Content != "]]]]>>" || got.Messages[7].Path != "/weixin/" {
		t.Errorf("seen: %+v", got)
	}
}

// TestPassesTheReleaseCheck: what WeChat plays before a third-party platform may be published is answered as it asks.
func TestPassesTheReleaseCheck(t *testing.T) {
	server := httptest.NewServer(newApp())
	defer server.Close()
	for _, account := range caller.ReleaseAccounts {
		sender := caller.Sender{URL: server.URL + "/weixin", Token: "unused"}
		for _, scenario := range sender.ReleaseCheck(account, "oUser") {
			if _, refusal := diagnose.Play(t.Context(), &sender, scenario); refusal != nil {
				t.Errorf("%s to %s: %v", scenario.Name, account.Username, refusal)
			}
		}
	}
}

func TestAnswersInTheFormOfTheMessage(t *testing.T) {
	server := httptest.NewServer(newApp())
	defer server.Close()
	for message, want := range map[string]string{
		`{"ToUserName":"gh","FromUserName":"o","MsgType":"text","Content":"hi","MsgId":22000000000000000000}`: `{"Content":"you said: hi","CreateTime":`,
		`{"msgid":"a_1","msgtype":"text","text":{"content":"hi"}}`:                                            `{"msgtype":"text","text":{"content":"you said: hi"}}`,
		`{"mchid":"1900000109","trade_state":"SUCCESS"}`:                                                      "",
		`<xml><InfoType>component_verify_ticket</InfoType></xml>`:                                             "",
	} {
		sender := caller.Sender{URL: server.URL + "/weixin", Token: "unused"}
		answer, err := sender.Post(t.Context(), []byte(message))
		if err != nil || answer.Status != 200 || !strings.HasPrefix(string(answer.Body), want) || want == "" && len(answer.Body) > 0 {
			t.Errorf("%s was answered %d %q, %v", message, answer.Status, answer.Body, err)
		}
	}
	ids := map[string]bool{}
	for _, entry := range seen(t, server.URL).Messages {
		ids[entry.MsgID] = true
	}
	if !ids["22000000000000000000"] || !ids["a_1"] {
		t.Errorf("the ids of the messages are %v", ids)
	}
}

func TestSaysNothingToAnEvent(t *testing.T) {
	server := httptest.NewServer(newApp())
	defer server.Close()
	sender := caller.Sender{URL: server.URL + "/weixin", Token: "unused"}
	answer, err := sender.Post(t.Context(), []byte(`<xml><ToUserName>a</ToUserName><FromUserName>b</FromUserName><MsgType>event</MsgType></xml>`))
	if reply, refusal := diagnose.Message(answer, err); refusal != nil || reply.Kind != diagnose.ReplyEmpty {
		t.Errorf("reply %+v, refusal %v", reply, refusal)
	}
}

func TestBehavesAsTold(t *testing.T) {
	server := httptest.NewServer(newApp())
	defer server.Close()
	sender := caller.Sender{URL: server.URL + "/weixin", Token: "unused"}
	for query, want := range map[string]int{"status=500": 500, "status=302&delay=1ms": 302, "reply=success": 200, "": 200} {
		response, err := http.Post(server.URL+"/behave?"+query, "", nil)
		if err != nil || response.StatusCode != 200 {
			t.Fatalf("behave %s: %v %v", query, response, err)
		}
		answer, err := sender.Text(t.Context(), "oUser", "hello")
		if err != nil || answer.Status != want {
			t.Errorf("behave %q: status %d, %v, want %d", query, answer.Status, err, want)
		}
	}
	for _, query := range []string{"delay=six", "status=ok", "status=99"} {
		response, err := http.Post(server.URL+"/behave?"+query, "", nil)
		if err != nil || response.StatusCode != 400 {
			t.Errorf("behave %s: %v %v, want a refusal", query, response, err)
		}
	}
}

func seen(t *testing.T, url string) diary {
	t.Helper()
	response, err := http.Get(url + "/seen")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var got diary
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	return got
}
