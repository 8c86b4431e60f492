// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics holds the sidecar's metrics. Every label has a closed set of values.
package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Process holds the metrics of one sidecar, in a registry of its own.
type Process struct{ registry *prometheus.Registry }

// NewProcess returns what all endpoints have in common. StaleConfig is 1 while the document on disk is not the one served.
func NewProcess(inFlight, staleConfig func() float64) *Process {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		gauge("wechat_sidecar_in_flight", "Calls to the app that go on.", inFlight),
		gauge("wechat_sidecar_config_stale", "1 while the files on disk cannot be served and the last good ones go on.", staleConfig),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return &Process{registry}
}

// Gatherer is where the metrics are read.
func (p *Process) Gatherer() prometheus.Gatherer { return p.registry }

// Endpoint holds the metrics of one endpoint. As long as a process serves one only, they bear no label of it.
type Endpoint struct {
	Callbacks    *prometheus.CounterVec // by outcome
	Refused      *prometheus.CounterVec // by reason
	Retries      prometheus.Counter
	Repeats      prometheus.Counter
	Unverified   prometheus.Counter
	Backend      prometheus.Histogram // seconds
	LastVerified prometheus.Gauge     // seconds since 1970
	LateFailures prometheus.Counter
	Unreadable   prometheus.Counter
}

// Gauges are read when the metrics are scraped.
type Gauges struct {
	Bindings        func() float64
	EvictedBindings func() float64
	EvictedReplies  func() float64
	RefusalReasons  []wechat.Reason
}

// NewEndpoint returns metrics whose every series is there from the start, at zero, so that an alert on a rate sees the first event.
func (p *Process) NewEndpoint(g Gauges) *Endpoint {
	m := &Endpoint{
		Callbacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wechat_sidecar_callbacks_total",
			Help: "Verified callbacks, by what became of them.",
		}, []string{"outcome"}),
		Refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wechat_sidecar_refused_total",
			Help: "Callbacks that did not pass, by the check that they failed.",
		}, []string{"reason"}),
		Retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wechat_sidecar_backend_retries_total",
			Help: "Attempts to call the app after a first one that did not reach it.",
		}),
		Repeats: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wechat_sidecar_repeats_total",
			Help: "Messages that were known already and joined the delivery of the first.",
		}),
		Unverified: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wechat_sidecar_unverified_total",
			Help: "Messages that failed a check and went to the app all the same, because verification.enforcement is InsecureAudit.",
		}),
		Backend: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "wechat_sidecar_backend_duration_seconds",
			Help:    "Time until the app's reply, or until the deadline.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 4.5, 5},
		}),
		LastVerified: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wechat_sidecar_last_verified_timestamp_seconds",
			Help: "When a callback of WeChat's was last verified, 0 for never.",
		}),
		LateFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wechat_sidecar_backend_late_failures_total",
			Help: "Calls that failed after WeChat had been answered success in the app's place: their messages may be lost.",
		}),
		Unreadable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wechat_sidecar_unreadable_total",
			Help: "Verified messages whose kind cannot be read to the end: no rule for an event or an InfoType matches them, and WeChat is told that they were taken only if the app takes them.",
		}),
	}
	p.registry.MustRegister(m.Callbacks, m.Refused, m.Retries, m.Repeats, m.Unverified, m.Backend, m.LastVerified, m.LateFailures, m.Unreadable,
		gauge("wechat_sidecar_bindings", "Signatures that are remembered with their first use.", g.Bindings),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "wechat_sidecar_bindings_evicted_total",
			Help: "Signatures that were forgotten before they were stale, because memory is bounded.",
		}, g.EvictedBindings),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "wechat_sidecar_replies_evicted_total",
			Help: "Replies that were forgotten before a repeat of their message would be stale, because memory is bounded.",
		}, g.EvictedReplies),
	)
	for _, o := range outcome.All {
		m.Callbacks.WithLabelValues(string(o))
	}
	for _, reason := range g.RefusalReasons {
		m.Refused.WithLabelValues(string(reason))
	}
	return m
}

func gauge(name, help string, read func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read)
}
