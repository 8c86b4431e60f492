// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package memory remembers what callbacks must be compared with: the first use of each signature, and what became of each
// message. What it keeps is counted in bytes. At its bound the oldest is forgotten, and counted: to refuse instead would let a
// burst stop the account, and to grow would let it end the process. Endpoints of one process share the bounds, and none takes the part of
// another.
//
// The memory is each replica's own.
package memory

import "time"

// aged keeps values until a time, or until the bytes of its pool find no room. The lock of the pool guards it.
type aged[K comparable, V any] struct {
	pool           *Pool
	held           int // bytes
	closed         bool
	entries        map[K]*entry[K, V]
	oldest, newest *entry[K, V]
	evicted        uint64
	forgotten      int64 // the latest until of what was forgotten because it was stale; nanoseconds since 1970
}

type entry[K comparable, V any] struct {
	key   K
	value V
	size  int   // bytes
	until int64 // nanoseconds since 1970
	next  *entry[K, V]
}

func newAged[K comparable, V any](pool *Pool) *aged[K, V] {
	a := &aged[K, V]{pool: pool, entries: map[K]*entry[K, V]{}}
	pool.join(a)
	return a
}

// get returns the value that is kept for a key, once everything is forgotten that is stale now.
func (a *aged[K, V]) get(key K, now time.Time) (value V, known bool) {
	for a.isStale(now) {
		a.forgetOldest(now)
	}
	if found, ok := a.entries[key]; ok {
		return found.value, true
	}
	return value, false
}

// largest is the part of the bound that one value may take: a larger one is forgotten at once, rather than many others.
const largest = 8

// add keeps the value of a new key, which takes so many bytes.
func (a *aged[K, V]) add(key K, value V, size int, now, until time.Time) {
	switch {
	case a.closed:
		return
	case size > a.pool.limit/largest:
		a.evicted++
		return
	}
	added := &entry[K, V]{key: key, value: value, size: size, until: until.UnixNano()}
	if a.newest == nil {
		a.oldest = added
	} else {
		a.newest.next = added
	}
	a.entries[key], a.newest = added, added
	a.held += size
	a.pool.bytes += size
	a.pool.makeRoom(a, now)
}

// mayHaveForgotten reports whether a value that is kept until then may have been forgotten as stale. Of what is still fresh that is so only where
// the clock has gone back.
func (a *aged[K, V]) mayHaveForgotten(until time.Time) bool { return until.UnixNano() <= a.forgotten }

func (a *aged[K, V]) size() int { return a.held }

func (a *aged[K, V]) isStale(now time.Time) bool {
	return a.oldest != nil && a.oldest.until < now.UnixNano()
}

func (a *aged[K, V]) forgetOldest(now time.Time) {
	oldest := a.oldest
	if a.isStale(now) {
		a.forgotten = max(a.forgotten, oldest.until)
	} else {
		a.evicted++
	}
	delete(a.entries, oldest.key)
	a.held -= oldest.size
	a.pool.bytes -= oldest.size
	if a.oldest = oldest.next; a.oldest == nil {
		a.newest = nil
	}
}

// close forgets everything, and what is added from now on.
func (a *aged[K, V]) close() {
	a.pool.mu.Lock()
	defer a.pool.mu.Unlock()
	delete(a.pool.members, a)
	a.pool.bytes -= a.held
	a.entries, a.oldest, a.newest, a.held, a.closed = nil, nil, nil, 0, true
}
