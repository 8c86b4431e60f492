// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var now = time.Unix(1_700_000_000, 0)

func signatureOf(n int) string { return fmt.Sprintf("%040x", n) }

// used is the answer of a memory that never fails.
func used(u *Uses, of, method string, body []byte, now, until time.Time) bool {
	ok, err := u.Use(context.Background(), of, method, body, now, until)
	return ok && err == nil
}

func TestBind(t *testing.T) {
	type use struct {
		method, body string
		want         bool
	}
	for name, uses := range map[string][]use{
		"a repeat with the same body passes":           {{"POST", "a", true}, {"POST", "a", true}, {"POST", "a", true}},
		"another body does not, and changes nothing":   {{"POST", "a", true}, {"POST", "b", false}, {"POST", "a", true}},
		"what was used on a GET is good for no POST":   {{"GET", "", true}, {"POST", "a", false}, {"GET", "", true}},
		"not even for one without a body":              {{"GET", "", true}, {"POST", "", false}},
		"a GET cannot take away what a POST has bound": {{"POST", "a", true}, {"GET", "", false}, {"POST", "a", true}},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewUses(NewPool(16 * UseCost))
			for i, use := range uses {
				if got := used(b, signatureOf(1), use.method, []byte(use.body), now, now.Add(time.Minute)); got != use.want {
					t.Errorf("use %d, %s %q: %v", i, use.method, use.body, got)
				}
			}
		})
	}
}

// TestAClockThatGoesBackMakesNothingGoodAgain: what may be forgotten, because it was stale by a clock that has gone back since, is not used for the
// first time. What is newer, and what another endpoint forgets, is.
func TestAClockThatGoesBackMakesNothingGoodAgain(t *testing.T) {
	pool := NewPool(16 * UseCost)
	b, other := NewUses(pool), NewUses(pool)
	used(b, signatureOf(1), "POST", []byte("a"), now, now.Add(time.Minute))
	used(b, signatureOf(6), "POST", nil, now, now.Add(time.Second)) // sent earlier, and forgotten later
	used(other, signatureOf(2), "POST", nil, now, now.Add(5*time.Minute))
	ahead := now.Add(6 * time.Minute)
	used(b, signatureOf(3), "POST", nil, ahead, ahead.Add(time.Minute))
	used(other, signatureOf(3), "POST", nil, ahead, ahead.Add(time.Minute))
	for name, row := range map[string]struct {
		signature int
		until     time.Duration
		want      bool
	}{
		"it was used, and is forgotten":      {1, time.Minute, false},
		"it may have been used before":       {4, time.Minute - time.Nanosecond, false},
		"all that were forgotten were older": {5, time.Minute + time.Nanosecond, true},
	} {
		if got := used(b, signatureOf(row.signature), "POST", []byte("b"), now, now.Add(row.until)); got != row.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestBindingsEndWhenTheRequestIsStale(t *testing.T) {
	b := NewUses(NewPool(16 * UseCost))
	used(b, signatureOf(1), "POST", []byte("a"), now, now.Add(time.Minute))
	if used(b, signatureOf(1), "POST", []byte("b"), now.Add(time.Minute), now.Add(time.Minute)) {
		t.Error("forgotten while the request is still fresh")
	}
	used(b, signatureOf(2), "POST", []byte("a"), now.Add(time.Minute+time.Second), now.Add(2*time.Minute))
	if b.Len() != 1 || b.Evicted() != 0 {
		t.Errorf("%d entries, %d evicted; want the stale one gone and none evicted", b.Len(), b.Evicted())
	}
}

func TestMemoryIsBoundedAndEvictionCounted(t *testing.T) {
	const room = 10
	b := NewUses(NewPool(room * UseCost))
	for n := range room + 3 {
		used(b, signatureOf(n), "POST", []byte("a"), now, now.Add(time.Minute))
	}
	if b.Len() != room || b.Evicted() != 3 {
		t.Errorf("%d entries, %d evicted; want %d and 3", b.Len(), b.Evicted(), room)
	}
	for n := range room {
		if used(b, signatureOf(3+n), "POST", []byte("b"), now, now.Add(time.Minute)) {
			t.Errorf("use %d was forgotten", 3+n)
		}
	}
}

func TestOnlyOneOfManyBodiesWins(t *testing.T) {
	b := NewUses(NewPool(64 * UseCost))
	var passed atomic.Int64
	var wait sync.WaitGroup
	for n := range 32 {
		wait.Go(func() {
			if used(b, signatureOf(1), "POST", []byte(strconv.Itoa(n)), now, now.Add(time.Minute)) {
				passed.Add(1)
			}
		})
	}
	wait.Wait()
	if passed.Load() != 1 {
		t.Errorf("%d different bodies passed with one signature", passed.Load())
	}
}

// justGrown is a number of entries for which an index has just become larger, and holds the most memory for each.
const justGrown = 66_000

// TestAUseCountsForWhatItTakes measures the memory of many uses.
func TestAUseCountsForWhatItTakes(t *testing.T) {
	const n = justGrown
	u := NewUses(NewPool(2 * n * UseCost))
	taken := measure(func() {
		for i := range n {
			used(u, signatureOf(i), "POST", nil, now, now.Add(time.Minute))
		}
	})
	t.Logf("%d bytes each, counted are %d", taken/n, UseCost)
	if u.Len() != n || taken > n*UseCost {
		t.Errorf("%d uses take more than is counted", u.Len())
	}
}

// measure returns how much more memory is in use after do. What is measured must be used after it.
func measure(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	do()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return after.HeapAlloc - before.HeapAlloc
}

func TestASignatureThatIsNoneIsNotBound(t *testing.T) {
	u := NewUses(NewPool(16 * UseCost))
	for _, of := range []string{"", "not hexadecimal", signatureOf(1)[1:], signatureOf(1) + "0", "x" + signatureOf(1)[1:]} {
		if used(u, of, "POST", nil, now, now) || u.Used(of, "POST", nil, now) || u.Len() != 0 {
			t.Errorf("%q was bound", of)
		}
	}
}

func TestWhetherASignatureWasUsed(t *testing.T) {
	for name, test := range map[string]struct {
		of   string
		at   time.Time
		want bool
	}{
		"it was":             {signatureOf(1), now.Add(time.Minute), true},
		"another was":        {signatureOf(2), now, false},
		"until it was stale": {signatureOf(1), now.Add(time.Minute + 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			u := NewUses(NewPool(16 * UseCost))
			used(u, signatureOf(1), "POST", []byte("a"), now, now.Add(time.Minute))
			if got := u.Used(test.of, "POST", []byte("a"), test.at); got != test.want {
				t.Errorf("reported %v", got)
			}
		})
	}
}

// TestWhatAnotherPodTells binds a signature, and does not make its message this pod's.
func TestWhatAnotherPodTells(t *testing.T) {
	other, u := NewUses(NewPool(16*UseCost)), NewUses(NewPool(16*UseCost))
	var told []Binding
	other.Made = func(b Binding) { told = append(told, b) }
	for _, uses := range []*Uses{other, u} {
		uses.KeyBy([32]byte{1})
	}
	for range 2 {
		used(other, signatureOf(1), "POST", []byte("a"), now, now.Add(time.Minute))
	}
	if len(told) != 1 || !u.Learn(told[0], now) || u.Learn(told[0], now) {
		t.Fatalf("told are %v", told)
	}
	stale, replaced := told[0], told[0]
	stale.Signature[0], stale.Until = 9, uint32(now.Unix()-1)
	replaced.Use[0]++
	if u.Learn(stale, now) || u.Learn(replaced, now) || u.Len() != 1 {
		t.Error("it learns what is stale, or what it knows otherwise")
	}
	answers := func(body string) bool { return u.Used(signatureOf(1), "POST", []byte(body), now) }
	if answers("a") || !answers("b") {
		t.Error("it does not leave the message to the other pod, and that alone")
	}
	if used(u, signatureOf(1), "POST", []byte("b"), now, now.Add(time.Minute)) || !used(u, signatureOf(1), "POST", []byte("a"), now, now.Add(time.Minute)) {
		t.Error("the signature is not good for its own body alone")
	}
	if !answers("a") {
		t.Error("it has taken the message, and does not answer for it")
	}
}

// TestSomeOfMany reads what is remembered in parts, while the oldest is forgotten and more comes.
func TestSomeOfMany(t *testing.T) {
	u := NewUses(NewPool(10 * UseCost))
	add := func(n int) { used(u, signatureOf(n), "POST", nil, now, now.Add(time.Minute)) }
	for n := range 13 {
		add(n)
	}
	var room [4]Binding
	var got []int
	for n, next := len(room), u.Oldest(); n == len(room); {
		n, next = u.Some(next, room[:])
		for _, b := range room[:n] {
			got = append(got, int(b.Signature[19]))
		}
		if len(got) == 4 {
			for more := range 6 { // of which the first forget what would be next
				add(13 + more)
			}
		}
	}
	if want := []int{3, 4, 5, 6, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}; !slices.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
}
