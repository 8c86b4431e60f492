// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tracing tells a collector, by OTLP, how long each message took on its way to an app, and tells the app in which trace its own
// part belongs.
//
// A message is one trace, and so are all repeats of it, on every replica. In it there is a SERVER span for each callback that brought the
// message, and a CLIENT span for each call of the app. What is told is in the configuration or of a closed list: nothing that WeChat,
// its users or the app wrote, and nothing secret. Nothing of a request's own trace is read: WeChat sends none, and others are strangers.
//
// A nil Tracer is off: it begins nil Traces, these begin nil Calls, and none of them does anything.
package tracing

import (
	"context"
	"log/slog"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
)

// Options of a Tracer.
type Options struct {
	// Endpoint is http://host:port of an OTLP receiver. Nothing is traced without.
	Endpoint string
	// PerMillion is how many of a million messages are told of.
	PerMillion int
	// Room is how many spans may wait to be sent, those that are being sent included. One takes SpanCost.
	Room int
	// Version is the sidecar's, and Instance tells the processes apart whose spans the collector gets.
	Version, Instance string
	// Sent and Dropped count spans: those that the collector took, and those that it never got, for want of room or because it did not
	// take them.
	Sent, Dropped func(spans int)
	// Log takes why spans are not sent, once a minute.
	Log *slog.Logger
}

// SpanCost is what a span takes that waits to be sent. Bytes.
const SpanCost = 2 << 10

// Tracer begins Traces. It is safe for concurrent use.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	ids      ids
}

// New returns a Tracer, or nil where nothing is to be traced. It never waits for the collector, which need not be there.
func New(o Options) *Tracer {
	if o.Endpoint == "" {
		return nil
	}
	ids := newIDs()
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(newSending(o)),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(float64(o.PerMillion)/1e6))),
		sdktrace.WithIDGenerator(ids),
		sdktrace.WithResource(resource.NewWithAttributes(semconv.SchemaURL,
			semconv.ServiceName("wechat-sidecar"), semconv.ServiceVersion(o.Version), semconv.ServiceInstanceID(o.Instance))),
	)
	return &Tracer{provider: provider, tracer: provider.Tracer("github.com/wechatendpoint/wechatendpoint/sidecar"), ids: ids}
}

// Close sends what waits, or as much of it as can be sent until the deadline of ctx.
func (t *Tracer) Close(ctx context.Context) {
	if t != nil {
		_ = t.provider.Shutdown(ctx) // what was not sent is lost
	}
}

// Message is what is told of a message, or decides about its trace.
type Message struct {
	// Key is the same for every repeat of the message, and Secret is the endpoint's own, or empty. Neither is told.
	Key    [32]byte
	Secret []byte
	// Arrived is when the callback did.
	Arrived time.Time
	// Endpoint, Platform, Host and Route are the configuration's.
	Endpoint, Platform, Host, Route string
	Kind                            Kind
}

// Kind is what a message is, as far as that is told.
type Kind string

// Kinds of messages.
const (
	KindMessage      Kind = "message"      // from a user
	KindEvent        Kind = "event"        // what a user did, or WeChat
	KindCommand      Kind = "command"      // what a third-party platform or a suite is told
	KindNotification Kind = "notification" // of WeChat Pay
	KindUnreadable   Kind = "unreadable"
)

// What is told beside OpenTelemetry's own attributes.
const (
	attributeEndpoint = attribute.Key("wechat.endpoint")
	attributePlatform = attribute.Key("wechat.platform")
	attributeKind     = attribute.Key("wechat.message.kind")
	attributeOutcome  = attribute.Key("wechat.outcome")
	attributeRepeat   = attribute.Key("wechat.repeat")
)

// Trace is what is told of one callback that brought a message.
type Trace struct {
	tracer trace.Tracer
	span   trace.Span
}

// Begin begins to tell of a callback, from when it arrived.
func (t *Tracer) Begin(m Message) *Trace {
	if t == nil {
		return nil
	}
	_, span := t.tracer.Start(t.ids.with(context.Background(), m), "POST "+m.Route,
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(m.Arrived))
	if span.IsRecording() {
		span.SetAttributes(
			semconv.HTTPRequestMethodPost, semconv.HTTPRoute(m.Route), semconv.URLPath(m.Route), semconv.URLScheme("http"),
			attributeEndpoint.String(m.Endpoint), attributePlatform.String(m.Platform), attributeKind.String(string(m.Kind)))
		if m.Host != "" {
			span.SetAttributes(semconv.ServerAddress(m.Host))
		}
	}
	return &Trace{tracer: t.tracer, span: span}
}

// Repeat says that the message was known already.
func (t *Trace) Repeat() {
	if t != nil {
		t.span.SetAttributes(attributeRepeat.Bool(true))
	}
}

// Conclude says what became of the message. The last word counts.
func (t *Trace) Conclude(outcome string) {
	if t != nil {
		t.span.SetAttributes(attributeOutcome.String(outcome))
	}
}

// End says how the callback was answered, now.
func (t *Trace) End(status int) {
	if t == nil {
		return
	}
	t.span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	if status >= 500 {
		t.span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(status)))
		t.span.SetStatus(codes.Error, "")
	}
	t.span.End()
}

// Call is what is told of a call of an app.
type Call struct {
	span trace.Span
}

// Call begins to tell of a call of the app at that origin, http://host:port or https://host:port.
func (t *Trace) Call(origin string) *Call {
	if t == nil {
		return nil
	}
	_, span := t.tracer.Start(trace.ContextWithSpan(context.Background(), t.span), "POST", trace.WithSpanKind(trace.SpanKindClient))
	if span.IsRecording() {
		span.SetAttributes(semconv.HTTPRequestMethodPost, semconv.URLFull(origin))
		if app, err := url.Parse(origin); err == nil {
			span.SetAttributes(semconv.ServerAddress(app.Hostname()), semconv.ServerPort(portOf(app)))
		}
	}
	return &Call{span: span}
}

func portOf(app *url.URL) int {
	if number, err := strconv.Atoi(app.Port()); err == nil {
		return number
	}
	if app.Scheme == "https" {
		return 443
	}
	return 80
}

// Inject tells the app, in a field that it appends to the head of the request, in which trace and below which span its own part belongs.
func (c *Call) Inject(head []byte) []byte {
	if c == nil {
		return head
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpan(context.Background(), c.span), carrier)
	return append(append(append(head, "Traceparent: "...), carrier.Get("traceparent")...), "\r\n"...)
}

// Result is how a call of an app ended.
type Result struct {
	// Outcome is what became of it, and Failure why it was not answered well; empty where it was.
	Outcome, Failure string
	// Status is the status of the app's answer; 0 where none came.
	Status int
	// Retries are the attempts after the first. All of them are one Call.
	Retries int
}

// End says how the call ended, now.
func (c *Call) End(r Result) {
	if c == nil {
		return
	}
	about := []attribute.KeyValue{attributeOutcome.String(r.Outcome)}
	if r.Status != 0 {
		about = append(about, semconv.HTTPResponseStatusCode(r.Status))
	}
	if r.Retries != 0 {
		about = append(about, semconv.HTTPRequestResendCount(r.Retries))
	}
	if r.Failure != "" {
		about = append(about, semconv.ErrorTypeKey.String(r.Failure))
		c.span.SetStatus(codes.Error, "")
	}
	c.span.SetAttributes(about...)
	c.span.End()
}
