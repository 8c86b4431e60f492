// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sidecartest runs real sidecars in tests. No product is linked with it.
package sidecartest

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Run serves a document until the test ends, and returns the addresses for callbacks and of the second port, once the sidecar is
// ready.
func Run(t testing.TB, document config.Document) (callbacks, ops string) {
	t.Helper()
	return RunTraced(t, document, config.Tracing{})
}

// RunTraced does the same with traces.
func RunTraced(t testing.TB, document config.Document, traces config.Tracing) (callbacks, ops string) {
	t.Helper()
	public, second := listen(t), listen(t)
	RunWith(t, document, public, second, sidecar.Options{Tracing: traces})
	return public.Addr().String(), second.Addr().String()
}

// RunWith does the same on these listeners, with more options than where the document is, and how the sidecar ends.
func RunWith(t testing.TB, document config.Document, public, second net.Listener, options sidecar.Options) {
	t.Helper()
	dir := t.TempDir()
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, config.File), text, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	options.ConfigDir, options.Grace, options.Log = dir, time.Second, slog.New(slog.DiscardHandler)
	gateway := sidecar.New(options)
	go func() { ended <- gateway.Serve(ctx, public, second) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	awaitReady(t, "http://"+second.Addr().String()+"/readyz")
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func awaitReady(t testing.TB, url string) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			continue
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return
		}
	}
	t.Fatal("the sidecar is not ready after 15 s")
}
