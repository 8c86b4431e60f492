// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecartest

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Collector is an OTLP/HTTP receiver in the test's process.
type Collector struct {
	// URL is what sidecars are given as its endpoint.
	URL string

	mu     sync.Mutex
	spans  []Span
	raw    []byte
	answer http.HandlerFunc
}

// Span is what a Collector was told, with its values as text.
type Span struct {
	Name, Kind          string
	Trace, ID, Parent   string // hexadecimal; an empty parent is none
	Failed              bool
	Start, End          time.Time
	Attributes, Process map[string]string // its own, and those of the process that made it
}

// NewCollector starts a Collector, which ends with the test.
func NewCollector(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		answer := c.answer
		c.mu.Unlock()
		if answer != nil {
			answer(w, r)
			return
		}
		if err := c.take(r); err != nil {
			t.Errorf("a collector would not take this: %v", err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-protobuf") // of an empty ExportTraceServiceResponse
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	c.URL = server.URL
	return c
}

// Traces is what a sidecar is told that tells this collector of every message.
func (c *Collector) Traces() config.Tracing { return config.Tracing{Endpoint: c.URL} }

// Answers tells the collector how to answer from now on. With nil it takes what comes.
func (c *Collector) Answers(answer http.HandlerFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

// take reads a request as the specification of OTLP/HTTP has it.
func (c *Collector) take(r *http.Request) error {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		return fmt.Errorf("%s %s of %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var data otlp.TracesData // has the fields of an ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &data); err != nil {
		return err
	}
	if unknown := data.ProtoReflect().GetUnknown(); len(unknown) > 0 {
		return fmt.Errorf("it has other fields: %x", unknown)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw = append(c.raw, body...)
	for _, process := range data.ResourceSpans {
		for _, library := range process.ScopeSpans {
			for _, span := range library.Spans {
				c.spans = append(c.spans, Span{
					Name: span.Name, Kind: span.Kind.String(), Trace: hex.EncodeToString(span.TraceId), ID: hex.EncodeToString(span.SpanId),
					Parent: hex.EncodeToString(span.ParentSpanId), Failed: span.Status.GetCode() == otlp.Status_STATUS_CODE_ERROR,
					Start: time.Unix(0, int64(span.StartTimeUnixNano)), End: time.Unix(0, int64(span.EndTimeUnixNano)),
					Attributes: textOf(span.Attributes), Process: textOf(process.Resource.GetAttributes()),
				})
			}
		}
	}
	return nil
}

func textOf(attributes []*common.KeyValue) map[string]string {
	text := map[string]string{}
	for _, one := range attributes {
		switch value := one.Value.GetValue().(type) {
		case *common.AnyValue_StringValue:
			text[one.Key] = value.StringValue
		case *common.AnyValue_IntValue:
			text[one.Key] = fmt.Sprint(value.IntValue)
		case *common.AnyValue_BoolValue:
			text[one.Key] = fmt.Sprint(value.BoolValue)
		default:
			text[one.Key] = one.Value.String()
		}
	}
	return text
}

// Raw is every byte that the collector was told.
func (c *Collector) Raw() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.raw)
}

// Spans is what the collector was told so far, in the order in which the spans began.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	spans := slices.Clone(c.spans)
	slices.SortFunc(spans, func(a, b Span) int { return a.Start.Compare(b.Start) })
	return spans
}

// Await returns the spans once there are so many.
func (c *Collector) Await(t testing.TB, spans int) []Span {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		got := c.Spans()
		if len(got) >= spans {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("the collector was told of %d spans, want %d", len(got), spans)
		}
	}
}
