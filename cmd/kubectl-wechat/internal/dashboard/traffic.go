// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"maps"
	"math"
	"slices"
	"time"
)

// Names of the sidecar's metrics that the page shows. docs/metrics.md has them.
const (
	metricCallbacks    = "wechat_sidecar_callbacks_total"
	metricRefused      = "wechat_sidecar_refused_total"
	metricDuration     = "wechat_sidecar_answer_duration_seconds"
	metricLastVerified = "wechat_sidecar_last_verified_timestamp_seconds"
)

// Counts are what one pod has counted of an object's callbacks since it started, or what several have together.
type Counts struct {
	// Outcomes are verified callbacks by what became of them, and Refused the others by the check that they failed.
	Outcomes map[string]float64 `json:"outcomes"`
	Refused  map[string]float64 `json:"refused"`
	// Answers are verified callbacks by how long their answer took: of each bucket those that took no longer, as Prometheus has them.
	Answers []Bucket `json:"answers"`
}

// Bucket counts the answers that took no longer than so many seconds. The last one has no bound, and Seconds is 0.
type Bucket struct {
	Seconds float64 `json:"seconds"`
	Count   float64 `json:"count"`
}

// reading is what one pod shows at a moment. Seen is when it last verified a callback of WeChat's; zero for never.
type reading struct {
	Counts
	seen time.Time
}

func total(counts map[string]float64) (sum float64) {
	for _, count := range counts {
		sum += count
	}
	return sum
}

// add adds the counts of another pod, or of another moment.
func (c Counts) add(other Counts) Counts {
	return Counts{Outcomes: added(c.Outcomes, other.Outcomes, 1), Refused: added(c.Refused, other.Refused, 1), Answers: addedBuckets(c.Answers, other.Answers, 1)}
}

// since is what was counted after an earlier moment. Where a counter is smaller than before, the pod's container began anew.
func (c Counts) since(earlier Counts) Counts {
	if total(c.Outcomes) < total(earlier.Outcomes) || total(c.Refused) < total(earlier.Refused) {
		return c
	}
	return Counts{Outcomes: added(c.Outcomes, earlier.Outcomes, -1), Refused: added(c.Refused, earlier.Refused, -1), Answers: addedBuckets(c.Answers, earlier.Answers, -1)}
}

func added(to, what map[string]float64, times float64) map[string]float64 {
	sum := maps.Clone(to)
	if sum == nil {
		sum = map[string]float64{}
	}
	for name, count := range what {
		sum[name] += times * count
	}
	return sum
}

// addedBuckets adds buckets of the same bounds. Pods of two versions may have other bounds: then the first pod's are kept as they are.
func addedBuckets(to, what []Bucket, times float64) []Bucket {
	if len(to) == 0 && times > 0 {
		return slices.Clone(what)
	}
	sum := slices.Clone(to)
	if !slices.EqualFunc(to, what, func(a, b Bucket) bool { return a.Seconds == b.Seconds }) {
		return sum
	}
	for i := range sum {
		sum[i].Count += times * what[i].Count
	}
	return sum
}

// quantile estimates how long the share q of the answers took at most, in seconds, as Prometheus's histogram_quantile does: evenly within
// a bucket. Of none it is 0, and of those behind the last bound it is that bound.
func quantile(q float64, answers []Bucket) float64 {
	if len(answers) < 2 || answers[len(answers)-1].Count <= 0 {
		return 0
	}
	rank := q * answers[len(answers)-1].Count
	i := slices.IndexFunc(answers, func(b Bucket) bool { return b.Count >= rank })
	if i < 0 || i == len(answers)-1 {
		return answers[len(answers)-2].Seconds
	}
	lower := Bucket{}
	if i > 0 {
		lower = answers[i-1]
	}
	within := answers[i].Count - lower.Count
	if within <= 0 {
		return answers[i].Seconds
	}
	return lower.Seconds + (answers[i].Seconds-lower.Seconds)*(rank-lower.Count)/within
}

// Point is what came between two samples.
type Point struct {
	// At is the time of the later one, in milliseconds since 1970, and Seconds how long before the earlier one was.
	At      int64   `json:"at"`
	Seconds float64 `json:"seconds"`
	// Verified, Refused and Late are callbacks: Late ones are those whose app was too slow. P50 and P99 are seconds, 0 where nothing came.
	Verified float64 `json:"verified"`
	Refused  float64 `json:"refused"`
	Late     float64 `json:"late"`
	P50      float64 `json:"p50"`
	P99      float64 `json:"p99"`
}

// late are the outcomes of callbacks whose app was too slow for WeChat.
var late = []string{"acknowledged", "timed_out"}

func pointOf(at time.Time, passed time.Duration, counted Counts) Point {
	p := Point{
		At: at.UnixMilli(), Seconds: round(passed.Seconds()), Verified: total(counted.Outcomes), Refused: total(counted.Refused),
		P50: round(quantile(.5, counted.Answers)), P99: round(quantile(.99, counted.Answers)),
	}
	for _, outcome := range late {
		p.Late += counted.Outcomes[outcome]
	}
	return p
}

// round leaves milliseconds.
func round(seconds float64) float64 { return math.Round(seconds*1000) / 1000 }
