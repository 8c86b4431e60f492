// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/wechatendpoint/wechatendpoint/sidecar/version"
)

// asOperator in the environment makes the test's own binary run as the operator.
const asOperator = "TEST_RUNS_AS_OPERATOR"

func TestMain(m *testing.M) {
	if os.Getenv(asOperator) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestTheVersionIsToldWithoutACluster and without any other flag.
func TestTheVersionIsToldWithoutACluster(t *testing.T) {
	operator := exec.CommandContext(t.Context(), os.Args[0], "--version")
	operator.Env = []string{asOperator + "=1", "HOME=" + t.TempDir()}
	output, err := operator.Output()
	if want := "operator " + version.Get().String() + "\n"; err != nil || string(output) != want {
		t.Errorf("it ended with %v and said %q, want %q", err, output, want)
	}
}

// TestRiskyAnnotationsAreWarnedOfOnce starts the operator without a cluster: it says what it thinks of its choices and ends.
func TestRiskyAnnotationsAreWarnedOfOnce(t *testing.T) {
	for name, test := range map[string]struct {
		allowed string
		warn    string // part of the one warning; empty for none
	}{
		"nothing is allowed":      {allowed: "[]"},
		"harmless keys":           {allowed: "[cert-manager.io/issuer, external-dns.alpha.kubernetes.io/ttl]"},
		"two risky ones among it": {allowed: "[a.example.com/server-snippet, cert-manager.io/issuer, b.example.com/auth-url]", warn: `"keys":["a.example.com/server-snippet","b.example.com/auth-url"]`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			config := filepath.Join(dir, "config.yaml")
			text := "sidecarImage: example.com/sidecar:1\nallowedIngressAnnotations: " + test.allowed
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			operator := exec.CommandContext(t.Context(), os.Args[0], "--config="+config)
			operator.Env = []string{asOperator + "=1", "HOME=" + dir, "KUBECONFIG=" + filepath.Join(dir, "none")}
			output, err := operator.CombinedOutput()
			if err == nil || !strings.Contains(string(output), "finding the cluster") {
				t.Fatalf("it ended with %v and said\n%s", err, output)
			}
			warnings := strings.Count(string(output), `"level":"WARN"`)
			if test.warn == "" && warnings != 0 || test.warn != "" && (warnings != 1 || !strings.Contains(string(output), test.warn)) {
				t.Errorf("want one warning with %q, or none, and got\n%s", test.warn, output)
			}
		})
	}
}

// TestALateSourceNamesWhatItWatches logs a source as controller-runtime does when its watch begins after the start.
func TestALateSourceNamesWhatItWatches(t *testing.T) {
	var log strings.Builder
	late := source.Kind(nil, &corev1.Pod{}, handler.TypedFuncs[*corev1.Pod, reconcile.Request]{})
	slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{ReplaceAttr: nameSource})).Info("Starting EventSource", "source", late)
	if want := `"source":"kind source: *v1.Pod"`; !strings.Contains(log.String(), want) {
		t.Errorf("the log is %s; want %s in it", log.String(), want)
	}
}
