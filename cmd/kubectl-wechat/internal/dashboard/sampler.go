// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// Bounds of what is read of pods.
const (
	sampleEvery  = 4 * time.Second  // a page asks every five
	sampleWithin = 10 * time.Second // for all pods of an object
	maxForwards  = 4                // connections to pods that are made or read at once
	maxPods      = 20               // of an object
	maxSeries    = 16               // objects whose samples are kept; of more, the one that was not asked for longest is forgotten
	maxPoints    = 360              // of an object: half an hour
	maxMetrics   = 32 << 20         // bytes of the metrics of one pod; a gateway with 1,000 endpoints has about 6 MiB
	maxKept      = 4 << 20          // bytes of those lines that are the object's
)

// Traffic is what the pods of an object have counted.
type Traffic struct {
	// Points are what came between samples while a page was open, oldest first.
	Points []Point `json:"points"`
	// Total is what the pods have counted since they started, and Open since the first sample.
	Total Counts `json:"total"`
	Open  Counts `json:"open"`
	// Late is how many of Total came too late from the app, P50 and P99 are seconds.
	Late float64 `json:"late"`
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	// Seen is when a callback of WeChat's was last verified, in RFC 3339; empty for never since the pods started.
	Seen string `json:"seen,omitempty"`
	// Pods are those that were read, and Unread says of the others why they were not.
	Pods   int      `json:"pods"`
	Unread []string `json:"unread"`
}

// sampler reads the metrics of pods when a page asks for them, and not otherwise: who closes the page ends the sampling.
type sampler struct {
	cluster Cluster
	read    func(context.Context, Pod, Ref) (reading, error)
	now     func() time.Time
	slots   chan struct{}

	mu  sync.Mutex
	all map[Ref]*series
}

// series are the samples of an object. Its own lock is held while pods are read, therefore two windows make one sample.
type series struct {
	asked time.Time // guarded by the sampler

	mu     sync.Mutex
	at     time.Time
	pods   map[string]reading // the newest of each pod
	open   Counts
	points []Point
	last   Traffic
	unread []error
	known  error // why no pod could be read
}

func newSampler(cluster Cluster, dial Dial) *sampler {
	s := &sampler{cluster: cluster, now: time.Now, slots: make(chan struct{}, maxForwards), all: map[Ref]*series{}}
	client := &http.Client{Transport: &http.Transport{
		DialContext:     func(ctx context.Context, _, address string) (net.Conn, error) { return dialPod(ctx, dial, address) },
		IdleConnTimeout: 3 * sampleEvery, MaxConnsPerHost: 1, MaxIdleConns: maxPods, DisableCompression: true,
	}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	s.read = func(ctx context.Context, pod Pod, of Ref) (reading, error) { return readPod(ctx, client, pod, of) }
	return s
}

// podHost is the host in a URL for a pod. No such name is ever looked up.
func podHost(pod Pod) string {
	return net.JoinHostPort(pod.Name+"."+pod.Namespace+".pod", strconv.Itoa(int(pod.Port)))
}

func dialPod(ctx context.Context, dial Dial, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(host, ".pod")
	dot := strings.LastIndexByte(name, '.') // a namespace holds none
	return dial(ctx, Pod{Namespace: name[dot+1:], Name: name[:max(0, dot)], Port: uint16(number)})
}

// sample returns what is known of an object's callbacks, and reads its pods when that is older than sampleEvery.
func (s *sampler) sample(ctx context.Context, lang text.Language, of Ref) (Traffic, error) {
	one := s.seriesOf(of)
	one.mu.Lock()
	defer one.mu.Unlock()
	if now := s.now(); one.at.IsZero() || now.Sub(one.at) >= sampleEvery {
		s.take(ctx, one, of, now)
	}
	if one.known != nil {
		return Traffic{}, one.known
	}
	result := one.last
	for _, err := range one.unread {
		result.Unread = append(result.Unread, lang.Error(err))
	}
	return result, nil
}

func (s *sampler) seriesOf(of Ref) *series {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.all[of]
	if !ok {
		if len(s.all) >= maxSeries {
			oldest := slices.MinFunc(slices.Collect(maps.Keys(s.all)), func(a, b Ref) int { return s.all[a].asked.Compare(s.all[b].asked) })
			delete(s.all, oldest)
		}
		one = &series{pods: map[string]reading{}}
		s.all[of] = one
	}
	one.asked = s.now()
	return one
}

// take reads the pods and adds a point.
func (s *sampler) take(ctx context.Context, one *series, of Ref, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, sampleWithin)
	defer cancel()
	pods, err := s.cluster.Pods(ctx, of)
	one.known, one.unread = err, nil
	if err != nil {
		return
	}
	if len(pods) > maxPods {
		one.unread = append(one.unread, text.Errorf("only %d of %d pods are read", maxPods, len(pods)))
		pods = pods[:maxPods]
	}
	maps.DeleteFunc(one.pods, func(name string, _ reading) bool {
		return !slices.ContainsFunc(pods, func(p Pod) bool { return p.Name == name })
	})
	readings, errs := s.readAll(ctx, pods, of)
	one.unread = append(one.unread, errs...)
	one.note(now, readings)
}

// readAll reads the pods, some at once. Of pods that all fail for the same cause, it is told once.
func (s *sampler) readAll(ctx context.Context, pods []Pod, of Ref) (readings map[string]reading, errs []error) {
	results := make([]error, len(pods))
	read := make([]reading, len(pods))
	var wait sync.WaitGroup
	for i, pod := range pods {
		wait.Go(func() {
			select {
			case s.slots <- struct{}{}:
				defer func() { <-s.slots }()
				read[i], results[i] = s.read(ctx, pod, of)
			case <-ctx.Done():
				results[i] = ctx.Err()
			}
		})
	}
	wait.Wait()
	readings = map[string]reading{}
	for i, pod := range pods {
		if results[i] == nil {
			readings[pod.Name] = read[i]
			continue
		}
		errs = append(errs, text.Errorf("the metrics of pod %s cannot be read: %w", pod.Name, results[i]))
	}
	return readings, errs
}

// note adds a sample: what each pod counted since its last one.
func (one *series) note(now time.Time, readings map[string]reading) {
	first := one.at.IsZero()
	var came, sum Counts
	var seen time.Time
	for _, name := range slices.Sorted(maps.Keys(readings)) {
		r := readings[name]
		sum = sum.add(r.Counts)
		if r.seen.After(seen) {
			seen = r.seen
		}
		if earlier, known := one.pods[name]; known {
			came = came.add(r.since(earlier.Counts))
		} else if !first { // it began since the last sample, or could not be read then
			came = came.add(r.since(r.Counts))
		}
		one.pods[name] = r
	}
	if !first {
		one.points = append(one.points, pointOf(now, now.Sub(one.at), came))
		one.points = one.points[max(0, len(one.points)-maxPoints):]
		one.open = one.open.add(came)
	}
	one.at = now
	whole := pointOf(now, 0, sum)
	one.last = Traffic{
		Points: append([]Point{}, one.points...), Total: sum, Open: one.open, Late: whole.Late, P50: whole.P50, P99: whole.P99, Pods: len(readings), Unread: []string{},
	}
	if !seen.IsZero() {
		one.last.Seen = seen.UTC().Format(time.RFC3339)
	}
}

// readPod reads the metrics of a pod.
func readPod(ctx context.Context, client *http.Client, pod Pod, of Ref) (reading, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+podHost(pod)+"/metrics", nil)
	if err != nil {
		return reading{}, err
	}
	response, err := client.Do(request)
	if err != nil {
		var outer *url.Error // which names a URL that is none
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return reading{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return reading{}, text.Errorf("it answers %d", response.StatusCode)
	}
	return parse(response.Body, of)
}

// parse reads the page of a sidecar. Of a gateway's pods all endpoints count, otherwise the lines of the endpoint alone are kept: a pod may
// serve a thousand.
func parse(page io.Reader, of Ref) (reading, error) {
	limited := &io.LimitedReader{R: page, N: maxMetrics}
	lines := bufio.NewScanner(limited)
	var kept bytes.Buffer
	label := []byte(fmt.Sprintf("wechat_endpoint=%q", of.Namespace+"/"+of.Name))
	for lines.Scan() {
		line := lines.Bytes()
		wanted := bytes.HasPrefix(line, []byte(metricCallbacks)) || bytes.HasPrefix(line, []byte(metricRefused)) || bytes.HasPrefix(line, []byte(metricDuration)) ||
			bytes.HasPrefix(line, []byte(metricLastVerified))
		if bytes.HasPrefix(line, []byte("# TYPE wechat_sidecar_")) || wanted && (of.Kind == KindGateway || bytes.Contains(line, label)) {
			kept.Write(line)
			kept.WriteByte('\n')
		}
	}
	switch {
	case lines.Err() != nil:
		return reading{}, lines.Err()
	case limited.N <= 0, kept.Len() > maxKept:
		return reading{}, text.Errorf("it has more metrics than are read")
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(&kept)
	if err != nil {
		return reading{}, err
	}
	return reading{Counts: countsOf(families), seen: lastSeen(families[metricLastVerified])}, nil
}

func countsOf(families map[string]*dto.MetricFamily) Counts {
	c := Counts{Outcomes: byLabel(families[metricCallbacks], "outcome"), Refused: byLabel(families[metricRefused], "reason")}
	for _, metric := range families[metricDuration].GetMetric() {
		var buckets []Bucket
		for _, bucket := range metric.GetHistogram().GetBucket() {
			if !math.IsInf(bucket.GetUpperBound(), 1) {
				buckets = append(buckets, Bucket{bucket.GetUpperBound(), float64(bucket.GetCumulativeCount())})
			}
		}
		buckets = append(buckets, Bucket{Count: float64(metric.GetHistogram().GetSampleCount())})
		c.Answers = addedBuckets(c.Answers, buckets, 1)
	}
	return c
}

// byLabel adds up the counters of a family by the value of a label.
func byLabel(family *dto.MetricFamily, name string) map[string]float64 {
	counts := map[string]float64{}
	for _, metric := range family.GetMetric() {
		for _, pair := range metric.GetLabel() {
			if pair.GetName() == name {
				counts[pair.GetValue()] += metric.GetCounter().GetValue()
			}
		}
	}
	return counts
}

func lastSeen(family *dto.MetricFamily) (last time.Time) {
	for _, metric := range family.GetMetric() {
		if seconds := metric.GetGauge().GetValue(); seconds > 0 && seconds < 1<<40 {
			if at := time.Unix(int64(seconds), 0); at.After(last) {
				last = at
			}
		}
	}
	return last
}
