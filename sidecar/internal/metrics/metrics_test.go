// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"testing"
	"time"
)

func zero() float64 { return 0 }

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
	gauges := Gauges{Bindings: zero, EvictedBindings: zero, EvictedReplies: zero}
	ended, other := p.NewEndpoint("a/ended", gauges), p.NewEndpoint("a/other", gauges)
	all := series(t, p, "a/ended")
	ended.Close()
	ended.Callbacks.WithLabelValues("answered").Inc()
	ended.ObserveBackend(time.Second)
	other.Callbacks.WithLabelValues("answered").Inc()
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
		p.NewEndpoint(string(rune('a'+i)), Gauges{Bindings: zero, EvictedBindings: zero, EvictedReplies: zero})
	}
	first, last := series(t, p, "a"), series(t, p, string(rune('a'+few)))
	if first < 20 || last > 12 {
		t.Errorf("the first has %d series, the last %d", first, last)
	}
}
