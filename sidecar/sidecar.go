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
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/backend"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/door"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/metrics"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/peers"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/reload"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/taps"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/tracing"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Options of a Sidecar.
type Options struct {
	// ConfigDir holds a document for each endpoint.
	ConfigDir string
	// DrainDelay is how long new callbacks are still accepted after the end was announced: routers need that long to
	// stop sending them here. Zero accepts none.
	DrainDelay time.Duration
	// Grace is how long callbacks and calls to the app may take after that before they are cut off.
	Grace time.Duration
	// Memory is how many bytes the process may use. Everything that it holds is bounded by it; zero is DefaultMemory.
	Memory int64
	// Tracing says to whom messages are told of, as config.Tracing's Validate accepts it.
	Tracing config.Tracing
	// StandardHTTP lets net/http read every callback and every answer of an app, also those that a strict reader would take.
	StandardHTTP bool
	// Peers are the other pods of the fleet; the zero value knows none.
	Peers Peers
	// Log takes what a person should read. It never gets a token or a byte of a message.
	Log *slog.Logger
}

// Sidecar is the process: its ports, its budgets, its end. What it serves is the endpoints'.
type Sidecar struct {
	shared
	options  Options
	folder   *reload.Folder
	entries  entries
	table    atomic.Pointer[table]
	public   atomic.Pointer[door.Listener] // once it serves
	metrics  *metrics.Process
	unknown  *rate.Limiter // in the log, of callbacks for nobody's URL
	failed   *rate.Limiter // likewise, of other pods that fail
	draining atomic.Bool
	own      atomic.Pointer[[]netip.Addr] // the pod's addresses, once it serves
}

// shared is what all endpoints of a process have together.
type shared struct {
	bounds        bounds
	backend       *backend.Client
	strangers     *memory.Budget // of bodies that nobody has verified yet
	bodies        *memory.Budget // of all others, and of replies
	uses, repeats *memory.Pool
	handing       *memory.Budget // of callbacks that are handed over, both ways, by their number
	peers         *peers.Fleet   // nil without others
	handovers     func(peers.Result)
	calls         sync.WaitGroup
	tracer        *tracing.Tracer // nil where nothing is traced
	taps          *taps.Process
	taken         func(taps.Result) // counts a message whose sender a tap takes
	random        io.Reader         // of the bytes before a sealed reply
	// clock is the time that the timestamps of a request are compared with which arrived then. In tests it stands still.
	clock func(arrived time.Time) time.Time
}

// New returns a Sidecar that has read its documents once. One that cannot be served yet is no error: the sidecar says why on /status,
// and looks again.
func New(o Options) *Sidecar {
	b := boundsFor(o.Memory)
	s := &Sidecar{options: o, unknown: rate.NewLimiter(linesInLog, linesInLog), failed: rate.NewLimiter(linesInLog, linesInLog), shared: shared{
		bounds:    b,
		backend:   backend.New(b.calls),
		strangers: memory.NewBudget(b.strangers),
		bodies:    memory.NewBudget(b.bodies),
		handing:   memory.NewBudget(int64(2 * b.handovers)),
		uses:      memory.NewPool(b.uses),
		repeats:   memory.NewPool(b.repeats),
		taps:      taps.New(b.verdicts, b.taps),
		random:    rand.Reader,
		clock:     func(arrived time.Time) time.Time { return arrived },
	}}
	s.backend.StandardHTTP = o.StandardHTTP
	s.entries = entries{served: map[string]*account{}, offered: map[string]offer{}}
	s.table.Store(newTable(nil))
	s.metrics = metrics.NewProcess(func() float64 { return float64(s.backend.Pending()) }, s.brokenDocuments)
	s.taps.Dropped, s.taken = metrics.Taps(s.metrics, taps.Results, s.taps.Open, s.taps.KeepsUntil)
	s.tracer = s.newTracer()
	s.joinFleet()
	s.folder = reload.New(o.ConfigDir, s, o.Log)
	s.folder.Load()
	return s
}

// Serve serves callbacks on public and health, metrics and status on ops, until ctx is done and the callbacks under way
// are answered. Then, in this order: not ready, still accepting for the drain delay, closed, finished.
func (s *Sidecar) Serve(ctx context.Context, public, ops net.Listener) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer s.closeTracer()
	go s.folder.Watch(background, reload.Interval)

	own := peers.Own(ops.Addr())
	addressed := addressesOf(own)
	s.own.Store(&addressed)
	if s.peers != nil {
		go s.peers.Watch(background, own)
	}
	opsServer := newServer(s.opsHandler(), s.bounds.opsDoor())
	opsServer.IdleTimeout = opsIdleTimeout
	publicServer := newServer(s.callbackHandler(), s.bounds.door())
	publicDoor := door.Listen(public, s.bounds.door())
	s.public.Store(publicDoor)
	failed := make(chan error, 3)
	go func() { failed <- door.Listen(ops, s.bounds.opsDoor()).Serve(opsServer) }()
	shutdown := publicServer.Shutdown
	if s.options.StandardHTTP {
		go func() { failed <- publicDoor.Serve(publicServer) }()
	} else {
		lane := s.newLane()
		go func() { failed <- publicDoor.ServePassedOn(publicServer) }()
		go func() { failed <- lane.Serve(publicDoor) }()
		shutdown = func(ctx context.Context) error { return errors.Join(lane.Shutdown(ctx), publicServer.Shutdown(ctx)) }
	}
	defer opsServer.Close()

	select {
	case err := <-failed:
		publicServer.Close()
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
		return s.drain(shutdown, opsServer.Shutdown)
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

// drainInterval is how often a pod that drains looks whether calls to the app go on.
const drainInterval = 20 * time.Millisecond

// drain ends the servers without losing a callback, be it one that another pod has handed over.
func (s *Sidecar) drain(shutdown, shutdownOps func(context.Context) error) error {
	s.options.Log.Info("draining", "delay", s.options.DrainDelay)
	s.draining.Store(true)
	s.taps.Drain() // what they have taken goes to the app
	if s.peers != nil {
		s.peers.Leave()
	}
	time.Sleep(s.options.DrainDelay)

	ctx, cancel := context.WithTimeout(context.Background(), s.options.Grace)
	defer cancel()
	if err := shutdown(ctx); err != nil {
		return fmt.Errorf("finishing callbacks: %w", err)
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for s.backend.Pending() > 0 && ctx.Err() == nil {
			time.Sleep(drainInterval) // meanwhile other pods may ask for what this one holds
		}
		_ = shutdownOps(ctx) // what it waits in vain for, the calls below tell
		s.calls.Wait()
	}()
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
		return errors.New("finishing calls to the app: some went on for longer than the grace time and were cut off")
	}
}

// answer lets the endpoint decide whose the request is. Nobody's is refused like any other.
func (s *Sidecar) answer(ctx context.Context, request *gate.Request) Answer {
	table := s.table.Load()
	if found := table.find(request); found != nil {
		return found.Serve(ctx, request)
	}
	if len(table.entries) == 0 {
		return say(statusAgain, "")
	}
	s.metrics.CountUnknown(gate.SaysPlayed(*request))
	if s.unknown.Allow() {
		s.options.Log.Info("refused a callback", "reason", wechat.ReasonUnknownURL, "detail", "not the URL of any endpoint; compare the URL in the console with status.url")
	}
	answer := say(statusUnknown, "")
	answer.Refused = true
	return answer
}
