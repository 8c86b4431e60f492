// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dedupe remembers what a signature was used for.
//
// In plaintext mode a signature does not cover the body. Whoever reads one query string in a log could post any body with
// it until its timestamp is stale. Bindings ties the three signed values to the first body that came with them: WeChat's
// own repeats carry the same body and pass, another body does not. A query string that was seen on a URL check is never
// good for a message. The memory is per replica and bounded; both limits are told in the specification of the resource.
package dedupe

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// DefaultLimit holds five minutes of 200 messages per second, in about 10 MiB. Entries.
const DefaultLimit = 1 << 16

// Bindings remembers the first use of each triple until it is stale. It is safe for concurrent use.
type Bindings struct {
	limit int

	mu      sync.Mutex
	entries map[digest]*list.Element // of *binding
	order   *list.List               // oldest first
	evicted uint64
}

type (
	digest  = [sha256.Size]byte
	binding struct {
		triple, use digest
		until       time.Time
	}
)

// New returns an empty Bindings of at most limit entries.
func New(limit int) *Bindings {
	return &Bindings{limit: limit, entries: make(map[digest]*list.Element), order: list.New()}
}

// Bind reports whether the triple may be used with this method and body: it is the first use, or the same use as the
// first. The caller has verified the triple; an unverified one must not take up memory. The use is remembered until the
// given time, when the request would be refused as stale.
//
// At the limit the oldest entry is forgotten, and counted: to refuse instead would let a burst stop the account.
func (b *Bindings) Bind(triple wechat.Triple, method string, body []byte, now, until time.Time) bool {
	key, use := tripleDigest(triple), useDigest(method, body)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expire(now)
	if element, ok := b.entries[key]; ok {
		return element.Value.(*binding).use == use
	}
	if len(b.entries) >= b.limit {
		b.remove(b.order.Front())
		b.evicted++
	}
	b.entries[key] = b.order.PushBack(&binding{triple: key, use: use, until: until})
	return true
}

// Len returns the number of remembered uses.
func (b *Bindings) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.entries)
}

// Evicted returns how many uses were forgotten before they were stale.
func (b *Bindings) Evicted() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.evicted
}

// expire forgets from the oldest on what is stale. Timestamps come nearly in order, so that an entry which outlives its
// turn is one of a few.
func (b *Bindings) expire(now time.Time) {
	for front := b.order.Front(); front != nil && front.Value.(*binding).until.Before(now); front = b.order.Front() {
		b.remove(front)
	}
}

func (b *Bindings) remove(element *list.Element) {
	delete(b.entries, b.order.Remove(element).(*binding).triple)
}

// tripleDigest hashes with separators that the values cannot hold, so that no two triples share a key.
func tripleDigest(t wechat.Triple) digest {
	return sha256.Sum256([]byte(t.Timestamp + "\x00" + t.Nonce + "\x00" + t.Signature))
}

// useDigest tells a URL check from every message, and two messages by their bodies.
func useDigest(method string, body []byte) digest {
	hash := sha256.New()
	hash.Write([]byte(method))
	hash.Write([]byte{0})
	hash.Write(body)
	return digest(hash.Sum(nil))
}
