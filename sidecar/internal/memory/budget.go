// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"container/list"
	"sync"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/fair"
)

// Budget is how many bytes may be held at once for one purpose, by all endpoints of a process. Each of them takes from it through its
// own Portion. It is safe for concurrent use.
type Budget struct {
	mu       sync.Mutex
	shares   *fair.Shares[*Portion]
	portions int
	queue    list.List // of *wish, the longest waiting first
}

// Portion is what one endpoint may hold of a Budget.
type Portion struct{ budget *Budget }

// wish is somebody who waits for bytes.
type wish struct {
	of    *Portion
	bytes int64
	got   chan struct{} // closed once they are held
}

// NewBudget returns a Budget of so many bytes.
func NewBudget(size int64) *Budget { return &Budget{shares: fair.New[*Portion](size)} }

// NewPortion divides the budget by one more.
func (b *Budget) NewPortion() *Portion {
	b.divide(1)
	return &Portion{b}
}

// Close divides the budget by one less. What is held by then is given back as always.
func (p *Portion) Close() { p.budget.divide(-1) }

func (b *Budget) divide(more int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.portions += more
	b.shares.Between(b.portions)
	b.grant()
}

// Most is how many bytes the portion can have at once, if the others have none.
func (p *Portion) Most() int64 {
	p.budget.mu.Lock()
	defer p.budget.mu.Unlock()
	return p.budget.shares.Most()
}

// Take takes so many bytes, and waits for them until then. It reports whether it got them; more than the portion can ever have it does
// not wait for.
func (p *Portion) Take(bytes int64, until time.Time) bool {
	b := p.budget
	b.mu.Lock()
	if !b.waits(p) && b.shares.May(p, bytes) {
		b.shares.Hold(p, bytes)
		b.mu.Unlock()
		return true
	}
	if bytes > b.shares.Most() {
		b.mu.Unlock()
		return false
	}
	w := &wish{of: p, bytes: bytes, got: make(chan struct{})}
	element := b.queue.PushBack(w)
	b.mu.Unlock()

	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-w.got:
		return true
	case <-timer.C:
		return b.giveUp(w, element)
	}
}

// giveUp takes a wish back, unless it was fulfilled in this moment, which it reports.
func (b *Budget) giveUp(w *wish, element *list.Element) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.got:
		return true
	default:
		b.queue.Remove(element)
		b.grant() // who waited behind
		return false
	}
}

// Give gives bytes back that were taken.
func (p *Portion) Give(bytes int64) {
	b := p.budget
	if bytes == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shares.Hold(p, -bytes)
	b.grant()
}

// waits reports whether somebody waits for bytes of the portion: who comes later must not overtake him.
func (b *Budget) waits(p *Portion) bool {
	for element := b.queue.Front(); element != nil; element = element.Next() {
		if element.Value.(*wish).of == p {
			return true
		}
	}
	return false
}

// grant fulfils the wishes that can be, the longest waiting first. One that cannot holds up no other portion.
func (b *Budget) grant() {
	if b.queue.Len() == 0 {
		return
	}
	refused := map[*Portion]bool{}
	for element := b.queue.Front(); element != nil; {
		w, next := element.Value.(*wish), element.Next()
		if !refused[w.of] && b.shares.May(w.of, w.bytes) {
			b.shares.Hold(w.of, w.bytes)
			b.queue.Remove(element)
			close(w.got)
		} else {
			refused[w.of] = true
		}
		element = next
	}
}
