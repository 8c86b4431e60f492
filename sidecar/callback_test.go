// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// broken is a body that ends as a connection's does: before what was announced, with an error.
type broken struct {
	sent      io.Reader
	breaks    error
	announced int64
}

func (b *broken) Read(p []byte) (int, error) {
	n, err := b.sent.Read(p)
	b.announced -= int64(n)
	if errors.Is(err, io.EOF) && (b.breaks != nil || b.announced > 0) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// TestBodiesAreChargedAsTheyCome holds that announcing much costs the others nothing, and that a budget is given back
// whole.
func TestBodiesAreChargedAsTheyCome(t *testing.T) {
	const chunked = -1
	for name, test := range map[string]struct {
		announced, sent int64
		used            int64 // by others
		breaks          error // behind what was sent; nil is its end
		refused         error
		reason          wechat.Reason
		charged         int64
	}{
		"a message of a usual length is free":           {announced: 2000, sent: 2000, used: MaxHeldBytes},
		"so is the longest free one":                    {announced: freeBodySize, sent: freeBodySize, used: MaxHeldBytes},
		"one byte more is charged":                      {announced: freeBodySize + 1, sent: freeBodySize + 1, charged: 1},
		"and waits for room":                            {announced: freeBodySize + 1, sent: freeBodySize + 1, used: MaxHeldBytes, refused: errOverloaded},
		"the longest that is taken":                     {announced: MaxBodySize, sent: MaxBodySize, charged: MaxBodySize - freeBodySize},
		"one that is announced longer":                  {announced: MaxBodySize + 1, sent: 10, refused: tooLarge},
		"much announced and little sent costs nothing":  {announced: MaxBodySize, sent: freeBodySize - 1, reason: wechat.ReasonMalformed},
		"much announced and half sent costs what came":  {announced: MaxBodySize, sent: 20_000, reason: wechat.ReasonMalformed, charged: 32<<10 - freeBodySize},
		"a stream of a usual length is free":            {announced: chunked, sent: 2000, used: MaxHeldBytes},
		"a long stream costs at most twice what came":   {announced: chunked, sent: 20_000, charged: 32<<10 - freeBodySize},
		"the longest stream":                            {announced: chunked, sent: MaxBodySize, charged: MaxBodySize + 1 - freeBodySize},
		"a stream that is longer":                       {announced: chunked, sent: MaxBodySize + 1, refused: tooLarge, charged: MaxBodySize + 1 - freeBodySize},
		"a stream that breaks off":                      {announced: chunked, sent: 2000, breaks: io.ErrUnexpectedEOF, reason: wechat.ReasonMalformed},
		"an announced body whose connection is cut":     {announced: 3000, sent: 2000, breaks: io.ErrUnexpectedEOF, reason: wechat.ReasonMalformed},
		"nothing is nothing":                            {announced: 0, sent: 0},
		"a stream of nothing":                           {announced: chunked, sent: 0},
		"a stream that waits for room in the middle":    {announced: chunked, sent: 20_000, used: MaxHeldBytes - 8<<10, refused: errOverloaded, charged: 4 << 10},
		"an announced body that waits in the middle":    {announced: 20_000, sent: 20_000, used: MaxHeldBytes - 8<<10, refused: errOverloaded, charged: 4 << 10},
		"what was charged for a refused one is its own": {announced: 9000, sent: 5000, reason: wechat.ReasonMalformed, charged: 8<<10 - freeBodySize},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(Options{ConfigDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
			if !s.budget.TryAcquire(test.used) {
				t.Fatal("the others use more than there is")
			}
			sent := strings.Repeat("x", int(test.sent))
			r := httptest.NewRequest(http.MethodPost, "/weixin", nil)
			r.ContentLength, r.Body = test.announced, io.NopCloser(&broken{strings.NewReader(sent), test.breaks, test.announced})
			body := boundedBody{sidecar: s, r: r, deadline: time.Now().Add(time.Millisecond)}

			got, err := body.read()
			var refusal *wechat.Refusal
			switch {
			case test.reason != "":
				if !errors.As(err, &refusal) || refusal.Reason != test.reason {
					t.Errorf("error %v, want reason %s", err, test.reason)
				}
			case !errors.Is(err, test.refused):
				t.Errorf("error %v, want %v", err, test.refused)
			case err == nil:
				if diff := cmp.Diff(sent, string(got)); diff != "" {
					t.Errorf("read otherwise (-sent +read):\n%s", diff)
				}
			}
			again, errAgain := body.read()
			if !bytes.Equal(got, again) || !errors.Is(errAgain, err) {
				t.Errorf("asked again, it is %d bytes and error %v", len(again), errAgain)
			}
			if body.charged != test.charged {
				t.Errorf("charged %d bytes, want %d", body.charged, test.charged)
			}
			body.release()
			if !s.budget.TryAcquire(MaxHeldBytes - test.used) {
				t.Error("what was charged did not come back")
			}
		})
	}
}
