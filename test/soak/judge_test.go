//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the goldens anew")

// series are an hour of samples, one each 10 s, whose resident memory is told and whose other measures stay.
func series(memory func(minute float64) float64) (all []sample) {
	for at := time.Duration(0); at <= time.Hour; at += 10 * time.Second {
		all = append(all, sample{at, [len(measures)]float64{memory(at.Minutes()), 40, 60}})
	}
	return all
}

// within chooses one of two values by a minute.
func within(from, to float64, inside, outside float64) func(float64) float64 {
	return func(minute float64) float64 {
		if minute >= from && minute < to {
			return inside
		}
		return outside
	}
}

func TestJudge(t *testing.T) {
	for name, row := range map[string]struct {
		memory func(minute float64) float64
		flat   bool
	}{
		"what stays":                        {func(float64) float64 { return 30 }, true},
		"what falls":                        {func(m float64) float64 { return 30 - m/10 }, true},
		"what grows in the first half only": {func(m float64) float64 { return min(10+m, 40) }, true},
		"what grows in the second half":     {func(m float64) float64 { return 30 + max(0, m-30)/10 }, false},
		"a leak of 1.9 MiB in half an hour, below the slack": {func(m float64) float64 { return 20 + m*1.9/30 }, true},
		"a leak of 2.1 MiB in half an hour":                  {func(m float64) float64 { return 20 + m*2.1/30 }, false},
		"a leak of 4 % of a large process":                   {func(m float64) float64 { return 200 + m*8/30 }, true},
		"a leak of 6 % of a large process":                   {func(m float64) float64 { return 200 + m*12/30 }, false},
		"a burst at the end that goes on for 5 minutes":      {within(55, 61, 60, 30), true},
		"a burst in the middle":                              {within(35, 40, 60, 30), true},
		"a step in the middle of the second half, to stay":   {within(45, 61, 40, 30), false},
		"a saw, as a garbage collector makes it":             {func(m float64) float64 { return 30 + 10*(m-float64(int(m))) }, true},
		"a saw that rises":                                   {func(m float64) float64 { return 30 + m/5 + 10*(m-float64(int(m))) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			trends := judge(series(row.memory))
			if trends[0].flat() != row.flat {
				t.Errorf("flat is %v: it grew by %.2f, and may by %.2f", !row.flat, trends[0].growth, trends[0].bound)
			}
			if got := len(complaints(trends)) == 0; got != row.flat {
				t.Errorf("complaints: %v", complaints(trends))
			}
			if !trends[1].flat() || !trends[2].flat() {
				t.Errorf("the others are not flat: %+v", trends[1:])
			}
		})
	}
}

func TestEachMeasureIsJudged(t *testing.T) {
	for i, m := range measures {
		samples := series(func(float64) float64 { return 30 })
		for n := range samples {
			samples[n].values[i] += samples[n].at.Minutes()
		}
		trends := judge(samples)
		if got := complaints(trends); len(got) != 1 {
			t.Errorf("%s grows, and the complaints are %q", m.name, got)
		}
	}
}

func TestAFewSamplesTellNothing(t *testing.T) {
	all := series(func(float64) float64 { return 30 })
	for n, want := range map[int]int{0: len(measures), 1: len(measures), 2*leastSamples - 2: len(measures), 2 * leastSamples: 0} {
		if got := complaints(judge(all[:n])); len(got) != want {
			t.Errorf("of %d samples: %q", n, got)
		}
	}
}

// TestWhatIsShown: the table and the picture of a leak, as files.
func TestWhatIsShown(t *testing.T) {
	samples := series(func(m float64) float64 { return 20 + m/2 + 5*(m-float64(int(m))) })
	trends := judge(samples)
	for file, got := range map[string]string{"table.md": table(trends), "plot.svg": plot("A leak", samples, trends)} {
		golden := filepath.Join("testdata", file)
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got), written anew with -update:\n%s", file, diff)
		}
	}
}

func TestCeiling(t *testing.T) {
	for value, want := range map[float64]float64{0: 1, 0.3: 0.5, 1: 1, 1.1: 2, 20: 20, 21: 50, 51: 100} {
		if got := ceiling(value); got != want {
			t.Errorf("of %g: %g, want %g", value, got, want)
		}
	}
}
