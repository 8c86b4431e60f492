//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// TestOnAnAPIServer installs, upgrades, rolls back and removes the chart, and applies the overlays, on an API server without nodes: nothing of it is
// refused but what must be.
func TestOnAnAPIServer(t *testing.T) {
	environment := &envtest.Environment{}
	if _, err := environment.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Error(err)
		}
	})
	user, err := environment.AddUser(envtest.User{Name: "administrator", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := helm()
	if err != nil {
		t.Fatal(err)
	}
	run := func(t *testing.T, refusal, program string, arguments ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), program, arguments...)
		command.Env = append(os.Environ(), "KUBECONFIG="+file)
		said, err := command.CombinedOutput()
		switch {
		case refusal == "" && err != nil:
			t.Fatalf("%s: %v\n%s", strings.Join(arguments, " "), err, said)
		case refusal != "" && (err == nil || !strings.Contains(string(said), refusal)):
			t.Errorf("%s: %v, want %q in\n%s", strings.Join(arguments, " "), err, refusal, said)
		}
	}
	helm := func(t *testing.T, refusal string, arguments ...string) {
		t.Helper()
		run(t, refusal, program, append(arguments, "--namespace", namespace)...)
	}
	earlier, err := filepath.Glob("testdata/earlier/*.tgz")
	if err != nil || len(earlier) == 0 {
		t.Fatalf("there is no earlier chart: %v", err)
	}
	for _, packaged := range earlier {
		t.Run("from "+filepath.Base(packaged), func(t *testing.T) {
			helm(t, "", "install", chart, packaged, "--create-namespace", "--set", "replicaCount=2,operator.image.repository=a.example.com/b/operator,operator.image.tag=c")
			helm(t, "", "upgrade", chart, chart, "--reset-then-reuse-values")
			helm(t, "", "rollback", chart, "1")
			helm(t, "", "upgrade", chart, chart, "--reset-then-reuse-values")
			helm(t, "", "uninstall", chart)
		})
	}
	t.Run("over definitions that were kept", func(t *testing.T) {
		helm(t, `annotation validation error: key "meta.helm.sh/release-name"`, "install", "other", chart)
		helm(t, "", "install", chart, chart)
		helm(t, "release wechat-endpoint of namespace wechatendpoint-system serves this whole cluster already", "install", "other", chart)
		helm(t, "", "uninstall", chart)
		helm(t, "", "install", "other", chart, "--take-ownership")
		helm(t, "", "uninstall", "other")
	})
	inputs, err := filepath.Glob("testdata/values/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, input := range inputs {
		t.Run("with "+filepath.Base(input), func(t *testing.T) {
			text, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "podMonitor") || strings.Contains(string(text), "watchNamespaces") {
				t.Skip("this API server has neither the kinds of the Prometheus operator nor the namespaces of teams")
			}
			helm(t, "", "install", chart, chart, "--take-ownership", "--values", input)
			helm(t, "", "uninstall", chart)
		})
	}
	t.Run("by kustomize", func(t *testing.T) {
		kustomize, err := exec.CommandContext(t.Context(), "../tools/install", "kustomize").Output()
		if err != nil {
			t.Fatal(err)
		}
		built := filepath.Join(t.TempDir(), "built.yaml")
		run(t, "", strings.TrimSpace(string(kustomize)), "build", "../config/testdata/overlays/pinned", "--output", built)
		kubectl := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl")
		run(t, "", kubectl, "apply", "--server-side", "--force-conflicts", "-f", built)
		run(t, "", kubectl, "apply", "--server-side", "-f", built)
	})
}
