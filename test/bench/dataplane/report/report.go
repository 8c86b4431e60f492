// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package report makes of what was measured the lines, the table and the plot of the benchmark. It is pure.
package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Sample is what one peer cost in one column of one round.
type Sample struct {
	// Group is that of the column: columns of one stand in one table.
	Group, Column, Peer string
	Round               int
	// Answered requests in Time, and Wrong answers at any time.
	Answered, Wrong int
	Time            time.Duration
	// Forged requests came beside in Time, or connections of strangers. Where there are any, it is they who cost.
	Forged int
	// Retried requests were sent anew, because an answer was wrong or did not come.
	Retried int
	// CPU is of all the peer's processes in Time; System is the kernel's part of it.
	CPU, System time.Duration
	// Load is the CPU time of what played WeChat and the app in Time.
	Load     time.Duration
	P50, P99 time.Duration
	// Idle is the memory of the peer's processes before, Resident at the end, Peak the most since they began. Bytes.
	Idle, Resident, Peak int64
}

// Cost is the CPU time of one request, in µs; of a forged one, where there are any.
func (s Sample) Cost() float64 { return micro(s.CPU) / float64(cmp.Or(s.Forged, s.Answered)) }

// slowest is the latency of the slowest but one of a hundred, in ms.
func slowest(s Sample) float64 { return micro(s.P99) / 1000 }

// core is how much of a core it took, in percent.
func (s Sample) core() float64 { return 100 * float64(s.CPU) / float64(s.Time) }

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// Spread is the median of some figures, the least and the greatest. Of none, all are NaN.
type Spread struct{ Median, Least, Greatest float64 }

// SpreadOf returns the spread of figures. The median of an even number is the mean of the two in the middle.
func SpreadOf(figures []float64) Spread {
	if len(figures) == 0 {
		return Spread{math.NaN(), math.NaN(), math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(figures))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return Spread{median, sorted[0], sorted[len(sorted)-1]}
}

// Samples are all that were taken.
type Samples []Sample

// of returns the samples of a peer in a column, by round.
func (all Samples) of(column, peer string) map[int]Sample {
	found := map[int]Sample{}
	for _, s := range all {
		if s.Column == column && s.Peer == peer {
			found[s.Round] = s
		}
	}
	return found
}

// Figure is the spread of a figure of a peer in a column.
func (all Samples) Figure(column, peer string, figure func(Sample) float64) Spread {
	var figures []float64
	for _, s := range all.of(column, peer) {
		figures = append(figures, figure(s))
	}
	return SpreadOf(figures)
}

// Ratio is the spread of a peer's cost to another's, each in the same round. What forged requests cost is not compared with what others do.
func (all Samples) Ratio(column, peer, base string) Spread {
	return all.ratio(column, peer, base, Sample.Cost)
}

func (all Samples) ratio(column, peer, base string, figure func(Sample) float64) Spread {
	var ratios []float64
	bases := all.of(column, base)
	for round, s := range all.of(column, peer) {
		if b, ok := bases[round]; ok && (s.Forged > 0) == (b.Forged > 0) {
			ratios = append(ratios, figure(s)/figure(b))
		}
	}
	return SpreadOf(ratios)
}

// In returns the samples of a group.
func (all Samples) In(group string) Samples {
	return slices.Collect(func(yield func(Sample) bool) {
		for _, s := range all {
			if s.Group == group && !yield(s) {
				return
			}
		}
	})
}

// Columns are those that there are samples of, in the order of the first.
func (all Samples) Columns() []string { return all.names(func(s Sample) string { return s.Column }) }

// Peers are those that there are samples of, in the order of the first.
func (all Samples) Peers() []string { return all.names(func(s Sample) string { return s.Peer }) }

func (all Samples) names(name func(Sample) string) []string {
	var names []string
	for _, s := range all {
		if !slices.Contains(names, name(s)) {
			names = append(names, name(s))
		}
	}
	return names
}

// figures are printed for each peer of a column.
var figures = []struct {
	name, format string
	of           func(Sample) float64
}{
	{"cpu-us", "%.1f", Sample.Cost},
	{"cpu-system-percent", "%.0f", func(s Sample) float64 { return 100 * float64(s.System) / float64(max(1, s.CPU)) }},
	{"core-percent", "%.0f", Sample.core},
	{"load-core-percent", "%.0f", func(s Sample) float64 { return 100 * float64(s.Load) / float64(s.Time) }},
	{"forged-per-s", "%.0f", func(s Sample) float64 { return float64(s.Forged) / s.Time.Seconds() }},
	{"requests-per-s", "%.0f", func(s Sample) float64 { return float64(s.Answered) / s.Time.Seconds() }},
	{"p50-ms", "%.2f", func(s Sample) float64 { return micro(s.P50) / 1000 }},
	{"p99-ms", "%.2f", slowest},
	{"rss-idle-mib", "%.1f", func(s Sample) float64 { return float64(s.Idle) / (1 << 20) }},
	{"rss-mib", "%.1f", func(s Sample) float64 { return float64(s.Resident) / (1 << 20) }},
	{"rss-peak-mib", "%.1f", func(s Sample) float64 { return float64(s.Peak) / (1 << 20) }},
}

// Lines are for programs: `bench: COLUMN PEER FIGURE MEDIAN (LEAST..GREATEST)`, and `bench: COLUMN PEER/BASE cpu …` and `p99 …` for
// ratios to each base.
func (all Samples) Lines(bases ...string) []string {
	var lines []string
	add := func(what, format string, s Spread) {
		lines = append(lines, fmt.Sprintf("bench: %s "+format+" ("+format+".."+format+")", what, s.Median, s.Least, s.Greatest))
	}
	for _, column := range all.Columns() {
		for _, peer := range all.Peers() {
			samples := all.of(column, peer)
			if len(samples) == 0 {
				continue
			}
			for _, f := range figures {
				if spread := all.Figure(column, peer, f.of); spread.Greatest != 0 {
					add(fmt.Sprint(column, " ", peer, " ", f.name), f.format, spread)
				}
			}
			for _, base := range bases {
				if ratio := all.Ratio(column, peer, base); peer != base && peer != bases[0] && !math.IsNaN(ratio.Median) {
					add(fmt.Sprint(column, " ", peer, "/", base, " cpu"), "%.2f", ratio)
					add(fmt.Sprint(column, " ", peer, "/", base, " p99"), "%.2f", all.ratio(column, peer, base, slowest))
				}
			}
			wrong, retried := 0, 0
			for _, s := range samples {
				wrong, retried = wrong+s.Wrong, retried+s.Retried
			}
			lines = append(lines, fmt.Sprintf("bench: %s %s wrong %d", column, peer, wrong))
			if retried > 0 {
				lines = append(lines, fmt.Sprintf("bench: %s %s retried %d", column, peer, retried))
			}
		}
	}
	return lines
}

// Sorted returns the samples in the order of the columns, and of the peers in each.
func (all Samples) Sorted(columns, peers []string) Samples {
	return slices.SortedStableFunc(slices.Values(all), func(a, b Sample) int {
		return cmp.Or(
			cmp.Compare(slices.Index(columns, a.Column), slices.Index(columns, b.Column)),
			cmp.Compare(slices.Index(peers, a.Peer), slices.Index(peers, b.Peer)),
			cmp.Compare(a.Round, b.Round),
		)
	})
}

// Wrong is an error if there was a wrong answer.
func (all Samples) Wrong() error {
	for _, s := range all {
		if s.Wrong > 0 {
			return fmt.Errorf("%s answered %d requests of %s wrongly: what it costs says nothing", s.Peer, s.Wrong, s.Column)
		}
	}
	return nil
}
