// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	mathrand "math/rand/v2"

	"go.opentelemetry.io/otel/trace"
)

// ids makes the ids of traces and spans.
//
// That of a trace is an HMAC over the message's key: the same for every repeat, on every replica that has the endpoint's secret, and also
// where the earlier one failed and is remembered by nobody. To whoever has not the secret it is a random number, as W3C's Trace Context
// wants it: it tells nothing of the message, and no message can be found by trying. Those of spans are random.
type ids struct {
	// own is for endpoints without a secret. Their repeats have one trace in this process.
	own [sha256.Size]byte
}

func newIDs() (i ids) {
	_, _ = rand.Read(i.own[:]) // crypto/rand never fails
	return i
}

type traceKey struct{}

// with is a context in which the next trace has the id of the message.
func (i ids) with(ctx context.Context, m Message) context.Context {
	secret := m.Secret
	if len(secret) == 0 {
		secret = i.own[:]
	}
	return context.WithValue(ctx, traceKey{}, traceID(secret, m.Key))
}

// traceID is another value than any that the endpoint's secret signs: these begin with v1.
func traceID(secret []byte, key [sha256.Size]byte) trace.TraceID {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("trace\n"))
	mac.Write(key[:])
	return trace.TraceID(mac.Sum(nil))
}

// NewIDs implements the SDK's IDGenerator.
func (i ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id, _ := ctx.Value(traceKey{}).(trace.TraceID)
	return id, i.NewSpanID(ctx, id)
}

// NewSpanID implements the SDK's IDGenerator.
func (ids) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:], mathrand.Uint64())
	}
	return id
}
