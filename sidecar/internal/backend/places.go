// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/fair"
)

// places bounds how many calls go on at once. Endpoints share them, and the apps of an endpoint its portion: an app that takes every call
// and answers none leaves places to the other apps, and to the other endpoints more. It is safe for concurrent use.
type places struct {
	mu    sync.Mutex
	taken *fair.Shares
	held  list.List // of *place, the oldest first
	// Half as many may wait as there are places. That is shared in the same way: those that wait for a frozen app keep out nobody else.
	waiting *fair.Shares
	queue   list.List // of *waiter, the longest waiting first
}

// Portion is what one endpoint may have of the places, for its apps.
type Portion struct {
	places         *places
	taken, waiting *fair.Portion
}

// app is who is called, and for which endpoint.
type app struct {
	of     *Portion
	origin string
}

func (a app) may() bool       { return a.of.taken.May(a.origin, 0, 1) }
func (a app) hold(more int64) { a.of.taken.Hold(a.origin, more) }

// place is held by one call.
type place struct {
	app
	expires time.Time // when nobody waits for the answer any more
	end     func()    // ends the call; nil once it was told to
	element *list.Element
}

// waiter is a call that waits for a place.
type waiter struct {
	wanted  *place
	got     chan struct{} // closed once it has the place
	element *list.Element // in the queue
}

func newPlaces(all int) *places {
	return &places{taken: fair.New(int64(all)), waiting: fair.New(int64(max(1, all/2)))}
}

// newPortion divides the places between one endpoint more. It has one app.
func (p *places) newPortion() *Portion {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &Portion{p, p.taken.NewPortion(), p.waiting.NewPortion()}
}

// Between divides the portion between so many apps.
func (p *Portion) Between(apps int) {
	p.places.mu.Lock()
	defer p.places.mu.Unlock()
	p.taken.Between(apps)
	p.waiting.Between(apps)
	p.places.grant()
}

// Close divides the places between one endpoint less. Its calls that go on end as they would have.
func (p *Portion) Close() {
	p.places.mu.Lock()
	defer p.places.mu.Unlock()
	p.taken.Close()
	p.waiting.Close()
	p.places.grant()
}

func (p *places) hold(wanted *place) {
	wanted.hold(1)
	wanted.element = p.held.PushBack(wanted)
}

// makeRoomEvery is how often somebody who waits looks for a call that nobody needs any more.
const makeRoomEvery = 250 * time.Millisecond

// takeFree takes a place if one is free, and reports whether it was.
func (p *places) takeFree(wanted *place) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !wanted.may() {
		return false
	}
	p.hold(wanted)
	return true
}

// take waits for a place until nobody waits for the answer any more, or until ctx is done. It reports false if there is none, or if too many
// wait already. Should others need the place more than ShortLinger after that, the call is ended.
func (p *places) take(ctx context.Context, wanted *place) bool {
	waiting, ok := p.enter(wanted)
	switch {
	case !ok:
		return false
	case waiting == nil || p.wait(ctx, waiting):
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if wanted.element != nil { // it came in this moment
		p.release(wanted)
	} else {
		p.leave(waiting)
	}
	return false
}

// enter takes a place that is free, or else waits for one. It reports false if too many wait already.
func (p *places) enter(wanted *place) (waiting *waiter, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if wanted.may() {
		p.hold(wanted)
		return nil, true
	}
	p.makeRoom(wanted.app, time.Now())
	if !wanted.of.waiting.May(wanted.origin, 0, 1) {
		return nil, false
	}
	wanted.of.waiting.Hold(wanted.origin, 1)
	waiting = &waiter{wanted: wanted, got: make(chan struct{})}
	waiting.element = p.queue.PushBack(waiting)
	return waiting, true
}

// leave ends the waiting.
func (p *places) leave(w *waiter) {
	p.queue.Remove(w.element)
	w.wanted.of.waiting.Hold(w.wanted.origin, -1)
}

func (p *places) wait(ctx context.Context, waiting *waiter) bool {
	timer := time.NewTimer(time.Until(waiting.wanted.expires))
	defer timer.Stop()
	ticker := time.NewTicker(makeRoomEvery)
	defer ticker.Stop()
	for {
		select {
		case <-waiting.got:
			return true
		case now := <-ticker.C:
			p.mu.Lock()
			p.makeRoom(waiting.wanted.app, now)
			p.mu.Unlock()
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// give gives a place back.
func (p *places) give(held *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release(held)
}

func (p *places) release(held *place) {
	p.held.Remove(held.element)
	held.hold(-1)
	p.grant()
}

// grant gives what is free to those who may have it, the longest waiting first. It is called whenever more may have become free.
func (p *places) grant() {
	var refused app // the last one: most of those who wait do so for the same
	for element := p.queue.Front(); element != nil; {
		waiting := element.Value.(*waiter)
		element = element.Next()
		switch {
		case waiting.wanted.app == refused:
		case waiting.wanted.may():
			p.leave(waiting)
			p.hold(waiting.wanted)
			close(waiting.got)
		default:
			refused = waiting.wanted.app
		}
	}
}

// makeRoom ends the oldest call that has gone on for ShortLinger although nobody waits for its answer, if its place helps the app.
func (p *places) makeRoom(wanted app, now time.Time) {
	for element := p.held.Front(); element != nil; element = element.Next() {
		held := element.Value.(*place)
		if held.end != nil && held.helps(wanted) && now.Sub(held.expires) > ShortLinger {
			held.end()
			held.end = nil
			return
		}
	}
}

// helps reports whether a place of one app is of use to another: it is the app's own, or one that is not kept for another.
func (a app) helps(wanted app) bool {
	apps, endpoints := a.of.taken.Frees(a.origin)
	return a == wanted || apps && a.of == wanted.of || endpoints
}
