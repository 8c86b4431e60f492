// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"testing"
	"time"
)

// remember lets an endpoint remember uses of so many signatures, from one on.
func remember(u *Uses, from, n int, until time.Time) {
	for i := range n {
		used(u, signatureOf(from+i), "POST", []byte("a"), now, until)
	}
}

// knows reports whether a use is remembered: another body is refused.
func knows(u *Uses, n int) bool { return !used(u, signatureOf(n), "POST", []byte("b"), now, now) }

func TestOneThatAddsMuchForgetsItsOwn(t *testing.T) {
	pool := NewPool(100 * useCost)
	quiet, loud := NewUses(pool), NewUses(pool)
	fresh := now.Add(time.Minute)
	remember(quiet, 0, 40, fresh)
	remember(loud, 1000, 500, fresh)
	if quiet.Len() != 40 || quiet.Evicted() != 0 || loud.Len() != 60 || loud.Evicted() != 440 {
		t.Errorf("the quiet one has %d and lost %d, the loud one has %d and lost %d", quiet.Len(), quiet.Evicted(), loud.Len(), loud.Evicted())
	}
	if !knows(quiet, 0) || !knows(loud, 1499) {
		t.Error("what is remembered is not what should be")
	}
	remember(quiet, 40, 10, fresh)
	if quiet.Len() != 50 || quiet.Evicted() != 0 || loud.Len() != 50 {
		t.Errorf("the quiet one has %d of its part, the loud one %d", quiet.Len(), loud.Len())
	}
}

func TestWhatIsStaleGoesFirst(t *testing.T) {
	pool := NewPool(100 * useCost)
	idle, busy, other := NewUses(pool), NewUses(pool), NewUses(pool)
	remember(idle, 0, 30, now.Add(-time.Second))
	remember(busy, 1000, 70, now.Add(time.Minute))
	remember(other, 2000, 30, now.Add(time.Minute))
	if idle.Len() != 0 || idle.Evicted() != 0 || busy.Len() != 70 || other.Len() != 30 {
		t.Errorf("there are %d stale ones, %d and %d fresh ones", idle.Len(), busy.Len(), other.Len())
	}
}

func TestWhoLeavesGivesHisBytesBack(t *testing.T) {
	uses, repeats := NewPool(10*useCost), NewPool(10*(repeatCost+100))
	leaving, staying := NewLocal[int](uses, repeats), NewLocal[int](uses, repeats)
	remember(leaving.Uses, 0, 5, now.Add(time.Minute))
	leaving.Close()
	remember(leaving.Uses, 10, 5, now.Add(time.Minute)) // a callback that is still under way
	remember(staying.Uses, 20, 10, now.Add(time.Minute))
	if uses.bytes != 10*useCost || staying.Uses.Evicted() != 0 || leaving.Len() != 0 {
		t.Errorf("%d bytes are counted; %d evicted; who has left has %d", uses.bytes, staying.Uses.Evicted(), leaving.Len())
	}
}
