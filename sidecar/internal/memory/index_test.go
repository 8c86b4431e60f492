// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestAnIndexFindsWhatAMapFinds, whatever is added and removed, and in whatever order.
func TestAnIndexFindsWhatAMapFinds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		keys := map[uint32]int{} // by number
		x := newIndex(func(number uint32) int { return keys[number] })
		known := map[int]uint32{}
		most := 1 + random.IntN(300)
		for step := range 3000 {
			key := random.IntN(2 * most)
			if number, ok := known[key]; ok && random.IntN(2) == 0 || len(known) > most {
				for key, number = range known { // any of them
					break
				}
				x.remove(key)
				delete(known, key)
				delete(keys, number)
			} else if !ok {
				keys[uint32(step)], known[key] = key, uint32(step)
				x.add(key, uint32(step))
			}
			for key := range 2 * most {
				number, found := x.find(key)
				if want, ok := known[key]; found != ok || found && number != want {
					t.Fatalf("step %d: of key %d it found %d, %v; want %d, %v", step, key, number, found, want, ok)
				}
				if step%50 != 0 {
					break
				}
			}
			if x.len != len(known) || len(x.places) > max(minPlaces, maxPerPart*x.len) {
				t.Fatalf("step %d: %d numbers and %d places for %d keys", step, x.len, len(x.places), len(known))
			}
		}
		x.remove(-1)
		if x.len != len(known) {
			t.Fatal("what was not there was removed")
		}
	}
}

// TestNumbersBeginAnew behind the last one, and nothing is forgotten for it.
func TestNumbersBeginAnew(t *testing.T) {
	for _, before := range []uint32{1, perPage - 1, perPage, perPage + 1, 3 * perPage} {
		u := NewUses(NewPool(20 * useCost))
		u.uses.first = lastNumber + 1 - before
		if rest := u.uses.first % perPage; rest != 0 { // the page that it is on is there
			u.uses.pages = append(u.uses.pages, new(page[signature, digest]))
		}
		u.uses.next = u.uses.first
		for n := range 60 {
			if !used(u, signatureOf(n), "POST", []byte("a"), now, now.Add(time.Minute)) {
				t.Fatalf("%d before the last: use %d is known already", before, n)
			}
			for m := max(0, n-19); m <= n; m++ {
				if !knows(u, m) {
					t.Fatalf("%d before the last: after use %d, use %d is forgotten", before, n, m)
				}
			}
			if all := u.Known(3); len(all) != min(n+1, 3) || all[len(all)-1] != useOf(signatureOf(n), "POST", "a", now.Add(time.Minute)) {
				t.Fatalf("%d before the last: after use %d, the newest are %v", before, n, all)
			}
		}
		if u.Len() != 20 || u.Evicted() != 40 || u.uses.next > lastNumber {
			t.Errorf("%d before the last: %d are known, %d evicted", before, u.Len(), u.Evicted())
		}
	}
}

// TestWhatWasForgottenLeavesNoMemory: after a burst, what is left takes little.
func TestWhatWasForgottenLeavesNoMemory(t *testing.T) {
	u := NewUses(NewPool(20_000 * useCost))
	remember(u, 0, 10_000, now.Add(time.Minute))
	later := now.Add(time.Hour)
	used(u, signatureOf(20_000), "POST", nil, later, later.Add(time.Minute))
	if places := len(u.uses.index.places); u.Len() != 1 || places > minPlaces || len(u.uses.pages) != 1 {
		t.Errorf("%d uses have %d places and %d pages", u.Len(), places, len(u.uses.pages))
	}
}
