// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// TestAlertsAndDashboardsArriveAsTheyAre: both have braces of their own, which are not helm's.
func TestAlertsAndDashboardsArriveAsTheyAre(t *testing.T) {
	rendered, err := template(t, "--set", "metrics.prometheusRule.enabled=true,metrics.dashboards.enabled=true")
	if err != nil {
		t.Fatal(err)
	}
	rules, dashboards := 0, map[string]string{}
	for document := range strings.SplitSeq(rendered, "\n---\n") {
		var object struct {
			Kind     string
			Metadata struct{ Name string }
			Spec     any
			Data     map[string]string
		}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		switch {
		case object.Kind == "PrometheusRule":
			rules++
			var want any
			if err := yaml.Unmarshal([]byte(content(t, "alerts.yaml")), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, object.Spec); diff != "" {
				t.Errorf("the PrometheusRule (-file +got):\n%s", diff)
			}
		case strings.HasPrefix(object.Metadata.Name, "wechatendpoint-dashboard-"):
			for name, text := range object.Data {
				dashboards[strings.TrimPrefix(name, "wechatendpoint-")] = text
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(chart, "files/dashboards/*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		if diff := cmp.Diff(content(t, "dashboards/"+name), dashboards[name]); diff != "" {
			t.Errorf("%s (-file +got):\n%s", name, diff)
		}
	}
	if rules != 1 || len(files) == 0 || len(dashboards) != len(files) {
		t.Errorf("there are %d PrometheusRules, and %d dashboards of %d files", rules, len(dashboards), len(files))
	}
}

func content(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chart, "files", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
