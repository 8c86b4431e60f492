//go:build prometheus

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"sigs.k8s.io/yaml"

	"github.com/wechatendpoint/wechatendpoint/test/exposition"
	"github.com/wechatendpoint/wechatendpoint/test/prometheus"
)

func TestPromtoolTakesTheRules(t *testing.T) {
	if out, err := prometheus.Promtool(t, "", "check", "rules", "--lint=all", "--lint-fatal", rules); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
}

// TestPromtoolTakesTheConfiguration that we show to those without the Prometheus operator. Debian's Prometheus is built without the discovery of pods, which is left out here.
func TestPromtoolTakesTheConfiguration(t *testing.T) {
	var config map[string]any
	readYAML(t, root+"/config/prometheus/prometheus.yaml", &config)
	for _, job := range config["scrape_configs"].([]any) {
		delete(job.(map[string]any), "kubernetes_sd_configs")
	}
	text, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "prometheus.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := prometheus.Promtool(t, "", "check", "config", "--syntax-only", file); err != nil {
		t.Errorf("promtool check config: %v\n%s", err, out)
	}
}

// TestStories: each alert fires in its story, and none in those where nothing is wrong.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("stories/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := prometheus.Promtool(t, "", append([]string{"test", "rules"}, files...)...); err != nil {
		t.Errorf("promtool test rules: %v\n%s", err, out)
	}
}

// TestPromtoolTakesTheMetrics of the real pages. Those of Go and controller-runtime are not ours to name.
func TestPromtoolTakesTheMetrics(t *testing.T) {
	_, ops := serve(t, "team-a/shop")
	for _, address := range []string{ops, operatorPage(t)} {
		response, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		families := slices.DeleteFunc(exposition.Parse(t, string(page)), func(f *dto.MetricFamily) bool { return !ours.MatchString(f.GetName()) })
		if len(families) < 10 {
			t.Fatalf("%s has only %d metrics of ours", address, len(families))
		}
		if out, err := prometheus.Promtool(t, exposition.Text(t, families), "check", "metrics"); err != nil {
			t.Errorf("promtool check metrics: %v\n%s", err, out)
		}
	}
}
