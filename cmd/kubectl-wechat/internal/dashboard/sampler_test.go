// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

const metrics = `# HELP wechat_sidecar_callbacks_total Verified callbacks, by what became of them.
# TYPE wechat_sidecar_callbacks_total counter
wechat_sidecar_callbacks_total{outcome="answered",wechat_endpoint="shop/demo"} 90
wechat_sidecar_callbacks_total{outcome="acknowledged",wechat_endpoint="shop/demo"} 10
wechat_sidecar_callbacks_total{outcome="answered",wechat_endpoint="shop/demo-2"} 1000
# TYPE wechat_sidecar_refused_total counter
wechat_sidecar_refused_total{reason="stale",wechat_endpoint="shop/demo"} 3
wechat_sidecar_refused_total{reason="stale",wechat_endpoint="shop/demo-2"} 4
# TYPE wechat_sidecar_answer_duration_seconds histogram
wechat_sidecar_answer_duration_seconds_bucket{wechat_endpoint="shop/demo",le="0.1"} 50
wechat_sidecar_answer_duration_seconds_bucket{wechat_endpoint="shop/demo",le="5"} 98
wechat_sidecar_answer_duration_seconds_bucket{wechat_endpoint="shop/demo",le="+Inf"} 100
wechat_sidecar_answer_duration_seconds_sum{wechat_endpoint="shop/demo"} 12
wechat_sidecar_answer_duration_seconds_count{wechat_endpoint="shop/demo"} 100
# TYPE wechat_sidecar_last_verified_timestamp_seconds gauge
wechat_sidecar_last_verified_timestamp_seconds{wechat_endpoint="shop/demo"} 1.7e+09
`

var demo = Ref{Kind: KindEndpoint, Namespace: "shop", Name: "demo"}

func TestThePageOfAPodIsRead(t *testing.T) {
	for name, test := range map[string]struct {
		of      Ref
		refused float64
		answers []Bucket
	}{
		"of an endpoint, its own lines alone": {demo, 3, []Bucket{{.1, 50}, {5, 98}, {0, 100}}},
		"of a gateway, those of all":          {Ref{KindGateway, "shop", "front"}, 7, []Bucket{{.1, 50}, {5, 98}, {0, 100}}},
		"of one whose name is another's head": {Ref{KindEndpoint, "shop", "dem"}, 0, nil},
	} {
		got, err := parse(strings.NewReader(metrics), test.of)
		if err != nil || total(got.Refused) != test.refused || cmp.Diff(test.answers, got.Answers) != "" {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	got, err := parse(strings.NewReader(metrics), demo)
	if err != nil || got.Outcomes["acknowledged"] != 10 || got.seen.Unix() != 1700000000 {
		t.Errorf("%+v %v", got, err)
	}
}

// TestAPodsWordIsBounded: what would fill the memory of the caller's computer is not read to its end.
func TestAPodsWordIsBounded(t *testing.T) {
	line := `wechat_sidecar_refused_total{reason="%0900d",wechat_endpoint="shop/demo"} 1` + "\n"
	for name, page := range map[string]io.Reader{
		"a page without an end": forever(strings.Repeat("x", 999) + "\n"),
		"lines of the endpoint": io.LimitReader(forever(fmt.Sprintf(line, 1)), maxKept+1<<16),
		"one line":              strings.NewReader(strings.Repeat("x", 1<<20)),
	} {
		if _, err := parse(page, demo); err == nil {
			t.Errorf("%s: it was read", name)
		}
	}
}

type forever string

func (f forever) Read(p []byte) (int, error) {
	return copy(p, strings.Repeat(string(f), len(p)/len(f)+1)), nil
}

func TestHowLongAnswersTake(t *testing.T) {
	buckets := []Bucket{{.1, 50}, {1, 90}, {5, 99}, {0, 100}}
	for q, want := range map[float64]float64{.25: .05, .5: .1, .7: .55, .99: 5, .999: 5} {
		if got := round(quantile(q, buckets)); got != want {
			t.Errorf("%v: %v, want %v", q, got, want)
		}
	}
	if quantile(.5, nil) != 0 || quantile(.5, []Bucket{{1, 0}, {0, 0}}) != 0 {
		t.Error("of no answers, something is said")
	}
}

// counted are samples of one pod.
func counted(answered, refused float64) reading {
	return reading{Counts: Counts{Outcomes: map[string]float64{"answered": answered}, Refused: map[string]float64{"stale": refused}}}
}

func (one *series) noted() Traffic {
	one.note(time.Unix(1000, 0), nil)
	return one.last
}

func TestPointsAreWhatCameBetweenSamples(t *testing.T) {
	start := time.Unix(1000, 0)
	one := &series{pods: map[string]reading{}}
	for i, sample := range []map[string]reading{
		{"a": counted(100, 5)},
		{"a": counted(103, 5), "b": counted(40, 0)},  // b was not seen before: what it counted may be old
		{"a": counted(103, 6), "b": counted(42, 0)},  //
		{"b": counted(43, 0)},                        // a cannot be read
		{"a": counted(2, 0), "b": counted(43, 0)},    // a began anew
		{"a": counted(10, 0), "b": counted(44, 100)}, //
	} {
		one.note(start.Add(time.Duration(i)*5*time.Second), sample)
	}
	var verified, refused []float64
	for _, p := range one.last.Points {
		verified, refused = append(verified, p.Verified), append(refused, p.Refused)
	}
	if diff := cmp.Diff([]float64{3, 2, 1, 2, 9}, verified); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]float64{0, 1, 0, 0, 100}, refused); diff != "" {
		t.Error(diff)
	}
	if data, err := json.Marshal((&series{pods: map[string]reading{}}).noted()); err != nil || !strings.Contains(string(data), `"points":[],`) {
		t.Errorf("without a point, the page gets %s %v", data, err)
	}
	if total(one.last.Open.Outcomes) != 17 || total(one.last.Total.Outcomes) != 54 {
		t.Errorf("%+v", one.last)
	}
}

// TestPodsAreReadWhenThePageAsks, and not more often than every sampleEvery, however many windows there are.
func TestPodsAreReadWhenThePageAsks(t *testing.T) {
	now, reads := time.Unix(1000, 0), 0
	s := newSampler(fakeCluster{pods: func() ([]Pod, error) { return []Pod{{"shop", "demo-1", 8081}, {"shop", "demo-2", 8081}}, nil }}, nil)
	s.now = func() time.Time { return now }
	var count atomic.Int64
	s.read = func(_ context.Context, pod Pod, _ Ref) (reading, error) {
		count.Add(1)
		if pod.Name == "demo-2" {
			return reading{}, errors.New("the node does not answer")
		}
		return counted(7, 0), nil
	}
	for _, passed := range []time.Duration{0, time.Second, time.Second, sampleEvery, 0} {
		now = now.Add(passed)
		traffic, err := s.sample(t.Context(), text.English, demo)
		if err != nil || traffic.Pods != 1 || cmp.Diff([]string{"the metrics of pod demo-2 cannot be read: the node does not answer"}, traffic.Unread) != "" {
			t.Fatalf("%+v %v", traffic, err)
		}
	}
	if reads = int(count.Load()); reads != 4 {
		t.Errorf("pods were read %d times, want 2 samples of 2 pods", reads)
	}
}

func TestSamplesOfFewObjectsAreKept(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newSampler(fakeCluster{pods: func() ([]Pod, error) { return nil, nil }}, nil)
	s.now = func() time.Time { now = now.Add(time.Second); return now }
	for i := range maxSeries + 5 {
		if _, err := s.sample(t.Context(), text.English, Ref{KindEndpoint, "shop", fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, kept := s.all[Ref{KindEndpoint, "shop", "0"}]; kept || len(s.all) != maxSeries {
		t.Errorf("%d are kept, the oldest too: %v", len(s.all), kept)
	}
}

// TestFewPodsAreReadAtOnce, each over the connection that leads to it.
func TestFewPodsAreReadAtOnce(t *testing.T) {
	var going, most atomic.Int64
	pod := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			_, _ = io.WriteString(w, metrics)
		}
	}))
	t.Cleanup(pod.Close)
	var pods []Pod
	for i := range maxPods + 3 {
		pods = append(pods, Pod{"shop", fmt.Sprintf("demo.%d", i), 8081})
	}
	asked := make(chan Pod, len(pods))
	s := newSampler(fakeCluster{pods: func() ([]Pod, error) { return pods, nil }}, func(ctx context.Context, pod2 Pod) (net.Conn, error) {
		asked <- pod2
		now := going.Add(1)
		defer going.Add(-1)
		for before := most.Load(); now > before && !most.CompareAndSwap(before, now); before = most.Load() {
		}
		var d net.Dialer
		return d.DialContext(ctx, "tcp", pod.Listener.Addr().String())
	})
	traffic, err := s.sample(t.Context(), text.English, demo)
	if err != nil || traffic.Pods != maxPods || total(traffic.Total.Outcomes) != 100*maxPods || traffic.Late != 10*maxPods {
		t.Errorf("%+v %v", traffic, err)
	}
	if diff := cmp.Diff([]string{fmt.Sprintf("only %d of %d pods are read", maxPods, len(pods))}, traffic.Unread); diff != "" {
		t.Error(diff)
	}
	if most.Load() > maxForwards {
		t.Errorf("%d connections were made at once", most.Load())
	}
	if first := <-asked; first.Namespace != "shop" || !strings.HasPrefix(first.Name, "demo.") || first.Port != 8081 {
		t.Errorf("%+v was dialled", first)
	}
}
