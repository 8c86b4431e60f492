// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// The user who writes, and what.
const (
	openID = "oDemoUser0000000000000000000"
	text   = "你好"
)

// send sends a request and shows it, and what came back, without the signature.
func (d *demo) send(ctx context.Context, sender *caller.Sender, request *caller.Request) (caller.Answer, error) {
	d.show("→ %s http://%s%s", request.Method, request.Host, request.Redacted())
	if len(request.Body) > 0 {
		d.show("%s", request.Body)
	}
	answer, err := sender.Send(ctx, request)
	if err != nil {
		return answer, err
	}
	d.show("← %d %s, after %v", answer.Status, http.StatusText(answer.Status), answer.Elapsed.Round(time.Millisecond))
	if len(answer.Body) > 0 {
		d.show("%s", answer.Redact(string(answer.Body)))
	}
	return answer, nil
}

func (d *demo) urlCheck(ctx context.Context) (string, error) {
	before, err := d.seen(ctx)
	if err != nil {
		return "", err
	}
	request, err := d.sender.NewURLCheck()
	if err != nil {
		return "", err
	}
	if refusal := diagnose.URLCheck(d.send(ctx, &d.sender, request)); refusal != nil {
		return "", errors.New(refusal.String())
	}
	return "the echostr came back byte for byte; the app was not asked", d.sawNothingSince(ctx, before)
}

func (d *demo) message(ctx context.Context) (string, error) {
	request, err := d.sender.NewText(openID, text)
	if err != nil {
		return "", err
	}
	d.sent = request.Body
	reply, refusal := diagnose.Message(d.send(ctx, &d.sender, request))
	switch want := "you said: " + text; {
	case refusal != nil:
		return "", errors.New(refusal.String())
	case reply.Content != want:
		return "", fmt.Errorf("the reply is %q, not %q", reply.Content, want)
	}
	return fmt.Sprintf("the user reads %q", reply.Content), nil
}

func (d *demo) whatTheAppSaw(ctx context.Context) (string, error) {
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
		return "", errors.New("that is not what was sent")
	case last.Headers["X-Wechat-Verified"] != "true" || last.Headers["X-Wechat-Endpoint"] != namespace+"/shop":
		return "", errors.New("the headers do not say that it was verified, and by which endpoint")
	}
	return "the message byte for byte, with headers to trust, and no token", nil
}

func (d *demo) forgedSignature(ctx context.Context) (string, error) {
	request, err := d.sender.NewText(openID, "forged", wechattest.WithToken("GuessedToken"))
	if err != nil {
		return "", err
	}
	return "refused with nothing to learn from; the app saw nothing", d.refused(ctx, &d.sender, request, http.StatusForbidden)
}

func (d *demo) anotherBody(ctx context.Context) (string, error) {
	genuine, err := d.sender.NewText(openID, "genuine")
	if err != nil {
		return "", err
	}
	if _, refusal := diagnose.Message(d.send(ctx, &d.sender, genuine)); refusal != nil {
		return "", errors.New(refusal.String())
	}
	d.show("and now with the same query:")
	account := caller.DefaultAccount
	another := genuine.WithBody(caller.TextMessage(account, openID, "transfer everything", "1", time.Now()))
	return "a signature is good for the first body that came with it", d.refused(ctx, &d.sender, another, http.StatusForbidden)
}

func (d *demo) staleTimestamp(ctx context.Context) (string, error) {
	request, err := d.sender.NewText(openID, "an hour late", wechattest.WithTime(time.Now().Add(-time.Hour)))
	if err != nil {
		return "", err
	}
	return "correctly signed, but too old", d.refused(ctx, &d.sender, request, http.StatusForbidden)
}

func (d *demo) unknownPath(ctx context.Context) (string, error) {
	request, err := d.sender.NewText(openID, "hello", wechattest.WithPath("/admin"))
	if err != nil {
		return "", err
	}
	return "only the URL of the console is published", d.refused(ctx, &d.sender, request, http.StatusNotFound)
}

// changeToken changes the Secret and waits until the new token is served: by the same pods, and the old one no more.
func (d *demo) changeToken(ctx context.Context) (string, error) {
	before, err := d.sidecarPods(ctx)
	if err != nil {
		return "", err
	}
	if err := d.apply(ctx, d.secret(secondToken)); err != nil {
		return "", err
	}
	changed := d.sender
	changed.Token = secondToken
	changedAt := time.Now()
	if err := until(ctx, func(ctx context.Context) error {
		if refusal := diagnose.URLCheck(changed.URLCheck(ctx)); refusal != nil {
			return errors.New(refusal.String())
		}
		return nil
	}); err != nil {
		return "", err
	}
	took := time.Since(changedAt).Round(100 * time.Millisecond)
	old := d.sender
	d.show("A message that was under way, signed with the old token:")
	if _, err := d.message(ctx); err != nil {
		return "", err
	}
	d.show("A message that is signed with the new one:")
	d.sender.Token = secondToken
	if _, err := d.message(ctx); err != nil {
		return "", err
	}
	if err := d.revoke(ctx, &old); err != nil {
		return "", err
	}
	after, err := d.sidecarPods(ctx)
	if err == nil && after != before {
		err = fmt.Errorf("the pods were %s and are %s", before, after)
	}
	return fmt.Sprintf("served after %v, by the same process as before (%s)", took, after), err
}

// revoke refuses the earlier token at once, as after a leak.
func (d *demo) revoke(ctx context.Context, old *caller.Sender) error {
	generation, err := d.kubectlRun(ctx, "get", "wxe", "shop", "-o", "jsonpath={.status.credentials.generation}")
	if err != nil {
		return err
	}
	patch := fmt.Sprintf(`{"spec":{"credentials":{"revokeBefore":%s}}}`, strings.TrimSpace(generation))
	if _, err := d.kubectlRun(ctx, "patch", "wxe", "shop", "--type", "merge", "-p", patch); err != nil {
		return err
	}
	if err := until(ctx, func(ctx context.Context) error {
		answer, err := old.URLCheck(ctx)
		if err == nil && answer.Status != http.StatusForbidden {
			err = fmt.Errorf("the old token is answered with %d", answer.Status)
		}
		return err
	}); err != nil {
		return err
	}
	d.show("The old token leaked, and is revoked. A message that is signed with it:")
	message, err := old.NewText(openID, "signed with what leaked")
	if err != nil {
		return err
	}
	return d.refused(ctx, old, message, http.StatusForbidden)
}

// sidecarPods names the sidecar's pods, with how often each was restarted.
func (d *demo) sidecarPods(ctx context.Context) (string, error) {
	return d.kubectlRun(ctx, "get", "pods", "-l", "wechatendpoint.io/endpoint=shop",
		"-o", `jsonpath={range .items[*]}{.metadata.name}{", restarts: "}{.status.containerStatuses[0].restartCount}{end}`)
}

// refused sends what must be answered with that status and an empty body, and must not reach the app.
func (d *demo) refused(ctx context.Context, sender *caller.Sender, request *caller.Request, status int) error {
	before, err := d.seen(ctx)
	if err != nil {
		return err
	}
	answer, err := d.send(ctx, sender, request)
	switch {
	case err != nil:
		return err
	case answer.Status != status:
		return fmt.Errorf("the status is %d, not %d", answer.Status, status)
	case status == http.StatusForbidden && len(answer.Body) > 0:
		return errors.New("the refusal has a body, which tells the sender something")
	}
	return d.sawNothingSince(ctx, before)
}
