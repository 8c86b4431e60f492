// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/backend"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/door"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/metrics"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Endpoint is one account: what is served for it, and what is remembered and counted of it.
type Endpoint struct {
	*shared
	account atomic.Pointer[account] // nil before there is one
	memory  Memory
	uses    uses
	metrics *metrics.Endpoint
}

// account is one generation of an endpoint's document, taken as a whole by each request.
type account struct {
	config     config.Config
	gate       *gate.Gate
	gatewayKey []byte
}

// Memory is what is remembered of an endpoint's callbacks. It may be elsewhere, and fail: what that means the policy says.
type Memory interface {
	// Use reports whether a verified signature is used for the first time, or as it was the first time.
	Use(ctx context.Context, signature, method string, body []byte, now, until time.Time) (bool, error)
	// Claim returns the delivery of a message, and whether it is a repeat's. For a first one it calls start, and with an error it does
	// not.
	Claim(ctx context.Context, key memory.Key, now, until time.Time, start func() *backend.Delivery) (delivery *backend.Delivery, repeated bool, err error)
	// Keep says that the delivery of a claimed message has ended well, and Forget that it has failed. What cannot be kept is forgotten.
	Keep(key memory.Key, delivery *backend.Delivery, size int, now time.Time)
	Forget(key memory.Key)
}

func newEndpoint(shared *shared, process *metrics.Process) *Endpoint {
	local := memory.NewLocal[*backend.Delivery](shared.bounds.uses, shared.bounds.repeats)
	return &Endpoint{shared: shared, memory: local, metrics: process.NewEndpoint(metrics.Gauges{
		Bindings:        func() float64 { return float64(local.Len()) },
		EvictedBindings: func() float64 { return float64(local.Uses.Evicted()) },
		EvictedReplies:  func() float64 { return float64(local.Repeats.Evicted()) },
		RefusalReasons:  wechat.Reasons,
	})}
}

func (e *Endpoint) take(document config.Document) {
	e.uses.keep(document.Credentials.Pairs)
	e.account.Store(&account{config: document.Config, gate: gate.New(document.Config, document.Credentials), gatewayKey: document.Credentials.GatewayKey})
}

// Serve decides about a request, and does what was decided. Whoever gets the answer frees it.
func (e *Endpoint) Serve(ctx context.Context, request gate.Request) Answer {
	account := e.account.Load()
	if account == nil {
		return say(statusAgain, "")
	}
	if file, ok := account.findFile(request.Host, request.Path); ok && (request.Method == "GET" || request.Method == "HEAD") {
		door.Received(ctx)
		return say(statusTaken, file.Content)
	}
	c := &callback{Endpoint: e, account: account, request: request, now: e.clock(request.Arrived)}
	answer := c.serve(ctx)
	answer.Outcome = c.told
	return answer
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

// table says whose a request is. It has one entry as long as a process serves one endpoint.
type table []*Endpoint

// find returns the endpoint of a host and a path. If none matches, it is the last one, which refuses the request.
func (t table) find(host, path string) *Endpoint {
	last := len(t) - 1
	for _, e := range t[:last] {
		if e.has(host, path) {
			return e
		}
	}
	return t[last]
}

// has reports whether something is served at that URL.
func (e *Endpoint) has(host, path string) bool {
	account := e.account.Load()
	if account == nil {
		return false
	}
	_, file := account.findFile(host, path)
	return file || account.gate.ServesURL(host, path)
}
