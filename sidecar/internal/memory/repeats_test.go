// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"encoding/binary"
	"testing"
	"time"
)

// start returns a delivery that is told from others by its number.
func start(n int) func() int { return func() int { return n } }

// claimed is the answer of a memory that never fails.
func claimed[T any](r *Repeats[T], key Key, now, until time.Time, start func() T) (value T, repeated bool) {
	value, repeated, err := r.Claim(context.Background(), key, now, until, start)
	if err != nil {
		panic(err)
	}
	return value, repeated
}

// roomFor is a bound for so many deliveries with replies of 100 bytes.
func roomFor(deliveries int) int { return deliveries * (repeatCost + 100) }

func TestARepeatGetsTheDeliveryOfTheFirst(t *testing.T) {
	for name, test := range map[string]struct {
		settle func(*Repeats[int])
		later  time.Duration
		want   int // the delivery that the second gets; 2 is its own
	}{
		"while it is under way":        {func(*Repeats[int]) {}, time.Hour, 1},
		"after its success":            {func(r *Repeats[int]) { r.Keep(Key{1}, 10, 1, now) }, time.Minute, 10},
		"but not once it is stale":     {func(r *Repeats[int]) { r.Keep(Key{1}, 10, 1, now) }, time.Minute + 1, 2},
		"nor after its failure":        {func(r *Repeats[int]) { r.Forget(Key{1}) }, 0, 2},
		"nor once memory is short":     {func(r *Repeats[int]) { r.Keep(Key{1}, 10, roomFor(16), now) }, 0, 2},
		"and others' ends are nothing": {func(r *Repeats[int]) { r.Forget(Key{2}); r.Keep(Key{3}, 10, 1, now) }, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewRepeats[int](NewPool(roomFor(16)))
			if value, repeated := claimed(r, Key{1}, now, now.Add(time.Minute), start(1)); value != 1 || repeated {
				t.Fatalf("the first got %d %v", value, repeated)
			}
			test.settle(r)
			later := now.Add(test.later)
			if value, repeated := claimed(r, Key{1}, later, later, start(2)); value != test.want || repeated != (value != 2) {
				t.Errorf("the second got %d %v", value, repeated)
			}
		})
	}
}

func TestTheOldestReplyIsForgottenFirst(t *testing.T) {
	const room = 10
	r := NewRepeats[int](NewPool(roomFor(room)))
	for n := range byte(room + 1) {
		claimed(r, Key{n}, now, now.Add(time.Minute), start(int(n)))
		r.Keep(Key{n}, int(n), 100, now)
	}
	for n, want := range map[byte]bool{1: true, room: true, 0: false} {
		if _, repeated := claimed(r, Key{n}, now, now, start(9)); repeated != want {
			t.Errorf("message %d is known: %v", n, repeated)
		}
	}
	if r.Evicted() != 1 || r.settled.held != roomFor(room) {
		t.Errorf("%d evicted, %d bytes are kept; want 1, %d", r.Evicted(), r.settled.held, roomFor(room))
	}
}

// TestOneReplyThatIsTooLargeIsForgottenAlone, and not many others for it.
func TestOneReplyThatIsTooLargeIsForgottenAlone(t *testing.T) {
	r := NewRepeats[int](NewPool(roomFor(16)))
	for n, size := range []int{100, roomFor(16)/largest - repeatCost + 1, roomFor(16)/largest - repeatCost} {
		claimed(r, Key{byte(n)}, now, now.Add(time.Minute), start(n))
		r.Keep(Key{byte(n)}, n, size, now)
	}
	for n, want := range map[byte]bool{0: true, 1: false, 2: true} {
		if _, repeated := claimed(r, Key{n}, now, now, start(9)); repeated != want {
			t.Errorf("message %d is known: %v", n, repeated)
		}
	}
	if r.Evicted() != 1 {
		t.Errorf("%d evicted, want 1", r.Evicted())
	}
}

// TestWhatIsStaleIsNotCountedAsForgotten, also where it finds no room behind an entry that is fresh for longer.
func TestWhatIsStaleIsNotCountedAsForgotten(t *testing.T) {
	const room = 10
	r := NewRepeats[int](NewPool(roomFor(room)))
	keep := func(n byte, size int, now time.Time, fresh time.Duration) {
		claimed(r, Key{n}, now, now.Add(fresh), start(int(n)))
		r.Keep(Key{n}, int(n), size, now)
	}
	keep(0, 100, now, time.Hour)
	for n := range byte(room - 1) {
		keep(1+n, 100, now, time.Minute)
	}
	for n := range byte(3) {
		keep(100+n, 170, now.Add(2*time.Minute), time.Hour) // the first takes the place of 0, and of one that is stale
	}
	if r.Evicted() != 1 {
		t.Errorf("%d evicted, want 1: the others were stale", r.Evicted())
	}
}

// TestARepeatCountsForWhatItTakes measures the memory of many settled deliveries.
func TestARepeatCountsForWhatItTakes(t *testing.T) {
	type delivery struct{ _ [144]byte } // what the sidecar keeps of one
	const n = justGrown
	r := NewRepeats[*delivery](NewPool(2 * n * repeatCost))
	taken := measure(func() {
		for i := range n {
			var key Key
			binary.BigEndian.PutUint64(key[:], uint64(i)*0x9e3779b97f4a7c15)
			claimed(r, key, now, now.Add(time.Minute), func() *delivery { return nil })
			r.Keep(key, new(delivery), 0, now)
		}
	})
	t.Logf("%d bytes each, counted are %d", taken/n, repeatCost)
	if kept := r.settled.index.len; kept != n || taken > n*repeatCost {
		t.Errorf("%d deliveries take more than is counted", kept)
	}
}
