// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics holds the sidecar's metrics. Every label has a closed set of values.
package metrics

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"

	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/version"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// label names the endpoint of a series, as namespace/name. It is not called endpoint, which Prometheus Operator uses itself.
const label = "wechat_endpoint"

// Process holds the metrics of one sidecar, in a registry of its own.
type Process struct {
	// SpansSent and SpansDropped count spans, where messages are traced.
	SpansSent, SpansDropped prometheus.Counter

	registry               *prometheus.Registry
	callbacks              *prometheus.CounterVec
	refused, playedRefused *prometheus.CounterVec
	retries, repeats       *prometheus.CounterVec
	unverified, unreadable *prometheus.CounterVec
	lateFailures           *prometheus.CounterVec
	answers, backend, apps *prometheus.HistogramVec
	rules                  *prometheus.CounterVec
	lastVerified           *prometheus.GaugeVec

	mu        sync.Mutex
	endpoints map[string]*Endpoint // by their names
	ended     map[string]time.Time // when the others ended, until nothing can count for them any more
}

// NewProcess returns what all endpoints have in common. Broken is how many documents on disk cannot be served.
func NewProcess(inFlight, broken func() float64) *Process {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{label}, labels...))
	}
	p := &Process{
		registry:  prometheus.NewRegistry(),
		callbacks: counter("wechat_sidecar_callbacks_total", "Verified callbacks, by what became of them.", "outcome"),
		refused:   counter("wechat_sidecar_refused_total", "Callbacks that did not pass, by the check that they failed. Those for no endpoint's URL have an empty one.", "reason"),
		playedRefused: counter("wechat_sidecar_played_refused_total",
			"Callbacks that did not pass, and whose nonce says that the operator or kubectl wechat plays them: nothing proves that, and they are refused like any other, but counted here alone."),
		retries: counter("wechat_sidecar_backend_retries_total", "Attempts to call the app after a first one that did not reach it."),
		repeats: counter("wechat_sidecar_repeats_total", "Messages that were known already and joined the delivery of the first."),
		unverified: counter("wechat_sidecar_unverified_total",
			"Messages that failed a check and went to the app all the same, because verification.enforcement is InsecureAudit."),
		unreadable: counter("wechat_sidecar_unreadable_total",
			"Verified messages whose kind cannot be read to the end: no rule for an event or an InfoType matches them, and WeChat is told that they were taken only if the app takes them."),
		lateFailures: counter("wechat_sidecar_backend_late_failures_total",
			"Calls that failed after WeChat had been answered success in the app's place: their messages may be lost."),
		rules: counter("wechat_sidecar_messages_total",
			"Verified messages, by the rule that decided what becomes of them: its index in spec.rules, from 0, or none where none matched.", "rule", "action"),
		answers: durations("wechat_sidecar_answer_duration_seconds",
			"Time from the head of a verified callback until its answer is ready, whatever that is. What is played does not count."),
		backend: durations("wechat_sidecar_backend_duration_seconds", "Time until the app's reply, or until the deadline."),
		apps: durations("wechat_sidecar_app_duration_seconds",
			"Time until the reply of an app, or until the deadline, for each app of an endpoint that has several.", "app"),
		lastVerified: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "wechat_sidecar_last_verified_timestamp_seconds",
			Help: "When a callback of WeChat's was last verified, 0 for never.",
		}, []string{label}),
		SpansSent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wechat_sidecar_spans_sent_total", Help: "Spans of messages that the collector took.",
		}),
		SpansDropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wechat_sidecar_spans_dropped_total", Help: "Spans of messages that never got to the collector: it does not take them, or not fast enough.",
		}),
		endpoints: map[string]*Endpoint{},
		ended:     map[string]time.Time{},
	}
	p.refused.WithLabelValues("", string(wechat.ReasonUnknownURL))
	p.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "wechat_sidecar_build_info", Help: "Always 1: the sidecar's version, the commit and the version of Go that it was built from.",
			ConstLabels: version.Get().Labels(),
		}, func() float64 { return 1 }),
		gauge("wechat_sidecar_in_flight", "Calls to the app that go on.", inFlight),
		gauge("wechat_sidecar_config_stale", "Documents on disk that cannot be served; the last good ones go on.", broken),
		gauge("wechat_sidecar_time_seconds", "What the pod's clock says, in seconds since 1970: timestamps are compared with it.", func() float64 {
			return float64(time.Now().UnixMilli()) / 1000
		}),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		p.callbacks, p.refused, p.playedRefused, p.retries, p.repeats, p.unverified, p.unreadable, p.lateFailures, p.rules, p.answers, p.backend, p.apps, p.lastVerified,
		remembered{p}, p.SpansSent, p.SpansDropped,
	)
	return p
}

// Handovers begins to count callbacks that are handed over to other pods, by what came of it, and returns what counts one. Others is how
// many pods beside this one may own messages.
func Handovers[R ~string](p *Process, results []R, others func() int) func(R) {
	p.registry.MustRegister(gauge("wechat_sidecar_peers", "Other pods that this one knows to be ready.", func() float64 { return float64(others()) }))
	return countResults(p, "wechat_sidecar_handovers_total", "How often another pod was asked to take a callback, as the one that remembers its message for all pods, by what came of it. Its answer goes to WeChat (answered), it remembers nothing of what it may have had (not_held), or another pod takes the message.", results)
}

// UsesTold begins to count how often another pod is told of the use of a signature, by what came of it, and returns what counts one.
func UsesTold[R ~string](p *Process, results []R) func(R) {
	return countResults(p, "wechat_sidecar_uses_told_total", "How often another pod was told which body came with a signature that covers none, by what came of it. It knows of no other one (agreed), or the message is refused, because it does (bound); a pod that is not reached does not know of it.", results)
}

// countResults returns what counts a result.
func countResults[R ~string](p *Process, name, help string, results []R) func(R) {
	counted := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"result"})
	for _, result := range results {
		counted.WithLabelValues(string(result))
	}
	p.registry.MustRegister(counted)
	return func(result R) { counted.WithLabelValues(string(result)).Inc() }
}

// Taps begins to tell how many taps are open, until when messages are kept, and what becomes of messages whose sender a tap takes. It returns
// what counts a line that a tap did not get, and such a message.
func Taps[R ~string](p *Process, results []R, open func() int, keepsUntil func() time.Time) (dropped func(), taken func(R)) {
	lines := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "wechat_sidecar_tap_dropped_total",
		Help: "Lines that somebody who looks at messages with kubectl wechat listen did not get, because he reads too slowly. No callback waits for him.",
	})
	messages := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "wechat_sidecar_tap_taken_total",
		Help: "Messages of users for whom somebody's computer answers (kubectl wechat listen --take-user), by what came of it. All but the answered ones went to the app then.",
	}, []string{"result"})
	for _, result := range results {
		messages.WithLabelValues(string(result))
	}
	p.registry.MustRegister(
		lines, messages,
		gauge("wechat_sidecar_taps", "How many look at messages with kubectl wechat listen now. /status says of which endpoints, and for how many users they answer.",
			func() float64 { return float64(open()) }),
		gauge("wechat_sidecar_tap_kept_until_timestamp_seconds", "Until when messages are kept for kubectl wechat replay; 0 where none are.", func() float64 {
			if until := keepsUntil(); !until.IsZero() {
				return float64(until.Unix())
			}
			return 0
		}),
	)
	return lines.Inc, func(result R) { messages.WithLabelValues(string(result)).Inc() }
}

// CountUnknown counts a callback for a URL that is no endpoint's, and that may say of itself that it is played.
func (p *Process) CountUnknown(played bool) { p.countRefusal("", wechat.ReasonUnknownURL, played) }

func (p *Process) countRefusal(endpoint string, reason wechat.Reason, played bool) {
	if played {
		p.playedRefused.WithLabelValues(endpoint).Inc()
		return
	}
	p.refused.WithLabelValues(endpoint, string(reason)).Inc()
}

// Gatherer is where the metrics are read. Callbacks that were under way when their endpoint ended may have counted for it since: it reads
// none of that.
func (p *Process) Gatherer() prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		p.sweep(time.Now())
		return p.registry.Gather()
	})
}

// longest is how long after the end of its endpoint a callback may still count: until its call to the app is cut off.
const longest = time.Minute

// sweep ends what was counted for endpoints that have ended.
func (p *Process) sweep(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, at := range p.ended {
		p.forget(name)
		if now.Sub(at) > longest {
			delete(p.ended, name)
		}
	}
}

// forget ends every series of an endpoint.
func (p *Process) forget(name string) {
	for _, all := range []interface{ DeletePartialMatch(prometheus.Labels) int }{
		p.callbacks, p.refused, p.playedRefused, p.retries, p.repeats, p.unverified, p.unreadable, p.lateFailures, p.rules, p.answers, p.backend, p.apps, p.lastVerified,
	} {
		all.DeletePartialMatch(prometheus.Labels{label: name})
	}
}

// Endpoint holds the metrics of one endpoint.
type Endpoint struct {
	Retries      prometheus.Counter
	Repeats      prometheus.Counter
	Unverified   prometheus.Counter
	LastVerified prometheus.Gauge // seconds since 1970
	LateFailures prometheus.Counter
	Unreadable   prometheus.Counter

	process  *Process
	name     string
	memory   Memory
	document *Document // the newest
}

// Memory is asked when the metrics are scraped.
type Memory interface {
	// Len is how many signatures are remembered.
	Len() int
	// EvictedUses and EvictedReplies are how many signatures and replies were forgotten before they were stale.
	EvictedUses() uint64
	EvictedReplies() uint64
}

// few is up to how many endpoints of a process have every series from the start, at zero, so that an alert on a rate sees the first event.
// With more of them a series begins at its first event: a thousand would have fifty thousand series, most of them zero.
const few = 50

// NewEndpoint returns the metrics of one more endpoint.
func (p *Process) NewEndpoint(name string, memory Memory) *Endpoint {
	with := prometheus.Labels{label: name}
	m := &Endpoint{
		Retries:      p.retries.With(with),
		Repeats:      p.repeats.With(with),
		Unverified:   p.unverified.With(with),
		LastVerified: p.lastVerified.With(with),
		LateFailures: p.lateFailures.With(with),
		Unreadable:   p.unreadable.With(with),
		process:      p, name: name, memory: memory,
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endpoints[name] = m
	delete(p.ended, name)
	if len(p.endpoints) > few {
		return m
	}
	p.answers.With(with)
	p.backend.With(with)
	for _, o := range outcome.All {
		p.callbacks.WithLabelValues(name, string(o))
	}
	for _, reason := range wechat.Reasons {
		p.refused.WithLabelValues(name, string(reason))
	}
	return m
}

// CountCallback counts what became of a verified callback.
func (e *Endpoint) CountCallback(o outcome.Outcome) {
	e.process.callbacks.WithLabelValues(e.name, string(o)).Inc()
}

// CountRefusal counts a callback that did not pass, and that may say of itself that it is played.
func (e *Endpoint) CountRefusal(reason wechat.Reason, played bool) {
	e.process.countRefusal(e.name, reason, played)
}

// ObserveAnswer counts an answer to WeChat that took so long.
func (e *Endpoint) ObserveAnswer(took time.Duration) {
	e.process.answers.WithLabelValues(e.name).Observe(took.Seconds())
}

// ObserveBackend counts a call to the app that took so long.
func (e *Endpoint) ObserveBackend(took time.Duration) {
	e.process.backend.WithLabelValues(e.name).Observe(took.Seconds())
}

// Document holds the series of one document of an endpoint, which begin with their first event. It is safe for concurrent use.
type Document struct {
	endpoint *Endpoint
	rules    []ruleSeries
	apps     map[string]*atomic.Pointer[prometheus.Observer]
}

// ruleSeries is of one rule, and the first of none.
type ruleSeries struct {
	rule, action string
	counter      atomic.Pointer[prometheus.Counter]
}

// NewDocument returns the series of the endpoint's newest document: of the actions of its rules, of what becomes of messages that none
// matches, and of its apps. A series that it does not have ends.
func (e *Endpoint) NewDocument(actions []string, otherwise string, apps []string) *Document {
	d := &Document{endpoint: e, rules: make([]ruleSeries, 1+len(actions)), apps: map[string]*atomic.Pointer[prometheus.Observer]{}}
	d.rules[0].rule, d.rules[0].action = "none", otherwise
	for i, action := range actions {
		d.rules[1+i].rule, d.rules[1+i].action = strconv.Itoa(i), action
	}
	if len(apps) > 1 { // of one the endpoint's own series tells all
		for _, app := range apps {
			d.apps[app] = new(atomic.Pointer[prometheus.Observer])
		}
	}
	p := e.process
	p.mu.Lock()
	defer p.mu.Unlock()
	before := e.document
	e.document = d
	if before == nil {
		return d
	}
	for i := range before.rules {
		if old := &before.rules[i]; !d.hasRule(i, old.action) {
			p.rules.DeleteLabelValues(e.name, old.rule, old.action)
		}
	}
	for app := range before.apps {
		if d.apps[app] == nil {
			p.apps.DeleteLabelValues(e.name, app)
		}
	}
	return d
}

func (d *Document) hasRule(i int, action string) bool {
	return i < len(d.rules) && d.rules[i].action == action
}

// CountRule counts a message that the rule of that index decided about, or none of them where it is -1.
func (d *Document) CountRule(index int) {
	own := &d.rules[1+index]
	counter := own.counter.Load()
	if counter == nil {
		counter = d.beginRule(1+index, own)
	}
	if counter != nil {
		(*counter).Inc()
	}
}

// beginRule returns nil where the series has ended meanwhile.
func (d *Document) beginRule(i int, own *ruleSeries) *prometheus.Counter {
	e, p := d.endpoint, d.endpoint.process
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.endpoints[e.name] != e || !e.document.hasRule(i, own.action) {
		return nil
	}
	counter := p.rules.WithLabelValues(e.name, own.rule, own.action)
	own.counter.Store(&counter)
	return &counter
}

// ObserveApp counts a call to one of the apps that took so long.
func (d *Document) ObserveApp(app string, took time.Duration) {
	own := d.apps[app]
	if own == nil {
		return
	}
	observer := own.Load()
	if observer == nil {
		observer = d.beginApp(app, own)
	}
	if observer != nil {
		(*observer).Observe(took.Seconds())
	}
}

// beginApp returns nil where the series has ended meanwhile.
func (d *Document) beginApp(app string, own *atomic.Pointer[prometheus.Observer]) *prometheus.Observer {
	e, p := d.endpoint, d.endpoint.process
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.endpoints[e.name] != e || e.document.apps[app] == nil {
		return nil
	}
	observer := p.apps.WithLabelValues(e.name, app)
	own.Store(&observer)
	return &observer
}

// Close ends every series of the endpoint, unless another one has its name by now.
func (e *Endpoint) Close() {
	p := e.process
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.endpoints[e.name] == e {
		delete(p.endpoints, e.name)
		p.ended[e.name] = time.Now()
		p.forget(e.name)
	}
}

// remembered collects what the endpoints remember.
type remembered struct{ *Process }

var (
	bindings        = prometheus.NewDesc("wechat_sidecar_bindings", "Signatures that are remembered with their first use.", []string{label}, nil)
	evictedBindings = prometheus.NewDesc("wechat_sidecar_bindings_evicted_total", "Signatures that were forgotten before they were stale, because memory is bounded.", []string{label}, nil)
	evictedReplies  = prometheus.NewDesc("wechat_sidecar_replies_evicted_total", "Replies that were forgotten before a repeat of their message would be stale, because memory is bounded.", []string{label}, nil)
)

// Describe implements prometheus.Collector.
func (r remembered) Describe(to chan<- *prometheus.Desc) {
	to <- bindings
	to <- evictedBindings
	to <- evictedReplies
}

// Collect implements prometheus.Collector.
func (r remembered) Collect(to chan<- prometheus.Metric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.endpoints {
		to <- prometheus.MustNewConstMetric(bindings, prometheus.GaugeValue, float64(e.memory.Len()), e.name)
		to <- prometheus.MustNewConstMetric(evictedBindings, prometheus.CounterValue, float64(e.memory.EvictedUses()), e.name)
		to <- prometheus.MustNewConstMetric(evictedReplies, prometheus.CounterValue, float64(e.memory.EvictedReplies()), e.name)
	}
}

// buckets are those of answers to WeChat and of calls to apps, which are shown beside each other. WeChat waits 1 s for a suite, 3 s as Pay and 5 s otherwise, and 14 s with
// all its retries; the default deadlines are shorter. A bucket of an endpoint takes 32 bytes.
var buckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 3, 4.5, 5, 7.5, 10, 14}

func durations(name, help string, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, append([]string{label}, labels...))
}

func gauge(name, help string, read func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read)
}
