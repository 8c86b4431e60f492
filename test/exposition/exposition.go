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

// Check compares the section of docs/metrics.md with the families of a program whose names begin with the prefix, and lists what values the closed
// labels have there. With update it writes the section anew. Root is the folder of the repository.
func Check(t *testing.T, root, section, prefix string, families []*dto.MetricFamily, closed []string, update bool) {
	t.Helper()
	families = slices.DeleteFunc(slices.Clone(families), func(f *dto.MetricFamily) bool { return !strings.HasPrefix(f.GetName(), prefix) })
	if len(families) == 0 {
		t.Fatalf("there is no metric %s…", prefix)
	}
	slices.SortFunc(families, byName)
	lint(t, families)
	page := filepath.Join(root, "docs", "metrics.md")
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
	want := table(families) + values(families, closed)
	switch {
	case is == want:
	case update:
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("section %s of docs/metrics.md is stale: write it anew with -update. It must be:\n%s", section, want)
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

func table(families []*dto.MetricFamily) string {
	var text strings.Builder
	text.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, family := range families {
		fmt.Fprintf(&text, "| `%s` | %s | %s | %s |\n", family.GetName(), strings.ToLower(family.GetType().String()), quoted(Labels(family)), family.GetHelp())
	}
	return text.String()
}

// values tells which values the labels have.
func values(families []*dto.MetricFamily, labels []string) string {
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
		fmt.Fprintf(&text, "\n`%s` is one of %s.\n", label, quoted(slices.Sorted(maps.Keys(found))))
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

func quoted(words []string) string {
	all := make([]string, len(words))
	for i, word := range words {
		all[i] = "`" + word + "`"
	}
	return strings.Join(all, ", ")
}
