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
	mu     sync.Mutex
	shares *fair.Shares
	queue  list.List // of *wish, the longest waiting first
}

// Portion is what one endpoint may hold of a Budget, for its apps.
type Portion struct {
	budget *Budget
	share  *fair.Portion
}

// holder is an app of an endpoint, or the endpoint itself where the app is not known.
type holder struct {
	of  *Portion
	app string
}

// wish is somebody who waits for bytes.
type wish struct {
	holder
	piece, bytes int64         // what it has, and what it wants besides
	got          chan struct{} // closed once they are held
}

// NewBudget returns a Budget of so many bytes.
func NewBudget(size int64) *Budget { return &Budget{shares: fair.New(size)} }

// NewPortion divides the budget between one endpoint more. It has one app.
func (b *Budget) NewPortion() *Portion {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &Portion{b, b.shares.NewPortion()}
}

// Between divides the portion between so many apps.
func (p *Portion) Between(apps int) {
	p.budget.mu.Lock()
	defer p.budget.mu.Unlock()
	p.share.Between(apps)
	p.budget.grant()
}

// Close divides the budget between one endpoint less. What is held by then is given back as always.
func (p *Portion) Close() {
	p.budget.mu.Lock()
	defer p.budget.mu.Unlock()
	p.share.Close()
	p.budget.grant()
}

// Most is how many bytes an app of the endpoint can have at once, if nobody else has any.
func (p *Portion) Most() int64 {
	p.budget.mu.Lock()
	defer p.budget.mu.Unlock()
	return p.share.Most()
}

// Take takes so many bytes more for an app's piece that has so many already, and waits for them until then. It reports whether it got them;
// for more than the piece can ever have it does not wait.
func (p *Portion) Take(app string, piece, bytes int64, until time.Time) bool {
	b, who := p.budget, holder{p, app}
	b.mu.Lock()
	if !b.waits(who) && p.share.May(app, piece, bytes) {
		p.share.Hold(app, bytes)
		b.mu.Unlock()
		return true
	}
	if piece+bytes > p.share.Most() {
		b.mu.Unlock()
		return false
	}
	w := &wish{holder: who, piece: piece, bytes: bytes, got: make(chan struct{})}
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

// Give gives bytes back that were taken for an app.
func (p *Portion) Give(app string, bytes int64) {
	b := p.budget
	if bytes == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p.share.Hold(app, -bytes)
	b.grant()
}

// waits reports whether somebody waits for bytes of the same app: who comes later must not overtake him.
func (b *Budget) waits(who holder) bool {
	for element := b.queue.Front(); element != nil; element = element.Next() {
		if element.Value.(*wish).holder == who {
			return true
		}
	}
	return false
}

// grant fulfils the wishes that can be, the longest waiting first. One that cannot holds up no other app.
func (b *Budget) grant() {
	if b.queue.Len() == 0 {
		return
	}
	refused := map[holder]bool{}
	for element := b.queue.Front(); element != nil; {
		w, next := element.Value.(*wish), element.Next()
		if !refused[w.holder] && w.of.share.May(w.app, w.piece, w.bytes) {
			w.of.share.Hold(w.app, w.bytes)
			b.queue.Remove(element)
			close(w.got)
		} else {
			refused[w.holder] = true
		}
		element = next
	}
}
