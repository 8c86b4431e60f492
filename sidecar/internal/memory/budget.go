// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"
)

// Budget is how many bytes may be held at once for one purpose. It is safe for concurrent use.
type Budget struct {
	size int64
	free *semaphore.Weighted
}

// NewBudget returns a Budget of so many bytes.
func NewBudget(size int64) *Budget { return &Budget{size, semaphore.NewWeighted(size)} }

// Take takes so many bytes, and waits for them until then. It reports whether it got them; more than there are in all it does not
// wait for.
func (b *Budget) Take(bytes int64, until time.Time) bool {
	if bytes > b.size {
		return false
	}
	if b.free.TryAcquire(bytes) {
		return true
	}
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	return b.free.Acquire(ctx, bytes) == nil
}

// Give gives bytes back that were taken.
func (b *Budget) Give(bytes int64) { b.free.Release(bytes) }
