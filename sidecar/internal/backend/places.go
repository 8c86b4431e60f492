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

// places bounds how many calls go on at once. The apps of all endpoints share them: an app that takes every call and answers none leaves
// places to the other apps. It is safe for concurrent use.
type places struct {
	all int

	mu    sync.Mutex
	taken *fair.Shares[App]
	held  list.List // of *place, the oldest first
	queue list.List // of *waiter, the longest waiting first
}

// App is who is called, and for which endpoint. An endpoint with many apps has the share of each of them.
type App struct{ Endpoint, Origin string }

// place is held by one call.
type place struct {
	app     App
	expires time.Time          // when nobody waits for the answer any more
	end     context.CancelFunc // ends the call; nil once it was told to
	element *list.Element
}

// waiter is a call that waits for a place.
type waiter struct {
	wanted *place
	got    chan struct{} // closed once it has the place
}

func newPlaces(all int) *places { return &places{all: all, taken: fair.New[App](int64(all))} }

func (p *places) share(apps int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken.Between(apps)
}

func (p *places) hold(wanted *place) {
	p.taken.Hold(wanted.app, 1)
	wanted.element = p.held.PushBack(wanted)
}

// makeRoomEvery is how often somebody who waits looks for a call that nobody needs any more.
const makeRoomEvery = 250 * time.Millisecond

// take waits for a place until the deadline or until ctx is done, and returns nil if there is none, or if half as many wait already
// as there are places. End ends the call that it is for, should others need its place more than ShortLinger after its deadline.
func (p *places) take(ctx context.Context, app App, deadline time.Time, end context.CancelFunc) *place {
	wanted := &place{app: app, expires: deadline, end: end}
	p.mu.Lock()
	if p.taken.May(app, 1) {
		p.hold(wanted)
		p.mu.Unlock()
		return wanted
	}
	if p.queue.Len() >= max(1, p.all/2) {
		p.makeRoom(app, time.Now())
		p.mu.Unlock()
		return nil
	}
	waiting := &waiter{wanted: wanted, got: make(chan struct{})}
	element := p.queue.PushBack(waiting)
	p.makeRoom(app, time.Now())
	p.mu.Unlock()
	if p.wait(ctx, waiting, deadline) {
		return wanted
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue.Remove(element)
	if wanted.element != nil { // it came in this moment
		p.release(wanted)
	}
	return nil
}

func (p *places) wait(ctx context.Context, waiting *waiter, deadline time.Time) bool {
	timer := time.NewTimer(time.Until(deadline))
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

// release passes a place on to whoever has waited longest of those who may have it.
func (p *places) release(held *place) {
	p.held.Remove(held.element)
	p.taken.Hold(held.app, -1)
	for element := p.queue.Front(); element != nil; element = element.Next() {
		if waiting := element.Value.(*waiter); p.taken.May(waiting.wanted.app, 1) {
			p.queue.Remove(element)
			p.hold(waiting.wanted)
			close(waiting.got)
			return
		}
	}
}

// makeRoom ends the oldest call that has gone on for ShortLinger although nobody waits for its answer, if its place helps the app: it
// is the app's own, or one that its app has beyond those that are kept for it.
func (p *places) makeRoom(app App, now time.Time) {
	for element := p.held.Front(); element != nil; element = element.Next() {
		held := element.Value.(*place)
		helps := held.app == app || p.taken.HoldsMore(held.app)
		if held.end != nil && helps && now.Sub(held.expires) > ShortLinger {
			held.end()
			held.end = nil
			return
		}
	}
}
