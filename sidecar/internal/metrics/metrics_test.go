// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func zero() float64 { return 0 }

// nothing is remembered.
type nothing struct{}

func (nothing) Len() int               { return 0 }
func (nothing) EvictedUses() uint64    { return 0 }
func (nothing) EvictedReplies() uint64 { return 0 }

// series counts those of an endpoint that are read.
func series(t *testing.T, p *Process, endpoint string) int {
	t.Helper()
	families, err := p.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, pair := range metric.GetLabel() {
				if pair.GetName() == label && pair.GetValue() == endpoint {
					n++
				}
			}
		}
	}
	return n
}

// TestAnEndpointsSeriesEndWithIt, also those of callbacks that were under way.
func TestAnEndpointsSeriesEndWithIt(t *testing.T) {
	p := NewProcess(zero, zero)
	gauges := nothing{}
	ended, other := p.NewEndpoint("a/ended", gauges), p.NewEndpoint("a/other", gauges)
	all := series(t, p, "a/ended")
	document := ended.NewDocument([]string{"Discard"}, "Forward", []string{"http://a", "http://b"})
	document.CountRule(-1)
	document.ObserveApp("http://a", time.Second)
	ended.Close()
	ended.CountCallback("answered")
	ended.ObserveBackend(time.Second)
	document.CountRule(-1)
	document.CountRule(0)
	document.ObserveApp("http://b", time.Second)
	other.CountCallback("answered")
	if got := series(t, p, "a/ended"); all < 20 || got != 0 {
		t.Errorf("of %d series %d go on", all, got)
	}
	if got := series(t, p, "a/other"); got != all {
		t.Errorf("another endpoint has %d series, want %d", got, all)
	}
	again := p.NewEndpoint("a/ended", gauges)
	ended.Close() // the one before: the name is not its any more
	if got := series(t, p, "a/ended"); got != all {
		t.Errorf("one that came back has %d series, want %d", got, all)
	}
	again.Close()
	p.sweep(time.Now().Add(2 * longest))
	if len(p.ended) != 0 {
		t.Errorf("%v is remembered for ever", p.ended)
	}
}

// TestAThousandEndpointsHaveFewSeriesUntilSomethingHappens.
func TestAThousandEndpointsHaveFewSeriesUntilSomethingHappens(t *testing.T) {
	p := NewProcess(zero, zero)
	for i := range few + 1 {
		p.NewEndpoint(string(rune('a'+i)), nothing{})
	}
	first, last := series(t, p, "a"), series(t, p, string(rune('a'+few)))
	if first < 20 || last > 12 {
		t.Errorf("the first has %d series, the last %d", first, last)
	}
}

// told are the series of a metric, by the values of its labels.
func told(t *testing.T, p *Process, metric string) map[string]float64 {
	t.Helper()
	families, err := p.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, family := range families {
		if family.GetName() != metric {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, pair := range m.GetLabel() {
				labels = append(labels, pair.GetValue())
			}
			all[strings.Join(labels, " ")] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

// TestSeriesOfRulesAndAppsFollowTheDocument: they begin with their first event, and end with the document that has them no more.
func TestSeriesOfRulesAndAppsFollowTheDocument(t *testing.T) {
	type counts = map[string]float64
	p := NewProcess(zero, zero)
	e := p.NewEndpoint("a/b", nothing{})
	other := p.NewEndpoint("a/other", nothing{})
	use := func(d *Document, rules []int, apps ...string) {
		for _, rule := range rules {
			d.CountRule(rule)
		}
		for _, app := range apps {
			d.ObserveApp(app, time.Second)
		}
	}
	use(other.NewDocument([]string{"Forward"}, "Forward", []string{"x", "y"}), []int{0}, "y")
	always := counts{"Forward 0 a/other": 1}
	var before *Document
	for _, step := range []struct {
		name    string
		actions []string
		apps    []string
		do      func(d *Document)
		rules   counts
		calls   counts
	}{
		{"what is not used has no series", []string{"Forward", "Discard"}, []string{"x", "y"}, func(*Document) {}, counts{}, counts{}},
		{"each begins with its first event", []string{"Forward", "Discard"}, []string{"x", "y"}, func(d *Document) { use(d, []int{-1, 1, 1}, "y") }, counts{"Forward none a/b": 1, "Discard 1 a/b": 2}, counts{"y a/b": 1}},
		{"and goes on with the next document", []string{"Forward", "Discard"}, []string{"y", "z"}, func(d *Document) { use(d, []int{1}, "y", "z") }, counts{"Forward none a/b": 1, "Discard 1 a/b": 3}, counts{"y a/b": 2, "z a/b": 1}},
		{"another action is another series", []string{"Forward", "Forward"}, []string{"y", "z"}, func(*Document) {}, counts{"Forward none a/b": 1}, counts{"y a/b": 2, "z a/b": 1}},
		{"a rule that is gone has none", []string{"Forward"}, []string{"x", "z"}, func(*Document) {}, counts{"Forward none a/b": 1}, counts{"z a/b": 1}},
		{"nor for what was under way", []string{"Forward"}, []string{"x", "z"}, func(*Document) { use(before, []int{1, -1, 0}, "y", "z") }, counts{"Forward none a/b": 2, "Forward 0 a/b": 1}, counts{"z a/b": 2}},
		{"one app alone has none", nil, []string{"z"}, func(d *Document) { use(d, nil, "z") }, counts{"Forward none a/b": 2}, counts{}},
	} {
		d := e.NewDocument(step.actions, "Forward", step.apps)
		step.do(d)
		if len(step.actions) == 2 {
			before = d
		}
		maps.Copy(step.rules, always)
		step.calls["y a/other"] = 1
		if diff := cmp.Diff(step.rules, told(t, p, "wechat_sidecar_messages_total")); diff != "" {
			t.Errorf("%s: rules (-want +got):\n%s", step.name, diff)
		}
		if diff := cmp.Diff(step.calls, told(t, p, "wechat_sidecar_app_duration_seconds")); diff != "" {
			t.Errorf("%s: apps (-want +got):\n%s", step.name, diff)
		}
	}
}

// TestManyBeginOneSeries at once, while documents come and the metrics are read.
func TestManyBeginOneSeries(t *testing.T) {
	p := NewProcess(zero, zero)
	e := p.NewEndpoint("a/b", nothing{})
	var group sync.WaitGroup
	document := func() *Document { return e.NewDocument([]string{"Forward"}, "Forward", []string{"x", "y"}) }
	d := document()
	for range 8 {
		group.Go(func() {
			for range 100 {
				d.CountRule(0)
				d.ObserveApp("x", time.Second)
			}
		})
	}
	group.Go(func() {
		for range 10 {
			document()
			told(t, p, "wechat_sidecar_messages_total")
		}
	})
	group.Wait()
	if got := told(t, p, "wechat_sidecar_messages_total")["Forward 0 a/b"]; got != 800 {
		t.Errorf("%v are counted, want 800", got)
	}
}

// TestACountAllocatesNothing once its series has begun.
func TestACountAllocatesNothing(t *testing.T) {
	e := NewProcess(zero, zero).NewEndpoint("a/b", nothing{})
	d := e.NewDocument([]string{"Forward"}, "Forward", []string{"x", "y"})
	if n := testing.AllocsPerRun(100, func() {
		d.CountRule(0)
		d.ObserveApp("x", time.Second)
	}); n > 0 {
		t.Errorf("it allocates %v times", n)
	}
}
