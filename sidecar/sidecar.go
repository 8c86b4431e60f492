// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sidecar is the data plane: it takes WeChat's callbacks, verifies them and hands what is verified to the app.
//
// The way of a callback, assembled in this file: listener → gate (route, parameters, freshness, signature, body) →
// bindings (first use of the signature) → policy (which app, how long) → deliveries (a repeat?) → backend → answer. Each room is a package under internal
// that knows nothing of the others.
package sidecar

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/backend"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/dedupe"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/metrics"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/reload"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Bounds of what one sidecar holds at once. A message that finds no room waits for it until its deadline; URL checks
// need none. Together they keep the process below its memory limit of 64 MiB.
const (
	MaxInFlight    = 512      // calls to the app
	MaxConnections = 1024     // of routers and clients
	MaxBodySize    = 1 << 20  // of one message, bytes; WeChat documents none, its largest have a few KiB
	MaxHeldBytes   = 12 << 20 // of all messages, bytes, beyond the first freeBodySize of each
	freeBodySize   = 4 << 10  // of a message, bytes; all connections and calls together hold 6 MiB of these at most
)

// Bounds of a connection. A client that needs longer for a request than WeChat waits for the answer is cut off. The idle
// time is longer than the 60 s and 90 s of common ingress controllers, so that it is they who close a connection, and no
// message is sent into one that closes.
const (
	headTimeout   = 5 * time.Second
	readTimeout   = 8 * time.Second
	writeTimeout  = 15 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeadSize   = 16 << 10
	refusalsInLog = 5 // per second; all are counted in the metric
)

// Options of a Sidecar.
type Options struct {
	// ConfigDir holds config.json and credentials.json.
	ConfigDir string
	// DrainDelay is how long new callbacks are still accepted after the end was announced: routers need that long to
	// stop sending them here. Zero accepts none.
	DrainDelay time.Duration
	// Grace is how long callbacks and calls to the app may take after that before they are cut off.
	Grace time.Duration
	// Log takes what a person should read. It never gets a token or a byte of a message.
	Log *slog.Logger
}

// Sidecar serves one endpoint.
type Sidecar struct {
	options    Options
	files      *reload.Files
	served     atomic.Pointer[served]
	bindings   *dedupe.Bindings
	deliveries *dedupe.Deliveries[*backend.Delivery]
	backend    *backend.Client
	metrics    *metrics.Metrics
	uses       uses
	budget     *semaphore.Weighted // of MaxHeldBytes of messages
	calls      sync.WaitGroup
	draining   atomic.Bool
	refusals   *rate.Limiter
	now        func() time.Time // the clock that timestamps are compared with
	random     io.Reader        // of the bytes before a sealed reply
}

// served is one generation of configuration, taken as a whole by each request.
type served struct {
	config     config.Config
	gate       *gate.Gate
	gatewayKey []byte
}

// New returns a Sidecar that has read its files once. Files that cannot be served yet are no error: the sidecar is not
// ready, says why on /status, and looks again.
func New(o Options) *Sidecar {
	s := &Sidecar{
		options:    o,
		bindings:   dedupe.New(dedupe.DefaultLimit),
		deliveries: dedupe.NewDeliveries[*backend.Delivery](),
		backend:    backend.New(MaxInFlight),
		now:        time.Now,
		random:     rand.Reader,
		budget:     semaphore.NewWeighted(MaxHeldBytes),
		refusals:   rate.NewLimiter(refusalsInLog, refusalsInLog),
	}
	s.files = reload.New(o.ConfigDir, s.take, o.Log)
	s.metrics = metrics.New(metrics.Gauges{
		InFlight:        func() float64 { return float64(s.backend.Pending()) },
		Bindings:        func() float64 { return float64(s.bindings.Len()) },
		EvictedBindings: func() float64 { return float64(s.bindings.Evicted()) },
		EvictedReplies:  func() float64 { return float64(s.deliveries.Evicted()) },
		StaleConfig:     s.staleConfig,
		BackendOutcomes: []string{string(backend.Answered), string(backend.Acknowledged), string(backend.Unavailable), string(backend.BadReply), string(backend.TimedOut), string(backend.Overloaded)},
		RefusalReasons:  wechat.Reasons,
	})
	s.files.Load()
	return s
}

func (s *Sidecar) take(c config.Config, credentials config.Credentials) {
	s.uses.keep(credentials.Pairs)
	s.served.Store(&served{config: c, gate: gate.New(c, credentials), gatewayKey: credentials.GatewayKey})
}

// Serve serves callbacks on public and health, metrics and status on ops, until ctx is done and the callbacks under way
// are answered. Then, in this order: not ready, still accepting for the drain delay, closed, finished.
func (s *Sidecar) Serve(ctx context.Context, public, ops net.Listener) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go s.files.Watch(background, reload.Interval)

	errorLog := slog.NewLogLogger(s.options.Log.Handler(), slog.LevelDebug)
	opsServer := &http.Server{Handler: s.opsHandler(), ReadTimeout: readTimeout, WriteTimeout: writeTimeout, MaxHeaderBytes: maxHeadSize, ErrorLog: errorLog}
	publicServer := &http.Server{
		Handler:           http.HandlerFunc(s.serveCallback),
		ReadHeaderTimeout: headTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeadSize,
		ErrorLog:          errorLog,
		// net/http would answer OPTIONS * by itself.
		DisableGeneralOptionsHandler: true,
	}
	failed := make(chan error, 2)
	go func() { failed <- opsServer.Serve(ops) }()
	go func() { failed <- publicServer.Serve(netutil.LimitListener(public, MaxConnections)) }()
	defer opsServer.Close()

	select {
	case err := <-failed:
		publicServer.Close()
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
		return s.drain(publicServer)
	}
}

// drain ends the public server without losing a callback.
func (s *Sidecar) drain(public *http.Server) error {
	s.options.Log.Info("draining", "delay", s.options.DrainDelay)
	s.draining.Store(true)
	time.Sleep(s.options.DrainDelay)

	ctx, cancel := context.WithTimeout(context.Background(), s.options.Grace)
	defer cancel()
	if err := public.Shutdown(ctx); err != nil {
		return fmt.Errorf("finishing callbacks: %w", err)
	}
	finished := make(chan struct{})
	go func() { s.calls.Wait(); close(finished) }()
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
		return errors.New("finishing calls to the app: some went on for longer than the grace time and were cut off")
	}
}
