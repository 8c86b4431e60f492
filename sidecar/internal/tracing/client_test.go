// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestNoProxyForTheCollector: a proxy that the environment names gets no span.
func TestNoProxyForTheCollector(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("spans went to a proxy") }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	// net/http would never send loopback to a proxy; this name is none.
	if err := newClient("http://collector.invalid:4318").UploadTraces(ctx, nil); err == nil {
		t.Error("a collector that there is not took spans")
	}
}
