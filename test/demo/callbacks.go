// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

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

// The user who writes, and what.
const (
	openID = "oDemoUser0000000000000000000"
	text   = "你好"
)

func (d *demo) urlCheck(ctx context.Context) (string, error) {
	before, err := d.seen(ctx)
	if err != nil {
		return "", err
	}
	request, err := d.shop.NewURLCheck()
	if err != nil {
		return "", err
	}
	if refusal := diagnose.URLCheck(d.exchange(ctx, &d.shop.Sender, request)); refusal != nil {
		return "", errors.New(refusal.String())
	}
	return "the echostr came back byte for byte; the app was not asked", d.sawNothingSince(ctx, before)
}

// message plays a user who writes to the account, and reads the reply as WeChat does.
func (d *demo) message(ctx context.Context, a *account) (string, error) {
	message := a.TextScenario(openID, text)
	request, err := a.NewScenario(message)
	if err != nil {
		return "", err
	}
	d.sent = message.Message
	answer, err := d.exchange(ctx, &a.Sender, request)
	opened, refusal := diagnose.Open(&a.Sender, answer, err)
	var reply diagnose.Reply
	if refusal == nil {
		reply, refusal = diagnose.Scenario(message, opened, err)
	}
	sealed, want := a.EncodingAESKey != "", "you said: "+text
	switch {
	case refusal != nil:
		return "", errors.New(refusal.String())
	case reply.Content != want:
		return "", fmt.Errorf("the reply is %q, not %q", reply.Content, want)
	case opened.Sealed != sealed || sealed && (bytes.Contains(request.Body, []byte(text)) || bytes.Contains(answer.Body, []byte(text))):
		return "", errors.New("the message and the reply are not sealed as the account's mode says")
	case sealed:
		d.show("WeChat opens the reply with the EncodingAESKey:")
		d.show("%s", opened.Body)
	}
	return fmt.Sprintf("the user reads %q", reply.Content), nil
}

// whatTheAppSaw is what it got last, which must be the message that was sent last, and opened.
func (d *demo) whatTheAppSaw(ctx context.Context, a *account) (string, error) {
	diary, err := d.seen(ctx)
	if err != nil {
		return "", err
	}
	if len(diary.Messages) == 0 {
		return "", errors.New("it got nothing")
	}
	last := diary.Messages[len(diary.Messages)-1]
	d.show("POST %s", last.Path)
	for _, name := range slices.Sorted(maps.Keys(last.Headers)) {
		d.show("%s: %s", name, last.Headers[name])
	}
	d.show("\n%s", last.Body)
	switch {
	case last.Body != string(d.sent):
		return "", errors.New("that is not what the user wrote")
	case last.Headers["X-Wechat-Verified"] != "true" || last.Headers["X-Wechat-Endpoint"] != namespace+"/"+a.endpoint:
		return "", errors.New("the headers do not say that it was verified, and by which endpoint")
	}
	return "the message byte for byte, with headers to trust; it needs no token and no key", nil
}

func (d *demo) forgedSignature(ctx context.Context) (string, error) {
	request, err := d.shop.NewText(openID, "forged", wechattest.WithToken("GuessedToken"))
	if err != nil {
		return "", err
	}
	return "refused with nothing to learn from; the log has the reason", d.refused(ctx, &d.shop, request, wechat.ReasonBadSignature)
}

func (d *demo) anotherBody(ctx context.Context) (string, error) {
	genuine, err := d.shop.NewText(openID, "genuine")
	if err != nil {
		return "", err
	}
	if _, refusal := diagnose.Message(d.exchange(ctx, &d.shop.Sender, genuine)); refusal != nil {
		return "", errors.New(refusal.String())
	}
	d.show("and now with the same query:")
	another := genuine.WithBody(caller.TextMessage(caller.DefaultAccount, openID, "transfer everything", "1", time.Now()))
	return "a signature is good for the first body that came with it", d.refused(ctx, &d.shop, another, wechat.ReasonReplayed)
}

func (d *demo) staleTimestamp(ctx context.Context) (string, error) {
	request, err := d.shop.NewText(openID, "an hour late", wechattest.WithTime(time.Now().Add(-time.Hour)))
	if err != nil {
		return "", err
	}
	return "correctly signed, but too old", d.refused(ctx, &d.shop, request, wechat.ReasonStale)
}

// otherPath asks for a path that the app does serve, inside of the cluster.
func (d *demo) otherPath(ctx context.Context) (string, error) {
	if _, err := d.kubectlShow(ctx, "get", "--raw", appPath+"/healthz"); err != nil {
		return "", err
	}
	d.show("Inside of the cluster, the app has this path. And from outside:")
	request, err := d.shop.NewURLCheck(wechattest.WithPath("/healthz"), wechattest.WithQuery(""))
	if err != nil {
		return "", err
	}
	return "only the URL of the console is published", d.keptFromApp(ctx, &d.shop, request, http.StatusNotFound)
}
