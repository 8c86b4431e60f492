//go:build prometheus

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestStart reads a page that wants HTTPS and a token, with labels of its own, and one that wants neither.
func TestStart(t *testing.T) {
	page := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "made{namespace=\"of the page\"} 7\n") }
	guarded := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		page(w, r)
	}))
	defer guarded.Close()
	open := httptest.NewServer(http.HandlerFunc(page))
	defer open.Close()
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rules, []byte(`{groups: [{name: a, rules: [{alert: Seven, expr: made == 7}]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	target := func(url string) []Target {
		return []Target{{Address: url[strings.Index(url, "//")+2:], Labels: map[string]string{"namespace": "of the target", "instance": "here"}}}
	}
	started := time.Now()
	server := Start(t, Config{Rules: []string{rules}, Interval: 200 * time.Millisecond, Jobs: []Job{
		{Name: "guarded", Targets: target(guarded.URL), HTTPS: true, Token: "secret", HonorLabels: true},
		{Name: "open", Targets: target(open.URL)},
	}})
	server.AwaitTargets(t, 10*time.Second)
	got := map[string]float64{}
	for _, series := range server.Query(t, "made") {
		got[series.Labels["job"]+": namespace "+series.Labels["namespace"]] = series.Points[0].Value
	}
	want := map[string]float64{"guarded: namespace of the page": 7, "open: namespace of the target": 7}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	// The first sample may be younger than the last step of a range.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		series := server.Range(t, "sum(made)", started, time.Now(), 100*time.Millisecond)
		if len(series) == 1 && series[0].Points[0].Value >= 7 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("in the time since the start there was %v", series)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); len(server.Query(t, `ALERTS{alertname="Seven", alertstate="firing"}`)) != 2; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the alert does not fire")
		}
	}
}

// TestDown says which target cannot be read, and why.
func TestDown(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	defer closed.Close()
	server := Start(t, Config{Interval: 200 * time.Millisecond, Jobs: []Job{{Name: "none", Targets: []Target{{Address: closed.Listener.Addr().String()}}}}})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		down := strings.Join(server.down(t), "")
		if strings.Contains(down, closed.URL+"/metrics: down") && strings.Contains(down, "404") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("Prometheus says of its targets: %s", down)
		}
	}
}
