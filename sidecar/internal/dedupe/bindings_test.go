// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package dedupe

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

var now = time.Unix(1_700_000_000, 0)

func triple(n int) wechat.Triple {
	return wechat.Triple{Timestamp: "1700000000", Nonce: strconv.Itoa(n), Signature: "s"}
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
			b := New(4)
			for i, use := range uses {
				if got := b.Bind(triple(1), use.method, []byte(use.body), now, now.Add(time.Minute)); got != use.want {
					t.Errorf("use %d, %s %q: %v", i, use.method, use.body, got)
				}
			}
		})
	}
}

func TestBindingsEndWhenTheRequestIsStale(t *testing.T) {
	b := New(4)
	b.Bind(triple(1), "POST", []byte("a"), now, now.Add(time.Minute))
	if b.Bind(triple(1), "POST", []byte("b"), now.Add(time.Minute), now.Add(time.Minute)) {
		t.Error("forgotten while the request is still fresh")
	}
	b.Bind(triple(2), "POST", []byte("a"), now.Add(time.Minute+time.Second), now.Add(2*time.Minute))
	if b.Len() != 1 || b.Evicted() != 0 {
		t.Errorf("%d entries, %d evicted; want the stale one gone and none evicted", b.Len(), b.Evicted())
	}
}

func TestMemoryIsBoundedAndEvictionCounted(t *testing.T) {
	b := New(2)
	for n := range 5 {
		b.Bind(triple(n), "POST", []byte("a"), now, now.Add(time.Minute))
	}
	if b.Len() != 2 || b.Evicted() != 3 {
		t.Errorf("%d entries, %d evicted; want 2 and 3", b.Len(), b.Evicted())
	}
	for n := range 2 {
		if b.Bind(triple(3+n), "POST", []byte("b"), now, now.Add(time.Minute)) {
			t.Errorf("use %d of 5 was forgotten", 4+n)
		}
	}
}

func TestOnlyOneOfManyBodiesWins(t *testing.T) {
	b := New(64)
	var passed atomic.Int64
	var wait sync.WaitGroup
	for n := range 32 {
		wait.Go(func() {
			if b.Bind(triple(1), "POST", []byte(strconv.Itoa(n)), now, now.Add(time.Minute)) {
				passed.Add(1)
			}
		})
	}
	wait.Wait()
	if passed.Load() != 1 {
		t.Errorf("%d different bodies passed with one signature", passed.Load())
	}
}
