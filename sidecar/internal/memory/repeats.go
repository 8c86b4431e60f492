// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"crypto/sha256"
	"time"
)

// repeatCost is what a settled delivery takes beside its reply: its entry, its place in the index, and the value. Bytes; a test
// measures it.
const repeatCost = 216

// Key names a message: the hash of what was verified.
type Key = [sha256.Size]byte

// Repeats joins the repeats of a message to the delivery that goes on for the first of them, and keeps it after its success, so
// that a repeat gets the same reply and the app sees the message once. It is safe for concurrent use.
type Repeats[T any] struct {
	going   map[Key]going[T] // bounded by the callbacks that wait for them
	settled *aged[Key, T]    // whose lock guards both
}

type going[T any] struct {
	value T
	until time.Time
}

// NewRepeats returns Repeats whose settled deliveries take their bytes from a pool.
func NewRepeats[T any](pool *Pool) *Repeats[T] {
	return &Repeats[T]{going: map[Key]going[T]{}, settled: newAged[Key, T](pool)}
}

// Claim returns the delivery of a message, and whether it is a repeat's. For a first one it calls start, which must return
// at once; until then, nobody else gets in. The delivery is kept until the given time, if Keep is called for it. This memory never
// fails.
func (r *Repeats[T]) Claim(_ context.Context, key Key, now, until time.Time, start func() T) (value T, repeated bool, err error) {
	r.settled.pool.mu.Lock()
	defer r.settled.pool.mu.Unlock()
	if first, ok := r.going[key]; ok {
		return first.value, true, nil
	}
	if value, known := r.settled.get(key, now); known {
		return value, true, nil
	}
	value = start()
	r.going[key] = going[T]{value, until}
	return value, false, nil
}

// Claimed reports whether the message is known: its delivery goes on, or was kept.
func (r *Repeats[T]) Claimed(key Key, now time.Time) bool {
	r.settled.pool.mu.Lock()
	defer r.settled.pool.mu.Unlock()
	if _, ok := r.going[key]; ok {
		return true
	}
	_, known := r.settled.get(key, now)
	return known
}

// Keep says that a delivery has ended well: repeats get the value, with which size bytes are kept.
func (r *Repeats[T]) Keep(key Key, value T, size int, now time.Time) {
	r.settled.pool.mu.Lock()
	defer r.settled.pool.mu.Unlock()
	if ended, ok := r.going[key]; ok {
		delete(r.going, key)
		r.settled.add(key, value, repeatCost+size, now, ended.until)
	}
}

// Forget says that a delivery has failed: the next repeat begins anew.
func (r *Repeats[T]) Forget(key Key) {
	r.settled.pool.mu.Lock()
	defer r.settled.pool.mu.Unlock()
	delete(r.going, key)
}

// Evicted returns how many replies were forgotten before their messages were stale.
func (r *Repeats[T]) Evicted() uint64 {
	r.settled.pool.mu.Lock()
	defer r.settled.pool.mu.Unlock()
	return r.settled.evicted
}
