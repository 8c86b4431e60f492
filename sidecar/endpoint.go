// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/backend"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/door"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/metrics"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/peers"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/taps"
)

// Endpoint is one account: what is remembered and counted of it.
type Endpoint struct {
	*shared
	name       string // namespace/name
	memory     Memory
	uses       uses
	strangers  *memory.Portion  // of bodies that nobody has verified yet
	bodies     *memory.Portion  // of all others, and of replies
	places     *backend.Portion // of calls
	handing    *memory.Portion  // of callbacks that are handed over, both ways; nil without other pods
	taps       *taps.Endpoint
	refusals   *rate.Limiter // in the log
	complaints *rate.Limiter // likewise, about the app
	log        *slog.Logger
	metrics    *metrics.Endpoint
}

// account is one generation of an endpoint's document, taken as a whole by each request.
type account struct {
	endpoint   *Endpoint
	config     config.Config
	gate       *gate.Gate
	gatewayKey []byte
	peersKey   []byte // signs hand-overs; nil without a gateway key
	metrics    *metrics.Document
	at         callbackURL
	cost       int // bytes of memory
}

// belongTo makes the account one of the endpoint.
func (a *account) belongTo(e *Endpoint) {
	var actions []string
	for _, rule := range a.config.Rules {
		actions = append(actions, rule.Action)
	}
	a.endpoint, a.metrics = e, e.metrics.NewDocument(actions, config.ActionForward, a.config.Apps())
}

func newAccount(document config.Document, size int) *account {
	return &account{
		config: document.Config, gate: gate.New(document.Config, document.Credentials), gatewayKey: document.Credentials.GatewayKey,
		peersKey: peers.NewKey(document.Credentials.GatewayKey),
		at:       urlOf(document.Config), cost: costOf(document.Config, size),
	}
}

// Memory is what is remembered of an endpoint's callbacks. It may be elsewhere, and fail: what that means the policy says.
type Memory interface {
	// Use binds a verified signature to what comes with it, if it is used for the first time, and says how that agrees with the first time.
	Use(ctx context.Context, use memory.Use, now time.Time) (memory.Bound, error)
	// Told does so for another pod, Settle says whether other pods know another use of one that is new, and Known returns the newest uses for another
	// pod.
	Told(use memory.Use, now time.Time) memory.Bound
	Settle(use memory.Use, isBoundElsewhere bool, now time.Time)
	Known(most int) []memory.Use
	// Claim returns the delivery of a message, and whether it is a repeat's. For a first one it calls start, and with an error it does
	// not.
	Claim(ctx context.Context, key memory.Key, now, until time.Time, start func() *backend.Delivery) (delivery *backend.Delivery, repeated bool, err error)
	// Claimed reports whether this pod has a message, and Used whether it has what came with a signature.
	Claimed(key memory.Key, now time.Time) bool
	Used(signature string, now time.Time) bool
	// Keep says that the delivery of a claimed message has ended well, and Forget that it has failed. What cannot be kept is forgotten.
	Keep(key memory.Key, delivery *backend.Delivery, size int, now time.Time)
	Forget(key memory.Key)
	// Close forgets everything, and what comes from now on.
	Close()
}

func newEndpoint(shared *shared, process *metrics.Process, log *slog.Logger, name string) *Endpoint {
	local := new(memory.NewLocal[*backend.Delivery](shared.uses, shared.repeats))
	e := &Endpoint{
		shared: shared, name: name, memory: local,
		strangers: shared.strangers.NewPortion(), bodies: shared.bodies.NewPortion(), places: shared.backend.NewPortion(),
		refusals: rate.NewLimiter(linesInLog, linesInLog), complaints: rate.NewLimiter(linesInLog, linesInLog),
		log:     log.With("endpoint", name),
		metrics: process.NewEndpoint(name, local),
	}
	e.taps = shared.taps.NewEndpoint(name)
	if shared.peers != nil {
		e.handing = shared.handing.NewPortion()
	}
	return e
}

// follow lets what is remembered and divided follow a new document.
func (e *Endpoint) follow(c config.Config, pairs []config.Pair, gatewayKey []byte) {
	e.taps.Follow(gatewayKey)
	e.uses.keep(pairs)
	e.bodies.Between(len(c.Apps()))
	e.places.Between(len(c.Apps()))
}

// close gives back what the endpoint has of the process. Callbacks under way end as they would have.
func (e *Endpoint) close() {
	e.taps.Close()
	e.memory.Close()
	e.strangers.Close()
	e.bodies.Close()
	e.places.Close()
	if e.handing != nil {
		e.handing.Close()
	}
	e.metrics.Close()
}

// Serve decides about a request, and does what was decided. Whoever gets the answer frees it.
func (a *account) Serve(ctx context.Context, request *gate.Request) Answer {
	if file, ok := a.findFile(request.Host, request.Path); ok && (request.Method == "GET" || request.Method == "HEAD") {
		door.Received(ctx)
		return say(statusTaken, file.Content)
	}
	return a.newCallback(request).answer(ctx)
}

func (a *account) newCallback(request *gate.Request) *callback {
	return &callback{Endpoint: a.endpoint, account: a, request: *request, now: a.endpoint.clock(request.Arrived)}
}

// answer serves the callback.
func (c *callback) answer(ctx context.Context) Answer {
	answer := c.serve(ctx)
	if c.genuine || c.verdict.tells {
		took := time.Since(c.request.Arrived)
		if c.genuine {
			c.metrics.ObserveAnswer(took)
		}
		c.record(answer.Status, took)
	}
	if c.told != "" {
		answer.Outcome = c.told
	}
	return answer
}

// serves reports whether a request is for the endpoint's URL, or for one of its domain files.
func (a *account) serves(r *gate.Request) bool {
	_, isFile := a.findFile(r.Host, r.Path)
	return isFile || a.gate.Serves(*r)
}

// findFile returns the domain file of that URL, by which a console sees who owns the host.
func (a *account) findFile(host, path string) (found config.DomainFile, ok bool) {
	if len(a.config.DomainFiles) == 0 || !a.gate.ServesHost(host) {
		return found, false
	}
	for _, file := range a.config.DomainFiles {
		if path == "/"+file.Name {
			return file, true
		}
	}
	return found, false
}
