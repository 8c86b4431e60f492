// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package dedupe

import (
	"container/list"
	"sync"
	"time"
)

// Bounds of the remembered deliveries. A reply of a text has about 300 bytes.
const (
	MaxDeliveries = 1 << 14 // entries that are over; those under way are bounded by their connections
	MaxReplyBytes = 8 << 20 // of their replies
)

// Deliveries joins the repeats of a message to the delivery that goes on for the first of them, and keeps it after its
// success, so that a repeat gets the same reply and the app sees the message once. It is safe for concurrent use.
type Deliveries[T any] struct {
	mu      sync.Mutex
	entries map[Key]*delivery[T]
	settled *list.List // of *delivery[T], oldest first
	bytes   int
	evicted uint64
}

// Key names a message: the hash of what was verified.
type Key = digest

type delivery[T any] struct {
	key     Key
	value   T
	until   time.Time
	size    int
	settled *list.Element // nil while it is under way
}

// NewDeliveries returns an empty Deliveries.
func NewDeliveries[T any]() *Deliveries[T] {
	return &Deliveries[T]{entries: map[Key]*delivery[T]{}, settled: list.New()}
}

// Join returns the delivery of a message, and whether it is a repeat's. For a first one it calls start, which must return
// at once; until then, nobody else gets in. The delivery is kept until the given time, if it is settled as kept.
func (d *Deliveries[T]) Join(key Key, now, until time.Time, start func() T) (value T, repeated bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expire(now)
	if entry, ok := d.entries[key]; ok {
		return entry.value, true
	}
	entry := &delivery[T]{key: key, value: start(), until: until}
	d.entries[key] = entry
	return entry.value, false
}

// Settle says how a delivery ended: kept, with a reply of that many bytes, or forgotten, so that the next repeat begins
// anew. At a limit the oldest kept one is forgotten, and counted.
func (d *Deliveries[T]) Settle(key Key, keep bool, size int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	entry, ok := d.entries[key]
	if !ok {
		return
	}
	if !keep {
		delete(d.entries, key)
		return
	}
	entry.size = size
	d.bytes += size
	entry.settled = d.settled.PushBack(entry)
	for d.settled.Len() > MaxDeliveries || d.bytes > MaxReplyBytes {
		d.forget(d.settled.Front())
		d.evicted++
	}
}

// Evicted returns how many replies were forgotten before their messages were stale.
func (d *Deliveries[T]) Evicted() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.evicted
}

// expire forgets from the oldest on what is stale; an entry that outlives its turn is one of a few.
func (d *Deliveries[T]) expire(now time.Time) {
	for front := d.settled.Front(); front != nil && front.Value.(*delivery[T]).until.Before(now); front = d.settled.Front() {
		d.forget(front)
	}
}

func (d *Deliveries[T]) forget(element *list.Element) {
	entry := d.settled.Remove(element).(*delivery[T])
	d.bytes -= entry.size
	delete(d.entries, entry.key)
}
