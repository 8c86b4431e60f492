//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// sample is what the process had at one moment.
type sample struct {
	at time.Duration // since the traffic began
	// values are by the measures.
	values [len(measures)]float64
}

// measure is what is looked at.
type measure struct {
	name, unit string
	// slack is by how much it may grow in the second half, however little it is. In units.
	slack float64
}

// measures are what must stay as it is. What is remembered of messages is full within the first half.
var measures = [...]measure{
	{"resident memory", "MiB", 2},
	{"goroutines", "", 20},
	{"descriptors", "", 20},
}

// share is by how much of its median a measure may grow in the second half.
const share = 0.05

// leastSamples is how many the second half needs for a verdict.
const leastSamples = 12

// trend is how a measure went.
type trend struct {
	measure
	first, median, last, most float64 // of the whole, and the median of the second half
	growth                    float64 // of the line through the second half, from its begin to its end
	bound                     float64 // of the growth
	line                      line
	judged                    bool // there were enough samples
}

// line is value = at + slope × (time - begin), between two times.
type line struct {
	begin, end time.Duration
	at, slope  float64 // the slope is per second
}

func (l line) value(t time.Duration) float64 { return l.at + l.slope*(t-l.begin).Seconds() }

// flat reports whether the measure grew no further. It is the rule: the line through the second half rises from its begin to its end by at
// most a twentieth of the median of that half, or by the measure's slack where that is more. A line is one whose slope is the median of the
// slopes between all pairs of samples (Theil and Sen), so that bursts shorter than a quarter of the time move it little.
func (t trend) flat() bool { return t.judged && t.growth <= t.bound }

// judge says how each measure went. Samples are in the order of their times.
func judge(samples []sample) []trend {
	var trends []trend
	for i, m := range measures {
		trends = append(trends, m.trend(samples, i))
	}
	return trends
}

func (m measure) trend(samples []sample, i int) trend {
	t := trend{measure: m}
	if len(samples) == 0 {
		return t
	}
	t.first, t.last = samples[0].values[i], samples[len(samples)-1].values[i]
	for _, s := range samples {
		t.most = max(t.most, s.values[i])
	}
	half := secondHalf(samples)
	t.judged = len(half) >= leastSamples
	t.median = medianOf(half, func(s sample) float64 { return s.values[i] })
	t.line = theilSen(half, i)
	t.growth = t.line.value(t.line.end) - t.line.at
	t.bound = max(m.slack, share*t.median)
	return t
}

// secondHalf are the samples of the second half of the time.
func secondHalf(samples []sample) []sample {
	middle := (samples[0].at + samples[len(samples)-1].at) / 2
	return samples[slices.IndexFunc(samples, func(s sample) bool { return s.at >= middle }):]
}

// theilSen is the line through samples that few outliers move little.
func theilSen(samples []sample, i int) line {
	l := line{begin: samples[0].at, end: samples[len(samples)-1].at}
	var slopes []float64
	for n, a := range samples {
		for _, b := range samples[n+1:] {
			if b.at > a.at {
				slopes = append(slopes, (b.values[i]-a.values[i])/(b.at-a.at).Seconds())
			}
		}
	}
	l.slope = median(slopes)
	l.at = medianOf(samples, func(s sample) float64 { return s.values[i] - l.slope*(s.at-l.begin).Seconds() })
	return l
}

func medianOf(samples []sample, value func(sample) float64) float64 {
	var values []float64
	for _, s := range samples {
		values = append(values, value(s))
	}
	return median(values)
}

// median of none is 0.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 0 {
		return (values[middle-1] + values[middle]) / 2
	}
	return values[middle]
}

// complaints are of the measures that are not flat.
func complaints(trends []trend) (all []string) {
	for _, t := range trends {
		switch {
		case !t.judged:
			all = append(all, fmt.Sprintf("%s: there are too few samples to tell, the second half needs %d", t.name, leastSamples))
		case !t.flat():
			all = append(all, fmt.Sprintf("%s: grew by %.1f in the second half, which is more than %.1f", t.name, t.growth, t.bound))
		}
	}
	return all
}

// table is Markdown.
func table(trends []trend) string {
	var b strings.Builder
	b.WriteString("| | first | at most | median of the second half | growth in it | may grow by | |\n|---|---|---|---|---|---|---|\n")
	for _, t := range trends {
		name, verdict := t.name, "flat"
		if t.unit != "" {
			name += ", " + t.unit
		}
		switch {
		case !t.judged:
			verdict = "too few samples"
		case !t.flat():
			verdict = "not flat"
		}
		fmt.Fprintf(&b, "| %s | %.1f | %.1f | %.1f | %+.2f | %.1f | %s |\n", name, t.first, t.most, t.median, t.growth, t.bound, verdict)
	}
	return b.String()
}
