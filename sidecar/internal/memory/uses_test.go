// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Unix(1_700_000_000, 0)

func signatureOf(n int) string { return fmt.Sprintf("%040x", n) }

// used is the answer of a memory that never fails.
func used(u *Uses, of, method string, body []byte, now, until time.Time) bool {
	use, ok := UseOf(of, method, body, until)
	if !ok {
		return false
	}
	bound, err := u.Use(context.Background(), use, now)
	return bound != BoundOtherwise && err == nil
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
			b := NewUses(NewPool(16 * useCost))
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
	pool := NewPool(16 * useCost)
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
	b := NewUses(NewPool(16 * useCost))
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
	b := NewUses(NewPool(room * useCost))
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
	b := NewUses(NewPool(64 * useCost))
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
	u := NewUses(NewPool(2 * n * useCost))
	taken := measure(func() {
		for i := range n {
			used(u, signatureOf(i), "POST", nil, now, now.Add(time.Minute))
		}
	})
	t.Logf("%d bytes each, counted are %d", taken/n, useCost)
	if u.Len() != n || taken > n*useCost {
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
	u := NewUses(NewPool(16 * useCost))
	for _, of := range []string{"", "not hexadecimal", signatureOf(1)[1:], signatureOf(1) + "0", "x" + signatureOf(1)[1:]} {
		if used(u, of, "POST", nil, now, now) || u.Used(of, now) || u.Len() != 0 {
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
			u := NewUses(NewPool(16 * useCost))
			used(u, signatureOf(1), "POST", []byte("a"), now, now.Add(time.Minute))
			if got := u.Used(test.of, test.at); got != test.want {
				t.Errorf("reported %v", got)
			}
		})
	}
}

// useOf is the use of a signature that is one.
func useOf(of, method, body string, until time.Time) Use {
	use, _ := UseOf(of, method, []byte(body), until)
	return use
}

// TestWhatAnotherPodTells: what it has bound is bound here too, and is not taken for a message that this pod has.
func TestWhatAnotherPodTells(t *testing.T) {
	until := now.Add(time.Minute)
	type step struct {
		what string // use, told, agreed, or back: it is taken back
		body string
		want Bound
	}
	for name, test := range map[string]struct {
		steps []step
		has   bool // this pod has what came
	}{
		"the first use":           {[]step{{"told", "a", BoundNow}}, false},
		"another body is refused": {[]step{{"told", "a", BoundNow}, {"use", "b", BoundOtherwise}, {"told", "b", BoundOtherwise}}, false},
		"the same one that comes here too, of which the others are asked": {[]step{{"told", "a", BoundNow}, {"use", "a", BoundNow}, {"agreed", "", 0}, {"use", "a", BoundBefore}}, true},
		"it is not the first here until the others agree":                 {[]step{{"use", "a", BoundNow}, {"use", "a", BoundNow}, {"agreed", "", 0}, {"use", "a", BoundBefore}}, true},
		"what came here before":                                           {[]step{{"use", "a", BoundNow}, {"told", "a", BoundBefore}}, true},
		"what came here before, with another body":                        {[]step{{"use", "a", BoundNow}, {"told", "b", BoundOtherwise}, {"use", "a", BoundNow}}, true},
		"what was taken back":                                             {[]step{{"use", "a", BoundNow}, {"back", "", 0}}, false},
		"what was taken back may be told":                                 {[]step{{"use", "a", BoundNow}, {"back", "", 0}, {"told", "b", BoundNow}, {"use", "a", BoundOtherwise}}, false},
		"what was taken back may come again":                              {[]step{{"use", "a", BoundNow}, {"back", "", 0}, {"use", "b", BoundNow}, {"told", "a", BoundOtherwise}}, true},
		"what the others agree to may have been taken back meanwhile":     {[]step{{"use", "a", BoundNow}, {"back", "", 0}, {"agreed", "", 0}, {"use", "b", BoundNow}}, true},
		"what is not known is not settled":                                {[]step{{"back", "", 0}, {"agreed", "", 0}, {"use", "a", BoundNow}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			u := NewUses(NewPool(16 * useCost))
			for i, step := range test.steps {
				var got Bound
				use := useOf(signatureOf(1), "POST", step.body, until)
				switch step.what {
				case "use":
					got, _ = u.Use(t.Context(), use, now)
				case "told":
					got = u.Told(use, now)
				default:
					u.Settle(use, step.what == "back", now)
				}
				if got != step.want {
					t.Errorf("step %d: %v, want %v", i, got, step.want)
				}
			}
			if got := u.Used(signatureOf(1), now); got != test.has {
				t.Errorf("this pod has it: %v", got)
			}
		})
	}
}

// TestWhatIsKnownIsTold, and nothing that was taken back.
func TestWhatIsKnownIsTold(t *testing.T) {
	u, until := NewUses(NewPool(16*useCost)), now.Add(time.Minute)
	for n := range 4 {
		used(u, signatureOf(n), "POST", []byte("a"), now, until)
	}
	u.Told(useOf(signatureOf(4), "GET", "", until), now)
	u.Settle(useOf(signatureOf(3), "POST", "a", until), true, now)
	want := []Use{useOf(signatureOf(2), "POST", "a", until), useOf(signatureOf(4), "GET", "", until)}
	if diff := cmp.Diff(want, u.Known(3)); diff != "" {
		t.Errorf("the newest three:\n%s", diff)
	}
}
