// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package monitoring tests the alerts, their runbooks and the dashboards that the chart has. What takes a real Prometheus runs by `make monitoring`.
package monitoring

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	root   = "../.."
	rules  = root + "/charts/wechat-endpoint/files/alerts.yaml"
	books  = root + "/docs/runbooks"
	online = "https://github.com/wechatendpoint/wechatendpoint/blob/main/docs/runbooks/"
)

type rule struct {
	Alert, Expr         string
	Labels, Annotations map[string]string
}

func alerts(t *testing.T) []rule {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	readYAML(t, rules, &file)
	var all []rule
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("there is no alert")
	}
	return all
}

// story is a test of promtool.
type story struct {
	Name        string
	InputSeries []struct{ Series string } `json:"input_series"`
	AlertRules  []struct {
		Alertname string
		ExpAlerts []any `json:"exp_alerts"`
	} `json:"alert_rule_test"`
}

func stories(t *testing.T, pattern string) []story {
	t.Helper()
	files, err := filepath.Glob("stories/" + pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	var all []story
	for _, path := range files {
		var file struct{ Tests []story }
		readYAML(t, path, &file)
		all = append(all, file.Tests...)
	}
	return all
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, path)), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestEveryAlertHasARunbook, in English and in Chinese, and both indexes name it with its severity. There is no page of anything else.
func TestEveryAlertHasARunbook(t *testing.T) {
	pages := map[string]bool{"README.md": true, "README.zh-CN.md": true}
	for _, alert := range alerts(t) {
		severity := alert.Labels["severity"]
		if !slices.Contains([]string{"critical", "warning", "info"}, severity) || alert.Annotations["summary"] == "" || alert.Annotations["description"] == "" {
			t.Errorf("%s lacks a severity, a summary or a description", alert.Alert)
		}
		if got := alert.Annotations["runbook_url"]; got != online+alert.Alert+".md" {
			t.Errorf("runbook_url of %s is %s", alert.Alert, got)
		}
		for _, language := range []string{".md", ".zh-CN.md"} {
			page := alert.Alert + language
			if pages[page] {
				t.Errorf("there are two alerts %s", alert.Alert)
			}
			pages[page] = true
			if title := "# " + alert.Alert + "\n"; !strings.HasPrefix(read(t, filepath.Join(books, page)), title) {
				t.Errorf("%s does not begin with %s", page, title)
			}
			if row := "| [" + alert.Alert + "](" + page + ") | " + severity + " |"; !strings.Contains(read(t, filepath.Join(books, "README"+language)), row) {
				t.Errorf("README%s has no row %s", language, row)
			}
		}
	}
	entries, err := os.ReadDir(books)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !pages[entry.Name()] {
			t.Errorf("%s is of no alert", entry.Name())
		}
	}
}

// TestEveryAlertFiresInAStory: promtool holds the stories against the rules.
func TestEveryAlertFiresInAStory(t *testing.T) {
	fires := map[string]bool{}
	for _, story := range stories(t, "*.yaml") {
		for _, expected := range story.AlertRules {
			fires[expected.Alertname] = fires[expected.Alertname] || len(expected.ExpAlerts) > 0
		}
	}
	for _, alert := range alerts(t) {
		if !fires[alert.Alert] {
			t.Errorf("%s fires in no story", alert.Alert)
		}
	}
}

// ofFaults are metrics that have no series where nothing is wrong.
var ofFaults = []string{"wechatendpoint_unreadable", "wechatendpoint_paused"}

// TestSilenceIsNoAbsence: an alert stays silent of which a story has no metric, whatever its expression is.
func TestSilenceIsNoAbsence(t *testing.T) {
	silent := stories(t, "silent.yaml")
	for _, alert := range alerts(t) {
		wanted := slices.DeleteFunc(metricsIn(alert.Expr), func(name string) bool { return slices.Contains(ofFaults, name) })
		told := slices.ContainsFunc(silent, func(s story) bool {
			has := map[string]bool{}
			for _, input := range s.InputSeries {
				has[metric.FindString(input.Series)] = true
			}
			return !slices.ContainsFunc(wanted, func(name string) bool { return !has[name] })
		})
		if !told {
			t.Errorf("no silent story has all of %v, which %s reads", wanted, alert.Alert)
		}
	}
}

// metric is the name of one of ours, or of controller-runtime's, client_golang's or Prometheus's own that is read here.
var metric = regexp.MustCompile(`\b(?:wechat_sidecar|wechatendpoint|controller_runtime|workqueue|process|go)_[a-z_]+[a-z]\b|\bALERTS\b`)

func metricsIn(expression string) []string {
	found := map[string]bool{}
	for _, name := range metric.FindAllString(expression, -1) {
		found[name] = true
	}
	return slices.Sorted(maps.Keys(found))
}

var (
	documented = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (\\w+) \\|")
	ours       = regexp.MustCompile(`\b(?:wechat_sidecar|wechatendpoint)_[a-z_]+[a-z]\b`)
)

// TestWhatIsReadExists: docs/metrics.md is held against the real pages, and everything else that names a metric of ours against docs/metrics.md.
func TestWhatIsReadExists(t *testing.T) {
	exist := map[string]bool{}
	for _, row := range documented.FindAllStringSubmatch(read(t, root+"/docs/metrics.md"), -1) {
		exist[row[1]] = true
		if row[2] == "histogram" {
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				exist[row[1]+suffix] = true
			}
		}
	}
	named := 0
	for _, pattern := range []string{"README*.md", "docs/*.md", "docs/spec/*.md", "docs/runbooks/*.md", "charts/wechat-endpoint/files/*.yaml", "charts/wechat-endpoint/files/dashboards/*.json"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no file is %s: %v", pattern, err)
		}
		for _, file := range files {
			text := read(t, file)
			for _, place := range ours.FindAllStringIndex(text, -1) {
				if name := text[place[0]:place[1]]; !exist[name] && !strings.HasPrefix(text[place[1]:], ".go") {
					t.Errorf("%s names %s, which docs/metrics.md does not have", file, name)
				} else {
					named++
				}
			}
		}
	}
	if named < 100 {
		t.Errorf("only %d names were found", named)
	}
}
