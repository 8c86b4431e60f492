// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/listen"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// replay sends a kept message to this computer once more.
func (p Plugin) replay(ctx context.Context, o options) (int, error) {
	t, err := p.tapped(ctx, o)
	if err != nil {
		return 0, err
	}
	message, err := t.kept(ctx, o.delivery)
	if err != nil {
		return 0, err
	}
	r := p.report(p.Stdout)
	r.line("endpoint", "%s/%s", t.endpoint.Namespace, t.endpoint.Name)
	r.line("message", "%s, which came at %s", message.Delivery, message.At.Format(time.RFC3339))
	got := newCopies(o.forwardTo, t.client.GatewayKey).send(ctx, message, again(message))
	if ctx.Err() != nil {
		return 0, errInterrupted
	}
	if got.err != nil {
		r.line("received", "no answer")
		return r.wrong("%s did not answer: is the program running, and does it listen there? %v", o.forwardTo, got.err), nil
	}
	r.line("received", "%d %s", got.status, http.StatusText(got.status))
	r.line("elapsed", "%v", got.took.Round(10*time.Microsecond))
	if len(got.body) > 0 {
		r.line("reply", "%s", printable(string(got.body)))
	}
	isPay := http.Header(message.Header).Get("X-Wechat-Platform") == config.PlatformPay
	switch {
	case got.status != http.StatusOK && (got.status != http.StatusNoContent || !isPay):
		return r.wrong("the app must answer with status 200"), nil
	case !isPay && (got.long || wechat.CheckReply(got.body, wechat.FormOf(message.Body)) != nil):
		return r.wrong("the reply is neither empty, nor success, nor a passive reply"), nil
	}
	return r.ok("WeChat would take this answer"), nil
}

// wrong says why WeChat would not take an answer.
func (r report) wrong(format string, values ...any) int {
	r.line("refused", format, values...)
	return StatusRefused
}

// kept finds a message that the pods keep.
func (t *tapped) kept(ctx context.Context, delivery string) (*tap.Message, error) {
	pods, err := t.pods(ctx)
	if err != nil {
		return nil, err
	}
	var failed error
	keeps := false
	for _, pod := range pods {
		message, keepsUntil, err := t.keptBy(ctx, pod, delivery)
		if message != nil {
			return message, nil
		}
		if err != nil {
			failed = text.Errorf("pod %s is not listened to: %s", pod.Name, listen.Explain(err))
		}
		keeps = keeps || !keepsUntil.IsZero()
	}
	switch {
	case ctx.Err() != nil:
		return nil, errInterrupted
	case failed != nil:
		return nil, failed
	case !keeps:
		return nil, text.Errorf("the pods keep no messages: kubectl wechat listen %s -n %s --keep 30m lets them keep what comes from then on", t.endpoint.Name, t.endpoint.Namespace)
	}
	return nil, text.Errorf("no pod keeps message %s: it came before --keep, was pushed out by newer ones, or its pod is gone", delivery)
}

func (t *tapped) keptBy(ctx context.Context, pod listen.Pod, delivery string) (*tap.Message, time.Time, error) {
	s, err := t.client.Open(ctx, pod, tap.Query{Messages: true, Delivery: delivery})
	if err != nil {
		return nil, time.Time{}, err
	}
	defer s.Close()
	for {
		line, err := s.Next()
		switch {
		case line.Message != nil:
			return line.Message, s.Hello.KeepsUntil, nil
		case errors.Is(err, io.EOF) || line.Ended != "":
			return nil, s.Hello.KeepsUntil, nil
		case err != nil:
			return nil, s.Hello.KeepsUntil, err
		}
	}
}
