// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// TestRun: each way of sending sends something, and ends with its context. An app without a sidecar is called by what is whole.
func TestRun(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	t.Cleanup(app.Close)
	const whole, half = "GET / HTTP/1.1\r\nHost: " + Host + "\r\n\r\n", "GET / HTTP/1.1\r\n"
	for name, row := range map[string]struct {
		flood  Flood
		called bool
	}{
		"requests whose answers are awaited": {Flood{Way: Answered, Text: whole}, true},
		"requests on connections kept open":  {Flood{Way: Kept, Text: whole}, true},
		"heads on connections kept open":     {Flood{Way: Kept, Text: half}, false},
		"connections that come and go":       {Flood{Way: Dropped}, false},
		"heads byte by byte":                 {Flood{Way: Trickled, Text: half}, false},
	} {
		calls.Store(0)
		ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
		two, one := row.flood, row.flood
		two.Connections, one.Connections = 2, 1
		if sent := Run(ctx, app.Listener.Addr().String(), two, one); sent < 3 {
			t.Errorf("%s: three clients sent %d", name, sent)
		}
		stop()
		if got := calls.Load(); (got > 0) != row.called {
			t.Errorf("%s: the app was called %d times", name, got)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(nil)
	closed.Close()
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if sent := Run(ctx, closed.Listener.Addr().String(), Flood{Connections: 1, Way: Answered}, Flood{Connections: 1, Way: Kept}); sent != 0 {
		t.Errorf("%d were sent to nobody", sent)
	}
}
