// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// account is one of the demo's: its endpoint, and who plays WeChat's server for it.
type account struct {
	endpoint string
	caller.Sender
}

// exchange sends a request and shows it, and what came back.
func (d *demo) exchange(ctx context.Context, sender *caller.Sender, request *caller.Request) (caller.Answer, error) {
	d.showRequest(request)
	answer, err := sender.Send(ctx, request)
	if err == nil {
		d.showAnswer(answer)
	}
	return answer, err
}

// showRequest hides nothing: the demo's tokens and keys stand in its sources, and its signatures are good for nobody else.
func (d *demo) showRequest(request *caller.Request) {
	d.show("→ %s http://%s%s", request.Method, request.Host, request.URI())
	d.show("%s", request.Body)
}

func (d *demo) showAnswer(answer caller.Answer) {
	d.show("← %d %s, %d bytes, after %v", answer.Status, http.StatusText(answer.Status), len(answer.Body), answer.Elapsed.Round(time.Millisecond))
	d.show("%s", answer.Body)
}

// refused sends what must be answered with 403 and nothing, must not reach the app, and must stand with its reason in the
// sidecar's log, and shows all three.
func (d *demo) refused(ctx context.Context, a *account, request *caller.Request, reason wechat.Reason) error {
	before, err := d.lastLine(ctx, a)
	if err != nil {
		return err
	}
	if err := d.keptFromApp(ctx, a, request, http.StatusForbidden); err != nil {
		return err
	}
	var line string
	if err := until(ctx, func(ctx context.Context) error {
		line, err = d.lastLine(ctx, a)
		if err == nil && (line == before || !strings.Contains(line, fmt.Sprintf("%q:%q", "reason", reason))) {
			err = fmt.Errorf("the sidecar's log does not say %s; its last line is %s", reason, line)
		}
		return err
	}); err != nil {
		return err
	}
	d.show("$ kubectl -n %s %s\n%s", namespace, quoted(logsOf(a)), line)
	return nil
}

// keptFromApp sends what must be answered with that status, and must not reach the app.
func (d *demo) keptFromApp(ctx context.Context, a *account, request *caller.Request, status int) error {
	before, err := d.seen(ctx)
	if err != nil {
		return err
	}
	answer, err := d.exchange(ctx, &a.Sender, request)
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

// lastLine is the newest of the sidecar's log.
func (d *demo) lastLine(ctx context.Context, a *account) (string, error) {
	return d.kubectlRun(ctx, logsOf(a)...)
}

func logsOf(a *account) []string {
	return []string{"logs", "-l", v1alpha1.LabelEndpoint + "=" + a.endpoint, "--tail=1"}
}
