// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package memory remembers what callbacks must be compared with: the first use of each signature, and what became of each
// message. What it keeps is counted in bytes. At its bound the oldest is forgotten, and counted: to refuse instead would let a
// burst stop the account, and to grow would let it end the process.
//
// The memory is each replica's own.
package memory

import "time"

// aged keeps values until a time, or until their bytes find no room. It is not safe for concurrent use.
type aged[K comparable, V any] struct {
	limit          int // bytes
	bytes          int
	entries        map[K]*entry[K, V]
	oldest, newest *entry[K, V]
	evicted        uint64
}

type entry[K comparable, V any] struct {
	key   K
	value V
	size  int   // bytes
	until int64 // nanoseconds since 1970
	next  *entry[K, V]
}

func newAged[K comparable, V any](limit int) aged[K, V] {
	return aged[K, V]{limit: limit, entries: map[K]*entry[K, V]{}}
}

// get returns the value that is kept for a key, once everything is forgotten that is stale now.
func (a *aged[K, V]) get(key K, now time.Time) (value V, known bool) {
	for a.oldest != nil && a.oldest.until < now.UnixNano() {
		a.forgetOldest()
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
	if size > a.limit/largest {
		a.evicted++
		return
	}
	added := &entry[K, V]{key: key, value: value, size: size, until: until.UnixNano()}
	if a.newest == nil {
		a.oldest = added
	} else {
		a.newest.next = added
	}
	a.entries[key], a.newest, a.bytes = added, added, a.bytes+size
	for a.bytes > a.limit {
		if a.oldest.until >= now.UnixNano() {
			a.evicted++
		}
		a.forgetOldest()
	}
}

func (a *aged[K, V]) forgetOldest() {
	oldest := a.oldest
	delete(a.entries, oldest.key)
	a.bytes -= oldest.size
	if a.oldest = oldest.next; a.oldest == nil {
		a.newest = nil
	}
}
