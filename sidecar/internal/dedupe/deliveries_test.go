// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package dedupe

import (
	"testing"
	"time"
)

// start returns a delivery that is told from others by its number.
func start(n int) func() int { return func() int { return n } }

func TestARepeatGetsTheDeliveryOfTheFirst(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for name, test := range map[string]struct {
		settle   func(*Deliveries[int])
		later    time.Duration
		repeated bool
	}{
		"while it is under way":        {func(*Deliveries[int]) {}, time.Hour, true},
		"after its success":            {func(d *Deliveries[int]) { d.Settle(Key{1}, true, 1) }, time.Minute, true},
		"but not once it is stale":     {func(d *Deliveries[int]) { d.Settle(Key{1}, true, 1) }, time.Minute + 1, false},
		"nor after its failure":        {func(d *Deliveries[int]) { d.Settle(Key{1}, false, 0) }, 0, false},
		"nor once memory is short":     {func(d *Deliveries[int]) { d.Settle(Key{1}, true, MaxReplyBytes+1) }, 0, false},
		"and others' ends are nothing": {func(d *Deliveries[int]) { d.Settle(Key{2}, false, 0) }, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := NewDeliveries[int]()
			if value, repeated := d.Join(Key{1}, now, now.Add(time.Minute), start(1)); value != 1 || repeated {
				t.Fatalf("the first got %d %v", value, repeated)
			}
			test.settle(d)
			later := now.Add(test.later)
			if value, repeated := d.Join(Key{1}, later, later, start(2)); repeated != test.repeated || repeated != (value == 1) {
				t.Errorf("the second got %d %v", value, repeated)
			}
		})
	}
}

func TestTheOldestReplyIsForgottenFirst(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	d := NewDeliveries[int]()
	for n := range byte(3) {
		d.Join(Key{n}, now, now.Add(time.Minute), start(int(n)))
		d.Settle(Key{n}, true, MaxReplyBytes/2)
	}
	for n, want := range map[byte]bool{1: true, 2: true, 0: false} {
		if _, repeated := d.Join(Key{n}, now, now, start(9)); repeated != want {
			t.Errorf("message %d is known: %v", n, repeated)
		}
	}
	if d.Evicted() != 1 {
		t.Errorf("%d evicted, want 1", d.Evicted())
	}
}

func TestRepliesAreCountedToo(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	d := NewDeliveries[int]()
	for n := range MaxDeliveries + 1 {
		key := Key{byte(n), byte(n >> 8)}
		d.Join(key, now, now.Add(time.Minute), start(n))
		d.Settle(key, true, 0)
	}
	if d.Evicted() != 1 {
		t.Errorf("%d evicted, want 1", d.Evicted())
	}
}
