//go:build browser

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestInABrowser runs the plugin and walks through its page: walk.mjs has the steps. SHOTS is a folder for pictures of the page.
func TestInABrowser(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "kubectl-wechat")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/kubectl-wechat")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	var scrapes atomic.Int64
	cluster := &apiServer{t: t, objects: scene(), denied: []string{"wechatgateways", "pods", "secrets"}, pods: sidecar(&scrapes)}
	kubeconfig := cluster.kubeconfig()
	wechatApp := httptest.NewServer(http.HandlerFunc(app))
	t.Cleanup(wechatApp.Close)
	address := wechatApp.Listener.Addr().String()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>another site</title><body>")
	}))
	t.Cleanup(elsewhere.Close)
	settings, err := json.Marshal(map[string]string{
		"url":    start(t, binary, "dashboard", "--kubeconfig", kubeconfig, "-A", "--address", address),
		"reader": start(t, binary, "dashboard", "--kubeconfig", kubeconfig, "-n", "shop", "--as", "reader", "--address", address),
		"shots":  os.Getenv("SHOTS"), "token": token, "hostile": hostile, "elsewhere": elsewhere.URL,
	})
	if err != nil {
		t.Fatal(err)
	}
	walk := exec.CommandContext(t.Context(), "node", "walk.mjs")
	walk.Env = append(os.Environ(), "SETTINGS="+string(settings))
	out, err := walk.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	before := scrapes.Load()
	time.Sleep(6 * time.Second) // longer than from one sample to the next
	if now := scrapes.Load(); now != before {
		t.Errorf("%d samples are taken while no page is open", now-before)
	}
}

// start runs the plugin until the test ends, and returns the URL that it prints.
func start(t *testing.T, binary string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	plugin := exec.CommandContext(ctx, binary, args...)
	plugin.Cancel = func() error { return plugin.Process.Signal(os.Interrupt) }
	plugin.WaitDelay = 10 * time.Second
	var stderr bytes.Buffer
	plugin.Stderr = &stderr
	stdout, err := plugin.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := plugin.Start(); err != nil {
		t.Fatal(err)
	}
	url, err := bufio.NewReader(stdout).ReadString('\n')
	t.Cleanup(func() {
		cancel()
		_ = plugin.Wait()
		if code := plugin.ProcessState.ExitCode(); code != 0 {
			t.Errorf("exit status %d of the interrupted plugin: %s", code, stderr.String())
		}
	})
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	return strings.TrimSpace(url)
}
