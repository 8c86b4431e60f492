// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

// Local is the memory of one endpoint in one process. It is safe for concurrent use.
type Local[T any] struct {
	*Uses
	*Repeats[T]
}

// NewLocal returns a memory that takes the bytes of its uses and of its settled deliveries from two pools.
func NewLocal[T any](uses, repeats *Pool) Local[T] {
	return Local[T]{NewUses(uses), NewRepeats[T](repeats)}
}

// EvictedUses returns how many uses were forgotten before they were stale.
func (l Local[T]) EvictedUses() uint64 { return l.Uses.Evicted() }

// EvictedReplies returns how many replies were.
func (l Local[T]) EvictedReplies() uint64 { return l.Repeats.Evicted() }

// Close gives back to the pools what they lent. The memory remembers nothing more.
func (l Local[T]) Close() {
	l.uses.close()
	l.settled.close()
}
