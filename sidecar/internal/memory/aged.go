// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package memory remembers what callbacks must be compared with: the first use of each signature, and what became of each
// message. What it keeps is counted in bytes. At its bound the oldest is forgotten, and counted: to refuse instead would let a
// burst stop the account, and to grow would let it end the process. Endpoints of one process share the bounds, and none takes the part of
// another.
//
// Each pod has a memory of its own. Which pod of a fleet remembers a message is decided elsewhere: internal/peers.
package memory

import (
	"iter"
	"time"
)

// aged keeps values until a time, or until the bytes of its pool find no room. The lock of the pool guards it.
//
// The garbage collector looks at every pointer that is kept, each time. Here it finds one in a page of entries, and those in the values.
type aged[K comparable, V any] struct {
	pool        *Pool
	held        int // bytes
	closed      bool
	index       index[K]
	pages       []*page[K, V]
	first, next uint32 // numbers of the oldest entry, and of the next one; the oldest is on the first page
	evicted     uint64
	forgotten   uint32 // the latest until of what was forgotten because it was stale; seconds since 1970
}

// Entries have numbers in the order in which they came, which begin anew behind the last one. perPage divides how many there are.
const (
	lastNumber = 1<<31 - 1
	perPage    = 8
)

type page[K comparable, V any] [perPage]entry[K, V]

type entry[K comparable, V any] struct {
	key   K
	value V
	size  uint32 // bytes
	until uint32 // seconds since 1970
}

func newAged[K comparable, V any](pool *Pool) *aged[K, V] {
	a := &aged[K, V]{pool: pool}
	a.index = newIndex(func(number uint32) K { return a.at(number).key })
	pool.join(a)
	return a
}

// at is the entry of that number, which is kept.
func (a *aged[K, V]) at(number uint32) *entry[K, V] {
	return &a.pages[(number-a.first/perPage*perPage)&lastNumber/perPage][number%perPage]
}

// get returns the value that is kept for a key, once everything is forgotten that is stale now.
func (a *aged[K, V]) get(key K, now time.Time) (value V, known bool) {
	for a.isStale(now) {
		a.forgetOldest(now)
	}
	if number, ok := a.index.find(key); ok {
		return a.at(number).value, true
	}
	return value, false
}

// set changes the value of a key that is kept.
func (a *aged[K, V]) set(key K, value V) {
	if number, ok := a.index.find(key); ok {
		a.at(number).value = value
	}
}

// newest are the entries that came last, at most so many, in the order in which they came.
func (a *aged[K, V]) newest(most int) iter.Seq[entry[K, V]] {
	return func(yield func(entry[K, V]) bool) {
		kept := int((a.next - a.first) & lastNumber)
		for n := max(0, kept-most); n < kept; n++ {
			if !yield(*a.at((a.first + uint32(n)) & lastNumber)) {
				return
			}
		}
	}
}

// largest is the part of the bound that one value may take: a larger one is forgotten at once, rather than many others.
const largest = 8

// add keeps the value of a new key, which takes so many bytes. A part of a second may be added to the time.
func (a *aged[K, V]) add(key K, value V, size int, now, until time.Time) {
	switch {
	case a.closed:
		return
	case size > a.pool.limit/largest:
		a.evicted++
		return
	}
	if a.next%perPage == 0 {
		a.pages = append(a.pages, new(page[K, V]))
	}
	number := a.next
	a.next = (number + 1) & lastNumber
	*a.at(number) = entry[K, V]{key, value, uint32(size), seconds(until)}
	a.index.add(key, number)
	a.held += size
	a.pool.bytes += size
	a.pool.makeRoom(a, now)
}

// mayHaveForgotten reports whether a value that is kept until then may have been forgotten as stale. Of what is still fresh that is so only where
// the clock has gone back.
func (a *aged[K, V]) mayHaveForgotten(until time.Time) bool { return seconds(until) <= a.forgotten }

// seconds since 1970 until a time, a part of one counting as a whole.
func seconds(until time.Time) uint32 { return uint32(until.Add(time.Second - 1).Unix()) }

func (a *aged[K, V]) size() int { return a.held }

func (a *aged[K, V]) isStale(now time.Time) bool {
	return a.first != a.next && time.Unix(int64(a.at(a.first).until), 0).Before(now)
}

func (a *aged[K, V]) forgetOldest(now time.Time) {
	oldest := a.at(a.first)
	if a.isStale(now) {
		a.forgotten = max(a.forgotten, oldest.until)
	} else {
		a.evicted++
	}
	a.index.remove(oldest.key)
	a.held -= int(oldest.size)
	a.pool.bytes -= int(oldest.size)
	*oldest = entry[K, V]{}
	if a.first = (a.first + 1) & lastNumber; a.first%perPage == 0 {
		a.pages[0] = nil
		a.pages = a.pages[1:]
	}
}

// close forgets everything, and what is added from now on.
func (a *aged[K, V]) close() {
	a.pool.mu.Lock()
	defer a.pool.mu.Unlock()
	delete(a.pool.members, a)
	a.pool.bytes -= a.held
	a.index.clear()
	a.pages, a.first, a.next, a.held, a.closed = nil, 0, 0, 0, true
}
