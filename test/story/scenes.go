// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// The user who writes, what, and what the example app replies.
const (
	OpenID = "oDemoUser0000000000000000000"
	Text   = "你好"
	Reply  = "you said: " + Text
)

// Submit is what WeChat does when 提交 is pressed in the console.
func (a *Account) Submit(ctx context.Context) (string, error) {
	before, err := a.Seen(ctx)
	if err != nil {
		return "", err
	}
	request, err := a.NewURLCheck()
	if err != nil {
		return "", err
	}
	if refusal := diagnose.URLCheck(a.Exchange(ctx, request)); refusal != nil {
		return "", errors.New(refusal.String())
	}
	return "the echostr came back byte for byte; the app was not asked", a.sawNothingSince(ctx, before)
}

// Message plays a user who writes to the account, and reads the reply as WeChat does.
func (a *Account) Message(ctx context.Context) (string, error) {
	message := a.TextScenario(OpenID, Text)
	request, err := a.NewScenario(message)
	if err != nil {
		return "", err
	}
	a.sent = message.Message
	answer, err := a.Exchange(ctx, request)
	opened, refusal := diagnose.Open(&a.Sender, answer, err)
	var reply diagnose.Reply
	if refusal == nil {
		reply, refusal = diagnose.Scenario(message, opened, err)
	}
	sealed := a.EncodingAESKey != ""
	switch {
	case refusal != nil:
		return "", errors.New(refusal.String())
	case a.Want != "" && reply.Content != a.Want:
		return "", fmt.Errorf("the reply is %q, not %q", reply.Content, a.Want)
	case opened.Sealed != (sealed && reply.Kind == diagnose.ReplyMessage),
		sealed && (bytes.Contains(request.Body, []byte(Text)) || bytes.Contains(answer.Body, []byte(Text))):
		return "", errors.New("the message and the reply are not sealed as the account's mode says")
	case opened.Sealed:
		a.Show("WeChat opens the reply with the EncodingAESKey:")
		a.Show("%s", opened.Body)
	}
	return reads(reply), nil
}

// reads says what a reply shows to the user.
func reads(reply diagnose.Reply) string {
	switch {
	case reply.Kind != diagnose.ReplyMessage:
		return "the app took it, and the user reads nothing"
	case reply.Type != "text":
		return fmt.Sprintf("the user is shown a message of type %q", reply.Type)
	}
	return fmt.Sprintf("the user reads %q", reply.Content)
}

// WhatTheAppSaw is what it got last, which must be the message that was sent last, and opened.
func (a *Account) WhatTheAppSaw(ctx context.Context) (string, error) {
	diary, err := a.Seen(ctx)
	if err != nil {
		return "", err
	}
	if len(diary.Messages) == 0 {
		return "", errors.New("it got nothing")
	}
	last := diary.Messages[len(diary.Messages)-1]
	a.Show("POST %s", last.Path)
	for _, name := range slices.Sorted(maps.Keys(last.Headers)) {
		a.Show("%s: %s", name, last.Headers[name])
	}
	a.Show("\n%s", last.Body)
	switch {
	case last.Body != string(a.sent):
		return "", errors.New("that is not what the user wrote")
	case last.Headers["X-Wechat-Verified"] != "true" || last.Headers["X-Wechat-Endpoint"] != a.Endpoint:
		return "", errors.New("the headers do not say that it was verified, and by which endpoint")
	}
	return "the message byte for byte, with headers to trust; it needs no token and no key", nil
}

// Forged is of somebody without the token.
func (a *Account) Forged(ctx context.Context) (string, error) {
	request, err := a.NewText(OpenID, "forged", wechattest.WithToken("GuessedToken"))
	if err != nil {
		return "", err
	}
	return "refused with nothing to learn from; the log has the reason", a.Refused(ctx, request, wechat.ReasonBadSignature)
}

// AnotherBody is of somebody who read a query in a log. In plaintext mode no signature covers the body.
func (a *Account) AnotherBody(ctx context.Context) (string, error) {
	genuine, err := a.NewText(OpenID, "genuine")
	if err != nil {
		return "", err
	}
	if _, refusal := diagnose.Message(a.Exchange(ctx, genuine)); refusal != nil {
		return "", errors.New(refusal.String())
	}
	a.Show("and now with the same query:")
	another := genuine.WithBody(caller.TextMessage(caller.DefaultAccount, OpenID, "transfer everything", "1", time.Now()))
	return "a signature is good for the first body that came with it", a.Refused(ctx, another, wechat.ReasonReplayed)
}

// Stale is of somebody who kept a message for an hour.
func (a *Account) Stale(ctx context.Context) (string, error) {
	request, err := a.NewText(OpenID, "an hour late", wechattest.WithTime(time.Now().Add(-time.Hour)))
	if err != nil {
		return "", err
	}
	return "correctly signed, but too old", a.Refused(ctx, request, wechat.ReasonStale)
}

// OtherPath asks for a path that the app serves where nobody is in front of it.
func (a *Account) OtherPath(ctx context.Context, path string) (string, error) {
	request, err := a.NewURLCheck(wechattest.WithPath(path), wechattest.WithQuery(""))
	if err != nil {
		return "", err
	}
	return "only the URL of the console is published", a.KeptFromApp(ctx, request, http.StatusNotFound)
}
