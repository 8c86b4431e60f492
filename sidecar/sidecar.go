// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sidecar is the data plane: it takes WeChat's callbacks, verifies them and hands what is verified to the app.
//
// The way of a callback, assembled here: door (how many connections, how large a head) → Endpoint (host and path) → gate (parameters,
// freshness, signature, body, first use) → policy (which app, how long) → memory (a repeat?) → backend → answer. Each room is a package
// under internal that knows nothing of the others.
//
// A Sidecar is a process: its ports, its budgets and its end. An Endpoint is an account. door.go alone knows net/http.
package sidecar

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/backend"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/door"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/metrics"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/reload"
)

// Options of a Sidecar.
type Options struct {
	// ConfigDir holds the endpoint's document.
	ConfigDir string
	// DrainDelay is how long new callbacks are still accepted after the end was announced: routers need that long to
	// stop sending them here. Zero accepts none.
	DrainDelay time.Duration
	// Grace is how long callbacks and calls to the app may take after that before they are cut off.
	Grace time.Duration
	// Memory is how many bytes the process may use. Everything that it holds is bounded by it; zero is DefaultMemory.
	Memory int64
	// Log takes what a person should read. It never gets a token or a byte of a message.
	Log *slog.Logger
}

// Sidecar is the process: its ports, its budgets, its end. What it serves is the endpoints'.
type Sidecar struct {
	shared
	options   Options
	file      *reload.File
	endpoints table
	public    atomic.Pointer[door.Listener] // once it serves
	metrics   *metrics.Process
	draining  atomic.Bool
}

// shared is what all endpoints of a process have together.
type shared struct {
	bounds     bounds
	log        *slog.Logger
	backend    *backend.Client
	strangers  *memory.Budget // of bodies that nobody has verified yet
	bodies     *memory.Budget // of all others, and of replies
	calls      sync.WaitGroup
	refusals   *rate.Limiter // in the log
	complaints *rate.Limiter // likewise, about the app
	random     io.Reader     // of the bytes before a sealed reply
	// clock is the time that the timestamps of a request are compared with which arrived then. In tests it stands still.
	clock func(arrived time.Time) time.Time
}

// New returns a Sidecar that has read its document once. One that cannot be served yet is no error: the sidecar is not
// ready, says why on /status, and looks again.
func New(o Options) *Sidecar {
	b := boundsFor(o.Memory)
	bodies := memory.NewBudget(b.bodies)
	s := &Sidecar{options: o, shared: shared{
		bounds:     b,
		log:        o.Log,
		backend:    backend.New(b.calls, bodies),
		clock:      func(arrived time.Time) time.Time { return arrived },
		random:     rand.Reader,
		strangers:  memory.NewBudget(b.strangers),
		bodies:     bodies,
		refusals:   rate.NewLimiter(linesInLog, linesInLog),
		complaints: rate.NewLimiter(linesInLog, linesInLog),
	}}
	s.metrics = metrics.NewProcess(func() float64 { return float64(s.backend.Pending()) }, s.staleConfig)
	s.endpoints = table{newEndpoint(&s.shared, s.metrics)}
	s.file = reload.New(o.ConfigDir, s.take, o.Log)
	s.file.Load()
	return s
}

// take gives the endpoint what is to be served now.
func (s *Sidecar) take(document config.Document) {
	s.backend.Share(document.Apps())
	s.endpoints[0].take(document)
}

// Serve serves callbacks on public and health, metrics and status on ops, until ctx is done and the callbacks under way
// are answered. Then, in this order: not ready, still accepting for the drain delay, closed, finished.
func (s *Sidecar) Serve(ctx context.Context, public, ops net.Listener) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go s.file.Watch(background, reload.Interval)

	opsServer := newServer(s.opsHandler(), opsDoor)
	opsServer.IdleTimeout = opsIdleTimeout
	publicServer := newServer(s.callbackHandler(), s.bounds.door())
	publicDoor := door.Listen(public, s.bounds.door())
	s.public.Store(publicDoor)
	failed := make(chan error, 2)
	go func() { failed <- door.Listen(ops, opsDoor).Serve(opsServer) }()
	go func() { failed <- publicDoor.Serve(publicServer) }()
	defer opsServer.Close()

	select {
	case err := <-failed:
		publicServer.Close()
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
		return s.drain(publicServer.Shutdown)
	}
}

// door is the one of the public port. Before it serves there is none, which counts nobody.
func (s *Sidecar) door() *door.Listener {
	if public := s.public.Load(); public != nil {
		return public
	}
	return door.Listen(nil, s.bounds.door())
}

// crowded reports whether connections are scarce.
func (s *Sidecar) crowded() bool { return s.door().Crowded() }

// drain ends the public server without losing a callback.
func (s *Sidecar) drain(shutdown func(context.Context) error) error {
	s.options.Log.Info("draining", "delay", s.options.DrainDelay)
	s.draining.Store(true)
	time.Sleep(s.options.DrainDelay)

	ctx, cancel := context.WithTimeout(context.Background(), s.options.Grace)
	defer cancel()
	if err := shutdown(ctx); err != nil {
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
