//go:build prometheus

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/test/prometheus"
)

// chosen are the values of the dashboards' variables.
var chosen = strings.NewReplacer("$__rate_interval", rateOver, "$namespace", "team-a", "$name", "shop", "$gateway", "front")

var (
	selector    = regexp.MustCompile(metric.String() + `(?:\{[^}]*\})?`)
	labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
)

// TestQueriesFindSomething: every query of every dashboard has an answer in the town, every series that a query or an alert names is on a real page, and no alert's expression
// is one that Prometheus cannot evaluate.
func TestQueriesFindSomething(t *testing.T) {
	queries := map[string]string{} // whose each is
	add := func(expression, whose string) {
		queries[expression] = whose
		for _, series := range selector.FindAllString(expression, -1) {
			if !strings.HasPrefix(series, "ALERTS") { // which are Prometheus's own
				queries["count("+series+")"] = whose
			}
		}
	}
	for name, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				add(chosen.Replace(target.Expr), name+": "+p.Title)
			}
		}
		for _, variable := range d.Templating.List {
			if variable.Type == "datasource" {
				continue
			}
			parts := labelValues.FindStringSubmatch(chosen.Replace(variable.Definition))
			if parts == nil {
				t.Fatalf("%s: the variable %s is %s", name, variable.Name, variable.Definition)
			}
			add("count by ("+parts[2]+") ("+parts[1]+")", name+": variable "+variable.Name)
		}
	}
	alerts := alerts(t)
	for _, alert := range alerts {
		for _, series := range selector.FindAllString(alert.Expr, -1) {
			queries["count("+series+")"] = alert.Alert
		}
	}
	server := newTown(t)
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(interval) {
		maps.DeleteFunc(queries, func(query, _ string) bool { return answers(t, server, query) })
		if len(queries) == 0 {
			break
		}
		if time.Now().After(deadline) {
			for _, query := range slices.Sorted(maps.Keys(queries)) {
				t.Errorf("%s asks for what is not there: %s", queries[query], query)
			}
			break
		}
	}
	for _, alert := range alerts {
		server.Query(t, alert.Expr)
	}
}

// answers reports whether a query has an answer that can be drawn.
func answers(t *testing.T, server *prometheus.Server, query string) bool {
	t.Helper()
	return slices.ContainsFunc(server.Query(t, query), func(s prometheus.Series) bool {
		return s.Points[0].Value == s.Points[0].Value // 0/0 is not
	})
}
