// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package taps lets people with an endpoint's gateway key look at its messages as they come. What became of the last callbacks is remembered always,
// without content; messages are copied only while a tap of their endpoint is open, or while they are kept. Nobody who brings a callback waits for
// somebody who reads: what does not fit is dropped and counted.
package taps

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
)

// How many taps there can be at once, of an endpoint and of a process.
const (
	MaxOfEndpoint = 4
	MaxOfProcess  = 16
)

// maxNonces is how many taps of an endpoint can be opened within the time in which a proof is fresh.
const maxNonces = 128

// Process is what the taps of all endpoints have in common.
type Process struct {
	// Dropped is called for each line that does not fit. It is set before the first tap is opened.
	Dropped func()

	recent *recent
	room   room

	mu       sync.Mutex
	open     map[*Tap]bool
	keeping  map[*Endpoint]time.Time
	draining bool
}

// New returns a Process that remembers so many verdicts, half of them of what was refused, and whose copies of messages take so many bytes.
func New(verdicts int, bytes int64) *Process {
	return &Process{recent: newRecent(verdicts), room: room{size: bytes}, open: map[*Tap]bool{}, keeping: map[*Endpoint]time.Time{}}
}

// Open is how many taps are open.
func (p *Process) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// KeepsUntil is until when messages of any endpoint are kept; zero where none are.
func (p *Process) KeepsUntil() (last time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, until := range p.keeping {
		if until.After(last) {
			last = until
		}
	}
	return last
}

// Drain ends every tap, and opens none any more.
func (p *Process) Drain() {
	p.mu.Lock()
	p.draining = true
	open := p.open
	p.open = map[*Tap]bool{}
	p.mu.Unlock()
	for t := range open {
		t.end(tap.EndDrain)
	}
}

func (p *Process) enter(t *Tap) tap.Refusal {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.draining:
		return tap.Ended
	case len(p.open) >= MaxOfProcess:
		return tap.Full
	}
	p.open[t] = true
	return ""
}

func (p *Process) leave(t *Tap) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, t)
}

func (p *Process) keeps(e *Endpoint, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until.IsZero() {
		delete(p.keeping, e)
		return
	}
	p.keeping[e] = until
}

// Endpoint is what taps see of one endpoint. It is safe for concurrent use.
type Endpoint struct {
	process *Process
	name    string

	// listeners are those that messages are copied for; nil where there are none. It is changed under mu, and what it leads to never.
	listeners atomic.Pointer[listeners]

	mu     sync.Mutex
	key    []byte // the gateway key; nil opens nothing
	closed bool
	*opened
}

// opened is what an endpoint has since its first tap was opened; nil before.
type opened struct {
	taps   map[string]*Tap
	nonces map[[tap.NonceSize]byte]time.Time
	kept   *kept
	expiry *time.Timer // of what is kept
}

type listeners struct {
	taps []*Tap
	kept *kept
}

// NewEndpoint returns what taps see of the endpoint of that name.
func (p *Process) NewEndpoint(name string) *Endpoint {
	return &Endpoint{process: p, name: name}
}

// Follow says which gateway key the endpoint has. With another one, all that was opened with the former ends, and what was kept is forgotten.
func (e *Endpoint) Follow(gatewayKey []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || hmac.Equal(gatewayKey, e.key) {
		return
	}
	e.key = gatewayKey
	e.endAll(tap.EndKey)
}

// Close ends all taps, and opens none any more.
func (e *Endpoint) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed, e.key = true, nil
	e.endAll(tap.EndServed)
}

func (e *Endpoint) endAll(why tap.End) {
	if e.opened == nil {
		return
	}
	for _, t := range e.taps {
		e.process.leave(t)
		t.end(why)
	}
	e.forget()
	e.opened = nil
	e.listeners.Store(nil)
}

// forget ends what is kept.
func (e *Endpoint) forget() {
	if e.kept == nil {
		return
	}
	e.expiry.Stop()
	e.kept.close()
	e.kept, e.expiry = nil, nil
	e.process.keeps(e, time.Time{})
}

// publish says whom messages are copied for.
func (e *Endpoint) publish() {
	l := &listeners{kept: e.kept}
	for _, t := range e.taps {
		l.taps = append(l.taps, t)
	}
	if l.kept == nil && len(l.taps) == 0 {
		l = nil
	} else {
		slices.SortFunc(l.taps, func(a, b *Tap) int { return a.opened.Compare(b.opened) })
	}
	e.listeners.Store(l)
}

// Verify says why a request is not from somebody with the endpoint's gateway key, who asks this pod, now; empty if it is.
func (e *Endpoint) Verify(proof tap.Proof, of tap.Asked, own []netip.Addr, now time.Time) tap.Refusal {
	e.mu.Lock()
	key := e.key
	e.mu.Unlock()
	switch {
	case !proof.Verify(tap.NewKey(key), of):
		return tap.Forbidden
	case !proof.Fresh(now):
		return tap.Stale
	case !slices.Contains(own, proof.To):
		return tap.OtherPod
	}
	return ""
}

// Open opens a tap for a request that Verify passes, once. Whoever gets it closes it.
func (e *Endpoint) Open(proof tap.Proof, of tap.Asked, q tap.Query, now time.Time) (*Tap, tap.Refusal) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !proof.Verify(tap.NewKey(e.key), of) { // it was changed meanwhile
		return nil, tap.Forbidden
	}
	if e.opened == nil {
		e.opened = &opened{taps: map[string]*Tap{}, nonces: map[[tap.NonceSize]byte]time.Time{}}
	}
	if refusal := e.use(proof, now); refusal != "" {
		return nil, refusal
	}
	if len(e.taps) >= MaxOfEndpoint {
		return nil, tap.Full
	}
	long := q.For
	if long <= 0 || long > tap.MaxTime {
		long = tap.MaxTime
	}
	t := &Tap{
		endpoint: e, query: q, id: rand.Text(), opened: now, Until: now.Add(long), takes: map[string]bool{}, turns: map[uint64]chan answered{},
		wake: make(chan struct{}, 1),
	}
	for _, user := range q.Take {
		t.takes[user] = true
	}
	if refusal := e.process.enter(t); refusal != "" {
		return nil, refusal
	}
	if q.Keep > 0 {
		e.keep(now, q.Keep)
	}
	if q.Follow {
		e.taps[t.id] = t
	}
	e.publish()
	t.begin(e.kept)
	return t, ""
}

// use reports how a nonce was used before. It is remembered for as long as its proof is fresh.
func (e *Endpoint) use(proof tap.Proof, now time.Time) tap.Refusal {
	for nonce, at := range e.nonces {
		if now.Sub(at) > tap.Window {
			delete(e.nonces, nonce)
		}
	}
	if _, used := e.nonces[proof.Nonce]; used {
		return tap.Used
	}
	if len(e.nonces) >= maxNonces {
		return tap.Full
	}
	e.nonces[proof.Nonce] = proof.At
	return ""
}

// keep keeps messages for so long from now on.
func (e *Endpoint) keep(now time.Time, long time.Duration) {
	long = min(long, tap.MaxTime)
	if e.kept == nil {
		e.kept = &kept{room: &e.process.room}
	} else {
		e.expiry.Stop()
	}
	mine := e.kept
	e.kept.until = now.Add(long)
	e.process.keeps(e, e.kept.until)
	e.expiry = time.AfterFunc(long, func() { e.expire(mine, now.Add(long)) })
}

func (e *Endpoint) expire(mine *kept, until time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.opened != nil && e.kept == mine && mine.until.Equal(until) {
		e.forget()
		e.publish()
	}
}

// close ends one tap.
func (e *Endpoint) close(t *Tap, why tap.End) {
	e.mu.Lock()
	if e.opened != nil && e.taps[t.id] == t {
		delete(e.taps, t.id)
		e.publish()
	}
	e.mu.Unlock()
	e.process.leave(t)
	t.end(why)
}

// Status is what is told of the taps of an endpoint.
type Status struct {
	Open, Taken int       // how many are open, and how many users they take
	Until       time.Time // when the last of them ends
	KeepsUntil  time.Time
	KeptBytes   int64
}

// Status tells of the taps that are open, and of what is kept. The zero value is nothing.
func (e *Endpoint) Status() (s Status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.opened == nil {
		return Status{}
	}
	users := map[string]bool{}
	for _, t := range e.taps {
		s.Open++
		if t.Until.After(s.Until) {
			s.Until = t.Until
		}
		for user := range t.takes {
			users[user] = true
		}
	}
	s.Taken = len(users)
	if e.kept != nil {
		s.KeepsUntil, s.KeptBytes = e.kept.until, e.kept.bytes()
	}
	return s
}

// Listened reports whether somebody looks at messages, or they are kept. It costs one atomic load.
func (e *Endpoint) Listened() bool { return e.listeners.Load() != nil }

// Record remembers what became of a callback, and shows it to open taps.
func (e *Endpoint) Record(v Verdict) {
	one := v.remembered(e.name)
	one.seq = e.process.recent.add(&one)
	l := e.listeners.Load()
	if l == nil {
		return
	}
	for _, t := range l.taps {
		verdict := one
		t.push(item{verdict: &verdict, size: VerdictSize})
	}
}

// Result says who answers a message that was shown.
type Result string

// Results.
const (
	NotTaken Result = ""         // no tap takes the sender
	Answered Result = "answered" // by whoever reads the tap
	Declined Result = "declined" // he leaves it to the app
	Late     Result = "late"     // he did not answer in time
	Gone     Result = "gone"     // his tap ended meanwhile, or he does not read
)

// Results are what becomes of a message whose sender a tap takes.
var Results = []Result{Answered, Declined, Late, Gone}

// Show copies a message for those who look. If one of them takes its sender, it waits for his answer, until then at the longest; without, it waits for
// nobody.
func (e *Endpoint) Show(ctx context.Context, m Message, user string, until time.Time) (reply []byte, result Result) {
	l := e.listeners.Load()
	if l == nil {
		return nil, NotTaken
	}
	one := m.copied()
	if l.kept != nil {
		one.seq = l.kept.add(one)
	}
	var taker *Tap
	var answer chan answered
	var turn uint64
	for _, t := range l.taps {
		if !t.query.Messages {
			continue
		}
		if answer == nil && t.takes[user] {
			taker = t
			if turn, answer = t.pushTurn(one, until); answer != nil {
				continue
			}
		}
		t.push(item{message: one, size: one.size()})
	}
	switch {
	case taker == nil:
		return nil, NotTaken
	case answer == nil:
		return nil, Gone
	}
	return taker.await(ctx, turn, answer, until)
}

// Answer takes what was answered to a message that a tap took. It is taken once.
func (e *Endpoint) Answer(a tap.Answer, reply []byte) tap.Refusal {
	var t *Tap
	e.mu.Lock()
	if e.opened != nil {
		t = e.taps[a.Tap]
	}
	e.mu.Unlock()
	if t == nil || !t.answer(a.Turn, answered{reply: reply, declined: a.Declined}) {
		return tap.Ended
	}
	return ""
}
