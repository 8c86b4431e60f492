// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

func TestDiagnoseReply(t *testing.T) {
	message := Reply{ReplyMessage, openid, "gh", "text", "hi"}
	without := func(element string) string {
		reply := wechattest.TextReply(openid, "gh", "hi")
		before, rest, _ := strings.Cut(reply, "<"+element+">")
		_, after, _ := strings.Cut(rest, "</"+element+">")
		return before + after
	}
	for name, test := range map[string]struct {
		body  string
		reply Reply
		want  want
	}{
		"nothing":                     {"", Reply{Kind: ReplyEmpty}, want{}},
		"success":                     {"success", Reply{Kind: ReplySuccess}, want{}},
		"a text":                      {wechattest.TextReply(openid, "gh", "hi"), message, want{}},
		"a text amid line ends":       {"\n" + wechattest.TextReply(openid, "gh", "hi") + "\n", message, want{}},
		"a text after a declaration":  {`<?xml version="1.0" encoding="UTF-8"?>` + wechattest.TextReply(openid, "gh", "hi"), message, want{}},
		"an image":                    {strings.Replace(wechattest.TextReply(openid, "gh", "hi"), "[text]", "[image]", 1), Reply{ReplyMessage, openid, "gh", "image", "hi"}, want{}},
		"a reply to somebody else":    {wechattest.TextReply("gh", openid, "hi"), Reply{ReplyMessage, "gh", openid, "text", "hi"}, want{CodeReply, []string{`"gh"`, "other way round"}}},
		"a text without a receiver":   {without("ToUserName"), Reply{ReplyMessage, "", "gh", "text", "hi"}, want{CodeReply, []string{"ToUserName"}}},
		"a text without a sender":     {without("FromUserName"), Reply{ReplyMessage, openid, "", "text", "hi"}, want{CodeReply, []string{"FromUserName"}}},
		"a text without a time":       {without("CreateTime"), message, want{CodeReply, []string{"CreateTime"}}},
		"a text without a type":       {without("MsgType"), Reply{ReplyMessage, openid, "gh", "", "hi"}, want{CodeReply, []string{"MsgType"}}},
		"a text without content":      {wechattest.TextReply(openid, "gh", ""), Reply{ReplyMessage, openid, "gh", "text", ""}, want{CodeReply, []string{"Content"}}},
		"success and a line end":      {"success\n", Reply{}, want{CodeReply, []string{"line end"}}},
		"a line end":                  {"\n", Reply{}, want{CodeReply, []string{"white space"}}},
		"JSON":                        {`{"errcode":0}`, Reply{}, want{CodeReply, []string{`{\"errcode\":0}`}}},
		"ok":                          {"ok", Reply{}, want{CodeReply, []string{`"ok"`}}},
		"another root":                {"<html></html>", Reply{}, want{CodeReply, nil}},
		"broken XML":                  {"<xml><ToUserName>", Reply{}, want{CodeReply, nil}},
		"two replies":                 {wechattest.TextReply(openid, "gh", "hi") + "<xml></xml>", Reply{}, want{CodeReply, nil}},
		"a reply and text":            {wechattest.TextReply(openid, "gh", "hi") + "ok", Reply{}, want{CodeReply, nil}},
		"a reply and a broken ending": {wechattest.TextReply(openid, "gh", "hi") + "<", Reply{}, want{CodeReply, nil}},
		"a flood":                     {strings.Repeat("x", wechat.MaxReplySize+1), Reply{}, want{CodeReply, []string{"64 KiB"}}},
		"gzip":                        {"\x1f\x8b\x08", Reply{}, want{CodeReply, []string{"compressed"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sender := wechattest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.ReadAll(r.Body)
				_, _ = io.WriteString(w, test.body)
			})
			reply, refusal := Message(sender.Text(t.Context(), openid, "question"))
			test.want.check(t, refusal)
			if diff := cmp.Diff(test.reply, reply); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDiagnoseReplyOfARefusal(t *testing.T) {
	_, refusal := Message(caller.Answer{Status: 403}, nil)
	want{CodeForbidden, nil}.check(t, refusal)
	_, refusal = Message(caller.Answer{}, errors.New("weather"))
	want{CodeConnectionCut, nil}.check(t, refusal)
}

func TestRepliesInJSON(t *testing.T) {
	inJSON, toBot := caller.Answer{Status: 200, Form: wechat.FormJSON, From: openid}, caller.Answer{Status: 200, Form: wechat.FormJSONLower, From: openid}
	for name, test := range map[string]struct {
		answer caller.Answer
		body   string
		want   want
	}{
		"a text":                        {inJSON, `{"ToUserName":"` + openid + `","FromUserName":"gh","CreateTime":1,"MsgType":"text","Content":"hi"}`, want{}},
		"a text without a time":         {inJSON, `{"ToUserName":"` + openid + `","FromUserName":"gh","MsgType":"text","Content":"hi"}`, want{CodeReply, []string{"CreateTime"}}},
		"a text in XML":                 {inJSON, wechattest.TextReply(openid, "gh", "hi"), want{CodeReply, []string{"the JSON of a reply"}}},
		"a bot's text":                  {toBot, `{"msgtype":"text","text":{"content":"hi"}}`, want{CodeReply, []string{"arrival"}}},
		"a bot's stream":                {toBot, `{"msgtype":"stream","stream":{"id":"1"}}`, want{}},
		"a bot's reply without a type":  {toBot, `{"text":{"content":"hi"}}`, want{CodeReply, []string{"msgtype"}}},
		"a bot's reply that is no JSON": {toBot, `hi`, want{CodeReply, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			test.answer.Body = []byte(test.body)
			_, refusal := Message(test.answer, nil)
			test.want.check(t, refusal)
		})
	}
}
