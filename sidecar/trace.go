// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"cmp"
	"context"
	"os"
	"strconv"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/backend"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/tracing"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/version"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// A message that goes to an app is traced, where the installation wants it; what nobody verified is not, nor what no app gets. A stranger
// could fill the room for spans otherwise.

// tracesPatience is how long the end of the process waits for the collector. It is a part of the ten seconds that a pod has to spare.
const tracesPatience = 3 * time.Second

func (s *Sidecar) newTracer() *tracing.Tracer {
	pod, _ := os.Hostname() // without a name its spans are told apart by their endpoint alone
	return tracing.New(tracing.Options{
		Endpoint: s.options.Tracing.Endpoint, PerMillion: s.options.Tracing.PerMillion(), Room: s.bounds.spans,
		Version: version.Get().Version, Instance: pod,
		Sent:    func(spans int) { s.metrics.SpansSent.Add(float64(spans)) },
		Dropped: func(spans int) { s.metrics.SpansDropped.Add(float64(spans)) },
		Log:     s.options.Log,
	})
}

func (s *Sidecar) closeTracer() {
	ctx, cancel := context.WithTimeout(context.Background(), tracesPatience)
	defer cancel()
	s.tracer.Close(ctx)
}

// beginTrace begins to tell of a callback that brought a message for an app.
func (e *errand) beginTrace() {
	c := &e.account.config
	e.trace = e.tracer.Begin(tracing.Message{
		Key: e.key, Secret: e.account.gatewayKey, Arrived: e.request.Arrived,
		Endpoint: c.Endpoint, Platform: c.Platform, Host: c.Host, Route: c.Path, Kind: kindOf(c.Platform, &e.message.Fields),
	})
}

// kindOf is what is told of what a message says.
func kindOf(platform string, f *wechat.Fields) tracing.Kind {
	switch {
	case platform == config.PlatformPay:
		return tracing.KindNotification
	case f.Unreadable:
		return tracing.KindUnreadable
	case f.InfoType != "":
		return tracing.KindCommand
	case f.MsgType == "event":
		return tracing.KindEvent
	}
	return tracing.KindMessage
}

// resultOf is what is told of how a call of an app ended.
func resultOf(a backend.Answer) tracing.Result {
	r := tracing.Result{Outcome: string(a.Outcome), Status: a.Status, Retries: a.Retries}
	switch {
	case a.Failure.Cause == outcome.Status:
		r.Failure = strconv.FormatInt(a.Failure.Number, 10)
	case a.Outcome != outcome.Answered:
		r.Failure = cmp.Or(string(a.Failure.Cause), string(a.Outcome))
	}
	return r
}
