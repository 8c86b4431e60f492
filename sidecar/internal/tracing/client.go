// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// client sends spans as OTLP/HTTP in binary protobuf: https://opentelemetry.io/docs/specs/otlp/#otlphttp. OpenTelemetry's own client would
// bring gRPC with it, and add two thirds to the program.
type client struct {
	url  string
	http http.Client
}

func newClient(endpoint string) *client {
	return &client{url: endpoint + "/v1/traces", http: http.Client{
		// No proxy, no redirect and one connection: the spans are for the collector that the configuration names.
		Transport: &http.Transport{
			MaxConnsPerHost: 1, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: maxResponse, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// maxResponse bounds the head and the body of an answer. Bytes.
const maxResponse = 8 << 10

// rejected is how many spans the collector did not take of those that it was sent; it has the others.
type rejected uint64

func (r rejected) Error() string { return fmt.Sprintf("the collector rejected %d of them", uint64(r)) }

// The pauses between attempts double from the first on, unless the collector names one.
const firstPause = time.Second

// Start and Stop make it a client of OpenTelemetry's exporter.
func (*client) Start(context.Context) error { return nil }

// Stop ends the connection.
func (c *client) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces sends spans until the collector has taken them, or ctx has ended.
func (c *client) UploadTraces(ctx context.Context, spans []*otlp.ResourceSpans) error {
	// It has the bytes of an ExportTraceServiceRequest, whose package needs gRPC.
	body, err := proto.Marshal(&otlp.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("writing spans: %w", err)
	}
	for pause := firstPause; ; pause *= 2 {
		asked, again, err := c.post(ctx, body)
		if !again {
			return err
		}
		timer := time.NewTimer(max(pause, asked))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// post sends spans once. Again says that they may be sent once more, and pause after which time at the earliest.
func (c *client) post(ctx context.Context, body []byte) (pause time.Duration, again bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return 0, false, err
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Header.Set("User-Agent", "wechatendpoint")
	response, err := c.http.Do(request)
	if err != nil {
		return 0, true, err
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(response.Body, maxResponse)) // also so that the connection can be kept
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		again = true
	default:
		if response.StatusCode/100 == 2 {
			return 0, false, rejectedIn(answer)
		}
	}
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // one that is a date, or none, asks for no pause of its own
	return time.Duration(seconds) * time.Second, again, fmt.Errorf("the collector answered with status %d", response.StatusCode)
}

// rejectedIn reads what an ExportTraceServiceResponse says in partial_success.rejected_spans. Both fields have the number 1. What cannot be
// read rejects nothing.
func rejectedIn(answer []byte) error {
	partial, _ := protowire.ConsumeBytes(field1(answer, protowire.BytesType))
	if spans, _ := protowire.ConsumeVarint(field1(partial, protowire.VarintType)); spans > 0 {
		return rejected(spans)
	}
	return nil
}

// field1 is the value of the field with the number 1 in a message, as it is encoded there; empty where there is none.
func field1(message []byte, kind protowire.Type) (value []byte) {
	for len(message) > 0 {
		number, found, tag := protowire.ConsumeTag(message)
		length := protowire.ConsumeFieldValue(number, found, message[max(tag, 0):])
		if tag < 0 || length < 0 {
			return nil
		}
		if number == 1 && found == kind {
			value = message[tag : tag+length]
		}
		message = message[tag+length:]
	}
	return value
}
