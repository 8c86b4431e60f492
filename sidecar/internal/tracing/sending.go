// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/time/rate"
)

// Spans are sent so many at once, or after so long, and given up after so long.
const (
	batch         = 128
	batchPatience = 5 * time.Second
	sendPatience  = 10 * time.Second
)

// sending stands around the SDK's own batches: before them and behind them, so that it knows how many spans there are in all. One that
// finds no room is dropped: nobody waits.
type sending struct {
	sdktrace.SpanProcessor // the SDK's batches
	collector              *otlptrace.Exporter
	room                   int64
	waiting                atomic.Int64
	sent, dropped          func(spans int)
	complaints             *rate.Limiter
	log                    *slog.Logger
}

func newSending(o Options) *sending {
	s := &sending{
		collector: otlptrace.NewUnstarted(newClient(o.Endpoint)), room: int64(o.Room), sent: o.Sent, dropped: o.Dropped,
		complaints: rate.NewLimiter(rate.Every(time.Minute), 1), log: o.Log,
	}
	// Its queue is never full: it has all the room that there is.
	s.SpanProcessor = sdktrace.NewBatchSpanProcessor(behind{s}, sdktrace.WithMaxQueueSize(o.Room), sdktrace.WithMaxExportBatchSize(min(batch, o.Room)),
		sdktrace.WithBatchTimeout(batchPatience), sdktrace.WithExportTimeout(sendPatience))
	return s
}

// OnEnd takes a span that has ended.
func (s *sending) OnEnd(span sdktrace.ReadOnlySpan) {
	if s.waiting.Add(1) > s.room {
		s.waiting.Add(-1)
		s.dropped(1)
		return
	}
	s.SpanProcessor.OnEnd(span)
}

// behind is what the batches are given to.
type behind struct{ *sending }

// ExportSpans sends spans. Those that cannot be sent are dropped and told of here: the SDK would only log it.
func (b behind) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	defer b.waiting.Add(-int64(len(spans)))
	err := b.collector.ExportSpans(ctx, spans)
	lost := lostBy(err, len(spans))
	b.sent(len(spans) - lost)
	b.dropped(lost)
	if lost > 0 && b.complaints.Allow() {
		b.log.Warn("sending spans to the collector; they are dropped", "spans", lost, "error", err)
	}
	return nil
}

// lostBy is how many of so many spans never got to the collector.
func lostBy(err error, spans int) int {
	var some rejected
	switch {
	case err == nil:
		return 0
	case errors.As(err, &some):
		return int(min(some, rejected(spans))) //nolint:gosec // at most the spans
	}
	return spans
}

// Shutdown has nothing left to do once the batches have ended.
func (behind) Shutdown(context.Context) error { return nil }
