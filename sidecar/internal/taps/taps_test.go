// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package taps

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
)

var (
	pod   = netip.MustParseAddr("192.0.2.1")
	key   = bytes.Repeat([]byte("k"), 32)
	noon  = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	asked = tap.Asked{Method: "GET", Path: tap.Path}
)

// opener opens taps of one endpoint, each with a nonce of its own.
type opener struct {
	*Endpoint
	dropped atomic.Int64
	nonces  int
}

func newOpener(p *Process, name string) *opener {
	o := &opener{}
	o.Endpoint = p.NewEndpoint(name)
	p.Dropped = func() { o.dropped.Add(1) }
	o.Follow(key)
	return o
}

func (o *opener) proof(at time.Time) tap.Proof {
	o.nonces++
	proof := tap.Proof{At: at, To: pod}
	copy(proof.Nonce[:], fmt.Sprint(o.nonces))
	parsed, _ := tap.ParseProof(proof.Sign(tap.NewKey(key), asked))
	return parsed
}

func (o *opener) try(q tap.Query, at time.Time) (*Tap, tap.Refusal) {
	return o.Open(o.proof(at), asked, q, at)
}

func (o *opener) open(t *testing.T, q tap.Query) *Tap {
	t.Helper()
	opened, refusal := o.try(q, time.Now())
	if refusal != "" {
		t.Fatalf("refused as %q", refusal)
	}
	t.Cleanup(opened.Close)
	return opened
}

// read returns so many lines behind the first.
func read(t *testing.T, opened *Tap, lines int) (all []tap.Line) {
	t.Helper()
	for len(all) < lines {
		line, more := opened.Next(t.Context())
		if !more {
			t.Fatalf("it ended after %d lines", len(all))
		}
		if line.Hello == nil && line != (tap.Line{}) {
			all = append(all, line)
		}
	}
	return all
}

func verdictOf(n int) Verdict {
	return Verdict{At: noon.Add(time.Duration(n) * time.Second), Outcome: "answered", Delivery: id(n)}
}

func id(n int) Delivery { return Delivery(fmt.Appendf(nil, "%016d", n)) }

func messageOf(n, size int) Message {
	return Message{At: noon.Add(time.Duration(n) * time.Second), Delivery: id(n), Target: "/", Body: bytes.Repeat([]byte("x"), size)}
}

// TestRecentIsBounded: at the bound the oldest are forgotten, and refused callbacks push out no verified ones.
func TestRecentIsBounded(t *testing.T) {
	p := New(8, 1<<20)
	o := newOpener(p, "a/b")
	for n := range 6 {
		o.Record(verdictOf(n))
	}
	for n := range 100 {
		o.Record(Verdict{At: noon.Add(time.Duration(100+n) * time.Second), Reason: "bad_signature"})
	}
	p.NewEndpoint("a/other").Record(verdictOf(7))
	var got []string
	for _, line := range read(t, o.open(t, tap.Query{}), 8) {
		if line.Verdict != nil {
			got = append(got, fmt.Sprint(line.Verdict.At.Sub(noon).Seconds(), line.Verdict.Outcome, line.Verdict.Reason))
		}
	}
	want := []string{"3answered", "4answered", "5answered", "196bad_signature", "197bad_signature", "198bad_signature", "199bad_signature"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("remembered (-want +got):\n%s", diff)
	}
}

// TestLongWordsAreLeftOut: WeChat has none, and a verdict has a fixed size.
func TestLongWordsAreLeftOut(t *testing.T) {
	for length, want := range map[int]int{0: 0, 47: 47, 48: 0, 300: 0} {
		w := newWord(strings.Repeat("e", length))
		if got := len(w.String()); got != want {
			t.Errorf("of %d characters %d are remembered, want %d", length, got, want)
		}
	}
}

// TestNothingIsCopiedForNobody.
func TestNothingIsCopiedForNobody(t *testing.T) {
	p := New(8, 1<<20)
	o, other := newOpener(p, "a/b"), newOpener(p, "a/other")
	if o.Listened() {
		t.Error("somebody listens")
	}
	opened := o.open(t, tap.Query{Messages: true, Follow: true})
	if !o.Listened() || other.Listened() {
		t.Errorf("one is listened to: %v, the other: %v", o.Listened(), other.Listened())
	}
	opened.Close()
	if o.Listened() || p.Open() != 0 {
		t.Error("somebody listens still")
	}
	one := verdictOf(1)
	if allocated := testing.AllocsPerRun(100, func() { o.Listened(); o.Record(one) }); allocated != 0 {
		t.Errorf("a message with nobody who looks allocates %v times", allocated)
	}
}

// TestAQueueIsBounded in lines and in bytes, and what does not fit is dropped, counted and told.
func TestAQueueIsBounded(t *testing.T) {
	for name, row := range map[string]struct {
		room  int64
		size  int
		holds int
	}{
		"in lines":                        {1 << 30, 1, maxLines},
		"in bytes: a tap has half of all": {2 * 10 * (overhead + 1 + 999), 999, 10},
		"one that never fits":             {2 * (overhead + 1 + 99), 100, 0},
		"one that just fits":              {2 * (overhead + 1 + 100), 100, 1},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOpener(New(8, row.room), "a/b")
			opened := o.open(t, tap.Query{Messages: true, Follow: true})
			const more = 5
			for n := range row.holds + more {
				o.Show(t.Context(), messageOf(n, row.size), "", time.Time{})
			}
			if got := o.dropped.Load(); got != more {
				t.Errorf("%d are counted as dropped, want %d", got, more)
			}
			lines := read(t, opened, row.holds+1)
			if lines[0].Dropped != more {
				t.Errorf("first comes %+v", lines[0])
			}
			opened.release() // as the next line would
			o.Show(t.Context(), messageOf(0, min(row.size, 1)), "", time.Time{})
			if line := read(t, opened, 1)[0]; line.Message == nil {
				t.Errorf("what was read leaves no room: %+v", line)
			}
			opened.Close()
			if used := o.process.room.used.Load(); used != 0 {
				t.Errorf("%d bytes are not given back", used)
			}
		})
	}
}

// TestWhatIsKeptIsBounded: the oldest are forgotten, and all at the end.
func TestWhatIsKeptIsBounded(t *testing.T) {
	const size = overhead + 1 + 999
	o := newOpener(New(8, 2*10*size), "a/b")
	o.open(t, tap.Query{Messages: true, Keep: time.Hour}).Close()
	for n := range 25 {
		o.Show(t.Context(), messageOf(n, 999), "", time.Time{})
	}
	o.Show(t.Context(), messageOf(26, 10*size), "", time.Time{}) // fits never, and pushes out nothing
	if status := o.Status(); status.KeptBytes != 10*size {
		t.Errorf("%d bytes are kept, want %d", status.KeptBytes, 10*size)
	}
	opened := o.open(t, tap.Query{Messages: true})
	for i, line := range read(t, opened, 10) {
		if want := id(15 + i).String(); line.Message == nil || line.Message.Delivery != want || !line.Message.Kept {
			t.Errorf("line %d is %+v, want %s", i, line, want)
		}
	}
	opened.Close()
	o.Close()
	if used := o.process.room.used.Load(); used != 0 || o.Listened() || !o.process.KeepsUntil().IsZero() {
		t.Errorf("%d bytes are not given back, and until %v some are kept", used, o.process.KeepsUntil())
	}
}

// TestBounds of taps, nonces and turns, each at its limit.
func TestBounds(t *testing.T) {
	p := New(8, 1<<20)
	all := 0
	for e := range MaxOfProcess/MaxOfEndpoint + 1 {
		o := newOpener(p, fmt.Sprint("a/", e))
		for n := range MaxOfEndpoint + 1 {
			_, refusal := o.try(tap.Query{Follow: true}, time.Now())
			want := tap.Refusal("")
			if n == MaxOfEndpoint || all == MaxOfProcess {
				want = tap.Full
			} else {
				all++
			}
			if refusal != want {
				t.Errorf("tap %d of endpoint %d is refused as %q, want %q", n, e, refusal, want)
			}
		}
	}
	p.Drain()
	if _, refusal := newOpener(p, "a/later").try(tap.Query{}, time.Now()); refusal != tap.Ended {
		t.Errorf("a pod that ends refuses as %q", refusal)
	}

	o := newOpener(New(8, 1<<20), "a/b")
	for n := range maxNonces + 1 {
		opened, refusal := o.try(tap.Query{}, noon)
		if (refusal == tap.Full) != (n == maxNonces) {
			t.Errorf("nonce %d is refused as %q", n, refusal)
		}
		if opened != nil {
			opened.Close()
		}
	}
	if opened, refusal := o.try(tap.Query{}, noon.Add(tap.Window+time.Second)); refusal != "" {
		t.Errorf("when they are stale, the next is refused as %q", refusal)
	} else {
		opened.Close()
	}

	opened := o.open(t, tap.Query{Messages: true, Follow: true, Take: []string{"oUser"}})
	var group sync.WaitGroup
	var mu sync.Mutex
	got := map[Result]int{}
	for n := range maxTurns + 1 {
		group.Go(func() {
			_, result := o.Show(t.Context(), messageOf(n, 1), "oUser", time.Now().Add(time.Minute))
			mu.Lock()
			got[result]++
			mu.Unlock()
		})
	}
	read(t, opened, maxTurns+1)
	opened.Close()
	group.Wait()
	if diff := cmp.Diff(map[Result]int{Gone: maxTurns + 1}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestANonceIsUsedOnceAsLongAsItIsFresh, also one of the future.
func TestANonceIsUsedOnceAsLongAsItIsFresh(t *testing.T) {
	o := newOpener(New(8, 1<<20), "a/b")
	proof := o.proof(noon.Add(tap.Window))
	for _, row := range []struct {
		now  time.Time
		want tap.Refusal
	}{{noon, ""}, {noon, tap.Used}, {noon.Add(tap.Window), tap.Used}, {noon.Add(2 * tap.Window), tap.Used}} {
		if !proof.Fresh(row.now) {
			t.Fatalf("at %v it is not fresh", row.now)
		}
		opened, refusal := o.Open(proof, asked, tap.Query{}, row.now)
		if refusal != row.want {
			t.Errorf("at %v it is refused as %q, want %q", row.now, refusal, row.want)
		}
		if opened != nil {
			opened.Close()
		}
		if _, refusal := o.try(tap.Query{}, row.now); refusal != "" { // which forgets what is stale
			t.Error(refusal)
		}
	}
}

// TestNobodyWaitsForWhoReads: many bring messages, some read, some do not, taps come and go, and the key changes. All ends, and all room is given back.
func TestNobodyWaitsForWhoReads(t *testing.T) {
	p := New(64, 64<<10)
	o := &opener{}
	var mu sync.Mutex
	o.Endpoint, p.Dropped = p.NewEndpoint("a/b"), func() {}
	o.Follow(key)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for n := range 500 {
				o.Show(t.Context(), messageOf(n, 200), []string{"oUser", "oOther"}[n%2], time.Now().Add(time.Millisecond))
				o.Record(verdictOf(n))
			}
		})
	}
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				opened, refusal := o.try(tap.Query{Messages: true, Follow: true, Keep: time.Minute, Take: []string{"oUser"}}, time.Now())
				mu.Unlock()
				if refusal != "" {
					time.Sleep(time.Millisecond)
					continue
				}
				for range 50 {
					line, more := opened.Next(ctx)
					if !more {
						break
					}
					if line.Message != nil && line.Message.Turn != 0 {
						o.Answer(tap.Answer{Endpoint: "a/b", Tap: opened.id, Turn: line.Message.Turn}, []byte("success"))
					}
				}
				opened.Close()
			}
		})
	}
	group.Go(func() {
		for n := range 20 {
			o.Follow([][]byte{bytes.Repeat([]byte("o"), 32), key}[n%2])
			o.Status()
			time.Sleep(time.Millisecond)
		}
	})
	group.Wait()
	cancel()
	readers.Wait()
	o.Close()
	if used := p.room.used.Load(); used != 0 || p.Open() != 0 || o.Listened() {
		t.Errorf("%d bytes and %d taps are left", used, p.Open())
	}
}
