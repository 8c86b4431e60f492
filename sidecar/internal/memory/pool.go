// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"sync"
	"time"
)

// Pool is how many bytes all endpoints of a process may remember of one kind. Where there is no more room, the oldest is forgotten of
// whoever remembers more than his part of the pool: one that adds much forgets its own, and leaves the others theirs. The zero value
// has no room; it is safe for concurrent use.
type Pool struct {
	limit int

	mu      sync.Mutex
	bytes   int
	members map[member]bool
}

// member is what one endpoint remembers.
type member interface {
	size() int // bytes
	// forgetOldest forgets one, and counts it if it is not stale.
	forgetOldest(now time.Time)
	// isStale reports whether the oldest is.
	isStale(now time.Time) bool
}

// NewPool returns a Pool of so many bytes.
func NewPool(limit int) *Pool { return &Pool{limit: limit, members: map[member]bool{}} }

func (p *Pool) join(m member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.members[m] = true
}

// makeRoom forgets until the bound is kept. Added is the member that has just grown.
func (p *Pool) makeRoom(added member, now time.Time) {
	for p.bytes > p.limit {
		p.loser(added, now).forgetOldest(now)
	}
}

// loser is the member that forgets: whoever adds beyond his part, or else one that remembers what is stale, or else the largest.
func (p *Pool) loser(added member, now time.Time) member {
	if added.size()*len(p.members) > p.limit {
		return added
	}
	largest := added
	for m := range p.members {
		if m.size() > 0 && m.isStale(now) {
			return m
		}
		if m.size() > largest.size() {
			largest = m
		}
	}
	return largest
}
