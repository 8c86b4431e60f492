// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the goldens")

func TestSpreadOf(t *testing.T) {
	for name, test := range map[string]struct {
		figures []float64
		want    Spread
	}{
		"an odd number":   {[]float64{3, 1, 2}, Spread{2, 1, 3}},
		"an even number":  {[]float64{4, 1, 2, 3}, Spread{2.5, 1, 4}},
		"one":             {[]float64{7}, Spread{7, 7, 7}},
		"an outlier":      {[]float64{1, 1, 100}, Spread{1, 1, 100}},
		"none, no spread": {nil, Spread{math.NaN(), math.NaN(), math.NaN()}},
	} {
		t.Run(name, func(t *testing.T) {
			got := SpreadOf(test.figures)
			if diff := cmp.Diff(test.want, got, cmp.Comparer(func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) })); diff != "" {
				t.Errorf("another spread (-want +got):\n%s", diff)
			}
		})
	}
}

// sample is of a peer that takes so many µs for each of 1,000 requests in a second.
func sample(column, peer string, round int, cost float64) Sample {
	return Sample{
		Group: "main", Column: column, Peer: peer, Round: round, Answered: 1000, Time: time.Second, CPU: time.Duration(cost * float64(time.Millisecond)),
		System: time.Duration(cost * float64(time.Millisecond) / 2), Load: 700 * time.Millisecond, P50: time.Millisecond, P99: 9 * time.Millisecond, Idle: 5 << 20, Resident: 10 << 20, Peak: 20 << 20,
	}
}

// some are of three rounds. The machine was twice as slow in the second one.
func some() Samples {
	floods := sample("flood-elements", "sidecar", 0, 400)
	floods.Group, floods.Forged, floods.Answered, floods.Retried = "floods", 2000, 100, 3
	kept := sample("flood-kept", "sidecar", 0, 40)
	kept.Group = "floods"
	few, many := sample("pairs-1", "sidecar", 0, 10), sample("pairs-4", "sidecar", 0, 12)
	few.Group, many.Group = "growth", "growth"
	return Samples{
		sample("post-32", "nginx", 0, 10), sample("post-32", "nginx", 1, 20), sample("post-32", "nginx", 2, 10),
		sample("post-32", "sidecar", 0, 30), sample("post-32", "sidecar", 1, 60), sample("post-32", "sidecar", 2, 40),
		sample("decrypt", "sidecar", 0, 50),
		floods, kept, few, many,
	}
}

// TestRatiosAreOfOneRound: a round in which the machine was slow is slow for both.
func TestRatiosAreOfOneRound(t *testing.T) {
	if got, want := some().Ratio("post-32", "sidecar", "nginx"), (Spread{3, 3, 4}); got != want {
		t.Errorf("the ratio is %v, want %v", got, want)
	}
	if got := some().Ratio("decrypt", "sidecar", "nginx"); !math.IsNaN(got.Median) {
		t.Errorf("the ratio to a peer that was not measured is %v", got)
	}
	mixed := Samples{some()[7], sample("flood-elements", "nginx", 0, 4)}
	if got := mixed.Ratio("flood-elements", "sidecar", "nginx"); !math.IsNaN(got.Median) {
		t.Errorf("the ratio of a forged request to another one is %v", got)
	}
	lonely := append(some(), sample("post-32", "sidecar", 9, 1000))
	if got, want := lonely.Ratio("post-32", "sidecar", "nginx"), (Spread{3, 3, 4}); got != want {
		t.Errorf("with a round of one peer alone the ratio is %v, want %v", got, want)
	}
}

func TestSortedAndGrouped(t *testing.T) {
	all := Samples{sample("b", "y", 0, 1), sample("a", "x", 1, 1), sample("b", "x", 0, 1), sample("a", "x", 0, 1)}
	var got []string
	for _, s := range all.Sorted([]string{"a", "b"}, []string{"x", "y"}) {
		got = append(got, s.Column+s.Peer+string(rune('0'+s.Round)))
	}
	if diff := cmp.Diff([]string{"ax0", "ax1", "bx0", "by0"}, got); diff != "" {
		t.Errorf("another order (-want +got):\n%s", diff)
	}
	if got := some().In("growth").Columns(); !cmp.Equal(got, []string{"pairs-1", "pairs-4"}) {
		t.Errorf("the columns of the group are %v", got)
	}
}

func TestWrongAnswersFail(t *testing.T) {
	all := some()
	if err := all.Wrong(); err != nil {
		t.Errorf("an error without a wrong answer: %v", err)
	}
	all[1].Wrong = 2
	if err := all.Wrong(); err == nil || !strings.Contains(err.Error(), "nginx answered 2 requests of post-32 wrongly") {
		t.Errorf("the error is %v", err)
	}
}

// TestGoldens compares all that is written with files. `go test ./test/bench/dataplane/report -update` writes them.
func TestGoldens(t *testing.T) {
	all := some()
	for name, got := range map[string]string{
		"lines.txt":  strings.Join(all.Lines("nginx", "nginx-lua"), "\n") + "\n",
		"peers.md":   all.In("main").PeerTable("nginx"),
		"floods.md":  all.In("floods").FloodTable(),
		"growth.md":  all.In("growth").ColumnTable("nginx"),
		"peers.svg":  all.In("main").Bars("sidecar"),
		"growth.svg": all.In("growth").Growth("sidecar"),
	} {
		t.Run(name, func(t *testing.T) {
			path := "testdata/" + name
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("another text (-want +got):\n%s", diff)
			}
			if !strings.HasSuffix(name, ".svg") {
				return
			}
			for decoder := xml.NewDecoder(strings.NewReader(got)); ; {
				if _, err := decoder.Token(); errors.Is(err, io.EOF) {
					return
				} else if err != nil {
					t.Fatalf("no XML: %v", err)
				}
			}
		})
	}
}

// TestNamesAreEscapedInPlots: a name can have any letters.
func TestNamesAreEscapedInPlots(t *testing.T) {
	all := Samples{sample("<a-1", "<b", 0, 10)}
	for _, plot := range []string{all.Bars("sidecar"), all.Growth("sidecar")} {
		if !strings.Contains(plot, "&lt;a") || strings.Contains(plot, "<a") || strings.Contains(plot, "<b") {
			t.Errorf("not escaped:\n%s", plot)
		}
	}
}
