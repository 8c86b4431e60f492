// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package exposition holds what a program shows to Prometheus against what docs/metrics.md says of it, and against the conventions of names
// and help. It is for tests.
package exposition

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// Check compares a section of docs/metrics.md and of docs/metrics.zh-CN.md with the families of a program whose names begin with the prefix, and
// lists what values the closed labels have there. With update it writes both anew. Root is the folder of the repository.
func Check(t *testing.T, root, section, prefix string, families []*dto.MetricFamily, closed []string, update bool) {
	t.Helper()
	families = slices.DeleteFunc(slices.Clone(families), func(f *dto.MetricFamily) bool { return !strings.HasPrefix(f.GetName(), prefix) })
	if len(families) == 0 {
		t.Fatalf("there is no metric %s…", prefix)
	}
	slices.SortFunc(families, byName)
	lint(t, families)
	translated(t, section, families)
	checkPage(t, filepath.Join(root, "docs", "metrics.md"), section, table(families, english)+values(families, closed, english), update)
	inChinese := language{"指标", "类型", "标签", "含义", "`%s` 的取值：%s。", "、", func(help string) string { return chinese[section][help] }}
	checkPage(t, filepath.Join(root, "docs", "metrics.zh-CN.md"), section, table(families, inChinese)+values(families, closed, inChinese), update)
}

// translated compares the texts in Chinese with the help of the families.
func translated(t *testing.T, section string, families []*dto.MetricFamily) {
	t.Helper()
	helps := map[string]bool{}
	for _, family := range families {
		helps[family.GetHelp()] = true
		if chinese[section][family.GetHelp()] == "" {
			t.Errorf("chinese.go has no text for %s: %s", family.GetName(), family.GetHelp())
		}
	}
	for help := range chinese[section] {
		if !helps[help] {
			t.Errorf("chinese.go has a text for what is no help of a metric: %s", help)
		}
	}
}

// checkPage compares a section of a page with the text that it must have, or with update writes it.
func checkPage(t *testing.T, page, section, want string, update bool) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- begin "+section+" -->\n", "<!-- end "+section+" -->\n"
	before, rest, found := strings.Cut(string(text), begin)
	is, after, ends := strings.Cut(rest, end)
	if !found || !ends {
		t.Fatalf("%s has no section %s", page, section)
	}
	switch {
	case is == want:
	case update:
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("section %s of %s is stale: write it anew with -update. It must be:\n%s", section, page, want)
	}
}

// lint holds the families against the conventions, as `promtool check metrics` does.
func lint(t *testing.T, families []*dto.MetricFamily) {
	t.Helper()
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

// Text is the page that Prometheus reads.
func Text(t testing.TB, families []*dto.MetricFamily) string {
	t.Helper()
	var text bytes.Buffer
	encoder := expfmt.NewEncoder(&text, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			t.Fatal(err)
		}
	}
	return text.String()
}

// Parse reads such a page.
func Parse(t testing.TB, text string) []*dto.MetricFamily {
	t.Helper()
	decoder := expfmt.NewDecoder(strings.NewReader(text), expfmt.NewFormat(expfmt.TypeTextPlain))
	var families []*dto.MetricFamily
	for {
		family := &dto.MetricFamily{}
		if err := decoder.Decode(family); err != nil {
			break
		}
		families = append(families, family)
	}
	return families
}

func byName(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) }

// Gather reads a collector alone.
func Gather(t testing.TB, collector prometheus.Collector) []*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(collector); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// language has the words of a page.
type language struct {
	metric, kind, labels, meaning string // the head of the table
	oneOf                         string // a sentence that lists the values of a label
	comma                         string // between words of a list
	help                          func(string) string
}

var english = language{"metric", "type", "labels", "meaning", "`%s` is one of %s.", ", ", func(help string) string { return help }}

func table(families []*dto.MetricFamily, l language) string {
	var text strings.Builder
	fmt.Fprintf(&text, "| %s | %s | %s | %s |\n|---|---|---|---|\n", l.metric, l.kind, l.labels, l.meaning)
	for _, family := range families {
		kind := strings.ToLower(family.GetType().String())
		fmt.Fprintf(&text, "| `%s` | %s | %s | %s |\n", family.GetName(), kind, l.quoted(Labels(family)), l.help(family.GetHelp()))
	}
	return text.String()
}

// values tells which values the labels have.
func values(families []*dto.MetricFamily, labels []string, l language) string {
	var text strings.Builder
	for _, label := range labels {
		found := map[string]bool{}
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				for _, pair := range metric.GetLabel() {
					if pair.GetName() == label && pair.GetValue() != "" {
						found[pair.GetValue()] = true
					}
				}
			}
		}
		fmt.Fprintf(&text, "\n"+l.oneOf+"\n", label, l.quoted(slices.Sorted(maps.Keys(found))))
	}
	return text.String()
}

// Labels are the names of the labels that a family has.
func Labels(family *dto.MetricFamily) []string {
	found := map[string]bool{}
	for _, metric := range family.GetMetric() {
		for _, pair := range metric.GetLabel() {
			found[pair.GetName()] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func (l language) quoted(words []string) string {
	all := make([]string, len(words))
	for i, word := range words {
		all[i] = "`" + word + "`"
	}
	return strings.Join(all, l.comma)
}
