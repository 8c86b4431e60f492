// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechattest

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Account is an account by both of its names.
type Account struct {
	// AppID stands in the callback URL, in place of $APPID$.
	AppID string
	// Username is the original ID, the ToUserName of messages.
	Username string
}

// ReleaseCheckAccounts are the accounts that WeChat lets authorize a third-party platform to check it before its release
// (全网发布检测): Official Accounts and Mini Programs in turn. They are published on
// developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/operation/thirdparty/releases_instructions.html.
var ReleaseCheckAccounts = []Account{
	{"wx570bc396a51b8ff8", "gh_3c884a361561"}, {"wxd101a85aa106f53e", "gh_8dad206e9538"},
	{"wx9252c5e0bb1836fc", "gh_c0f28a78b318"}, {"wxc39235c15087f6f3", "gh_905ae9d01059"},
	{"wx8e1097c5bc82cde9", "gh_3f222ed8d140"}, {"wx7720d01d4b2a4500", "gh_393666f1fdf4"},
	{"wx14550af28c71a144", "gh_26128078e9ab"}, {"wx05d483572dcd5d8b", "gh_39abb5d4e1b7"},
	{"wxa35b9c23cfe664eb", "gh_2b3713f184a6"}, {"wx5910277cae6fd970", "gh_7818dcb60240"},
}

// Step is one message of a scenario, and what WeChat wants to hear.
type Step struct {
	// What says what the step is, for people.
	What string
	// AppID stands in the callback URL, in place of $APPID$.
	AppID string
	// Message is the message.
	Message []byte
	// Reply is the text that the reply must have; empty wants no reply, or success.
	Reply string
}

// ReleaseCheck is the scenario of the release check that a callback can see, for the first account of each kind: a text
// that must be replied to with a given text, and one that must be answered with nothing, upon which the platform calls the
// customer service API.
func ReleaseCheck(from string, now time.Time) []Step {
	var steps []Step
	for _, account := range ReleaseCheckAccounts[:2] {
		text := func(content string) []byte { return TextMessage(account.Username, from, content, digits(17), now) }
		steps = append(steps,
			Step{"a text to " + account.AppID, account.AppID, text("TESTCOMPONENT_MSG_TYPE_TEXT"), "TESTCOMPONENT_MSG_TYPE_TEXT_callback"},
			Step{"an authorization code to " + account.AppID, account.AppID, text("QUERY_AUTH_CODE:" + digits(20)), ""},
		)
	}
	return steps
}

// Play sends one step, and judges the answer as WeChat would. The sender's URL may hold $APPID$.
func (s *Sender) Play(ctx context.Context, step Step) (Answer, *Refusal) {
	sender := *s
	sender.URL = strings.ReplaceAll(s.URL, "$APPID$", step.AppID)
	answer, err := sender.Post(ctx, step.Message)
	if opened, openErr := sender.OpenReply(answer.Body); err == nil && openErr == nil {
		answer.Body = opened
	}
	reply, refusal := DiagnoseReply(answer, err)
	switch {
	case refusal != nil:
		return answer, refusal
	case step.Reply == "" && reply.Kind == ReplyMessage:
		return answer, badReply("is a message, and WeChat wants none here", "answer with nothing, and call the API that the step is about")
	case step.Reply != "" && reply.Content != step.Reply:
		return answer, badReply(fmt.Sprintf("is not the text %s", step.Reply), "reply to this text with exactly that one")
	}
	return answer, nil
}
