// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/peers"
)

// What binds a signature to its first body outlives the pod that has made it: two pods hold it, the owner and the next in rank. Whoever of them does
// not have it yet is told, when it is made, and when other pods than before are to hold it.

// tellInterval is for how long bindings wait for others that are told together.
const tellInterval = 20 * time.Millisecond

// teller tells other pods of bindings, in the background: no callback waits for it. One goroutine runs it.
type teller struct {
	sidecar  *Sidecar
	began    int64 // milliseconds since 1970
	sent     func(peers.Result, int)
	received func(int)
	taking   *rate.Limiter // of bindings that others tell
	queue    chan told
	looks    chan struct{}      // other pods than before are to be told
	finishes chan chan struct{} // closed once all is told

	mu      sync.Mutex
	all     bool                 // the others are to be told everything anew
	lacking map[netip.Addr]bool  // pods that may have less than they were told
	begun   map[netip.Addr]int64 // when the processes began that said so

	// The goroutine's own.
	view    peers.View // whose pods have been told
	parcels map[recipient][]memory.Binding
}

// told is a binding of an endpoint.
type told struct {
	endpoint string
	memory.Binding
}

// recipient is a pod that is told of an endpoint's bindings.
type recipient struct {
	endpoint string
	pod      netip.Addr
}

func newTeller(s *Sidecar, sent func(peers.Result, int), received func(int)) *teller {
	most := s.bounds.uses / memory.UseCost
	return &teller{
		sidecar: s, began: time.Now().UnixMilli(), sent: sent, received: received, taking: rate.NewLimiter(rate.Limit(most), most),
		queue: make(chan told, s.bounds.bindings), looks: make(chan struct{}, 1), finishes: make(chan chan struct{}),
		lacking: map[netip.Addr]bool{}, begun: map[netip.Addr]int64{}, parcels: map[recipient][]memory.Binding{},
	}
}

// binds reports whether signatures are bound to bodies, and other pods can be told.
func (a *account) binds() bool {
	return a.peersKey != nil && a.config.Platform != config.PlatformPay && !a.config.Encrypted()
}

// offer lets a new binding be told, if there is room for it.
func (t *teller) offer(endpoint string, b memory.Binding) {
	if t.sidecar.peers.Others() == 0 {
		return // whoever comes is told everything
	}
	select {
	case t.queue <- told{endpoint, b}:
	default:
		t.sent(peers.Dropped, 1)
	}
}

// look says that the fleet has changed, or that somebody lacks something.
func (t *teller) look() {
	select {
	case t.looks <- struct{}{}:
	default:
	}
}

// tellAll says that this pod drains: the others are to have all that it knows.
func (t *teller) tellAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = true
	t.look()
}

// finish waits until everything is told that can be, or ctx is done.
func (t *teller) finish(ctx context.Context) {
	done := make(chan struct{})
	select {
	case t.finishes <- done:
	case <-ctx.Done():
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func (t *teller) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		var done chan struct{}
		select {
		case <-ctx.Done():
			return
		case <-t.looks:
		case done = <-t.finishes:
		case first := <-t.queue:
			t.add(ctx, first, t.sidecar.peers.View().Holders(first.key()))
			timer.Reset(tellInterval)
			<-timer.C
		}
		t.tellNew(ctx)
		t.tellMoved(ctx)
		if done != nil {
			close(done)
		}
	}
}

func (b told) key() peers.Key { return gate.UseKey(b.endpoint, hex.EncodeToString(b.Signature[:])) }

// tellNew tells of what waits.
func (t *teller) tellNew(ctx context.Context) {
	view := t.sidecar.peers.View()
	for range len(t.queue) {
		b := <-t.queue
		t.add(ctx, b, view.Holders(b.key()))
	}
	t.flush(ctx)
}

// tellMoved tells the pods of what this one remembers that are to hold it since the fleet has changed.
func (t *teller) tellMoved(ctx context.Context) {
	for ctx.Err() == nil {
		now := t.sidecar.peers.View()
		before := t.before(now)
		if now.Same(before) {
			return
		}
		if self := now.Self(); self.IsValid() && !t.view.Has(self) {
			t.greet(ctx, now)
		}
		for endpoint, a := range t.sidecar.table.Load().named {
			t.tellOf(ctx, endpoint, a, func(key peers.Key) []netip.Addr { return now.Lacking(before, key) })
		}
		t.view = now
	}
}

// before is the view of those who have all that they should.
func (t *teller) before(now peers.View) peers.View {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.view
	if t.all {
		before = peers.View{}
	}
	t.all = false
	for pod := range t.lacking {
		before = before.Without(pod)
		if now.Has(pod) || !now.Lists(pod) {
			delete(t.lacking, pod)
		}
	}
	return before
}

// tellOf tells of an endpoint's bindings, some after the other: what is new goes out between them.
func (t *teller) tellOf(ctx context.Context, endpoint string, a *account, whom func(peers.Key) []netip.Addr) {
	var room [peers.MaxBindings]memory.Binding
	now := uint32(a.endpoint.clock(time.Now()).Unix())
	for n, next := len(room), a.endpoint.memory.Oldest(); n == len(room) && ctx.Err() == nil; t.tellNew(ctx) {
		n, next = a.endpoint.memory.Some(next, room[:])
		for _, b := range room[:n] {
			if b := (told{endpoint, b}); b.Until >= now {
				t.add(ctx, b, whom(b.key()))
			}
		}
	}
}

// greet asks the others for all that this pod is to hold: it may have an address that they know, and remember nothing.
func (t *teller) greet(ctx context.Context, view peers.View) {
	for _, pod := range view.Pods() {
		for endpoint, a := range t.sidecar.table.Load().named {
			if !a.binds() {
				continue
			}
			if t.sidecar.peers.Tell(ctx, pod, peers.Batch{Endpoint: endpoint, From: view.Self(), Began: t.began}, a.peersKey) != peers.Refused {
				break // a pod that refuses may know another of the endpoints
			}
		}
	}
}

// add lets pods be told of a binding, at the next flush at the latest.
func (t *teller) add(ctx context.Context, b told, pods []netip.Addr) {
	for _, pod := range pods {
		to := recipient{b.endpoint, pod}
		t.parcels[to] = append(t.parcels[to], b.Binding)
		if len(t.parcels[to]) == peers.MaxBindings {
			t.send(ctx, to)
		}
	}
}

func (t *teller) flush(ctx context.Context) {
	for to := range t.parcels {
		t.send(ctx, to)
	}
}

// send tells a pod of what was added. One that does not answer is told everything when it is back.
func (t *teller) send(ctx context.Context, to recipient) {
	bindings := t.parcels[to]
	delete(t.parcels, to)
	a := t.sidecar.table.Load().named[to.endpoint]
	if a == nil || !a.binds() {
		return
	}
	result := peers.Unreachable
	if t.sidecar.peers.View().Has(to.pod) {
		text, _ := binary.Append(nil, binary.BigEndian, bindings) // of a size that is known: it never fails
		result = t.sidecar.peers.Tell(ctx, to.pod, peers.Batch{Endpoint: to.endpoint, Bindings: text}, a.peersKey)
	}
	t.sent(result, len(bindings))
	if result == peers.Unreachable {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.lacking[to.pod] = true
	}
}

// take takes bindings that another pod tells, and returns the status of the answer. Nothing is believed that is not signed, nor of what is stale or
// would be fresh for longer than any signature is. What this pod knows stays as it is.
func (t *teller) take(ctx context.Context, b peers.Batch) int {
	a := t.sidecar.table.Load().named[b.Endpoint]
	bindings := make([]memory.Binding, min(len(b.Bindings)/memory.BindingSize, peers.MaxBindings))
	ctx, cancel := context.WithTimeout(ctx, tellerPatience)
	defer cancel()
	switch {
	case a == nil || !a.binds():
		return peers.StatusElsewhere
	case !b.Verify(a.peersKey), !t.sidecar.peers.IsOwn(b.To):
		return peers.StatusForged
	case len(b.Bindings) != len(bindings)*memory.BindingSize:
		return peers.StatusRefused
	case t.taking.WaitN(ctx, len(bindings)) != nil:
		return peers.StatusFull
	}
	_, _ = binary.Decode(b.Bindings, binary.BigEndian, bindings) // of the right length: it never fails
	now := a.endpoint.clock(time.Now())
	latest, learnt := a.gate.LatestUse(now), 0
	for _, one := range bindings {
		if !time.Unix(int64(one.Until), 0).After(latest.Add(time.Second)) && a.endpoint.memory.Learn(one, now) {
			learnt++
		}
	}
	t.received(learnt)
	if b.Began > 0 {
		t.greeted(b.From, b.Began)
	}
	return statusTaken
}

// tellerPatience is how long a pod waits that tells more than this one takes. It is shorter than the other waits.
const tellerPatience = 500 * time.Millisecond

// greeted notes that another pod has begun anew. It says so once.
func (t *teller) greeted(pod netip.Addr, began int64) {
	view := t.sidecar.peers.View()
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.begun, func(pod netip.Addr, _ int64) bool { return !view.Lists(pod) })
	if view.Lists(pod) && began > t.begun[pod] {
		t.begun[pod] = began
		t.lacking[pod] = true
		t.look()
	}
}
