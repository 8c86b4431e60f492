// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// broken is a body that ends as a connection's does: before what was announced, with an error.
type broken struct {
	sent      io.Reader
	breaks    error
	announced int64
}

func (b *broken) Read(p []byte) (int, error) {
	n, err := b.sent.Read(p)
	b.announced -= int64(n)
	if errors.Is(err, io.EOF) && (b.breaks != nil || b.announced > 0) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// TestBodiesAreChargedAsTheyCome holds that announcing much costs the others nothing, and that a budget is given back
// whole.
func TestBodiesAreChargedAsTheyCome(t *testing.T) {
	const chunked = -1
	const limit, all = 256 << 10, 1 << 20
	for name, test := range map[string]struct {
		announced, sent int64
		used            int64 // by others
		breaks          error // behind what was sent; nil is its end
		refused         error
		reason          wechat.Reason
		held            int64
	}{
		"a message of a usual length is free":           {announced: 2000, sent: 2000, used: all},
		"so is the longest free one":                    {announced: freeBody, sent: freeBody, used: all},
		"one byte more is charged":                      {announced: freeBody + 1, sent: freeBody + 1, held: 1},
		"and waits for room":                            {announced: freeBody + 1, sent: freeBody + 1, used: all, refused: errOverloaded},
		"the longest that is taken":                     {announced: limit, sent: limit, held: limit - freeBody},
		"one that is announced longer":                  {announced: limit + 1, sent: 10, refused: tooLarge},
		"much announced and little sent costs nothing":  {announced: limit, sent: freeBody - 1, reason: wechat.ReasonMalformed},
		"much announced and half sent costs what came":  {announced: limit, sent: 20_000, reason: wechat.ReasonMalformed, held: 32<<10 - freeBody},
		"a stream of a usual length is free":            {announced: chunked, sent: 2000, used: all},
		"a long stream costs at most four times it":     {announced: chunked, sent: 20_000, held: 32<<10 - freeBody},
		"the longest stream":                            {announced: chunked, sent: limit, held: limit + 1 - freeBody},
		"a stream that is longer":                       {announced: chunked, sent: limit + 1, refused: tooLarge, held: limit + 1 - freeBody},
		"a stream that breaks off":                      {announced: chunked, sent: 2000, breaks: io.ErrUnexpectedEOF, reason: wechat.ReasonMalformed},
		"an announced body whose connection is cut":     {announced: 3000, sent: 2000, breaks: io.ErrUnexpectedEOF, reason: wechat.ReasonMalformed},
		"nothing is nothing":                            {announced: 0, sent: 0},
		"a stream of nothing":                           {announced: chunked, sent: 0},
		"a stream that waits for room in the middle":    {announced: chunked, sent: 100_000, used: all - 32<<10, refused: errOverloaded, held: 32<<10 - freeBody},
		"an announced body that waits in the middle":    {announced: 100_000, sent: 100_000, used: all - 32<<10, refused: errOverloaded, held: 32<<10 - freeBody},
		"what was charged for a refused one is its own": {announced: 30_000, sent: 10_000, reason: wechat.ReasonMalformed, held: 30_000 - freeBody},
	} {
		t.Run(name, func(t *testing.T) {
			budget, other := memory.NewBudget(all).NewPortion(), memory.NewBudget(all).NewPortion()
			if !budget.Take("", 0, test.used, time.Now()) {
				t.Fatal("the others use more than there is")
			}
			sent := strings.Repeat("x", int(test.sent))
			p := newParcel(&broken{strings.NewReader(sent), test.breaks, test.announced}, test.announced, limit, budget, time.Now().Add(time.Millisecond))

			got, err := p.read()
			var refusal *wechat.Refusal
			switch {
			case test.reason != "":
				if !errors.As(err, &refusal) || refusal.Reason != test.reason {
					t.Errorf("error %v, want reason %s", err, test.reason)
				}
			case !errors.Is(err, test.refused):
				t.Errorf("error %v, want %v", err, test.refused)
			case err == nil:
				if diff := gocmp.Diff(sent, string(got)); diff != "" {
					t.Errorf("read otherwise (-sent +read):\n%s", diff)
				}
			}
			again, errAgain := p.read()
			if !bytes.Equal(got, again) || !errors.Is(errAgain, err) {
				t.Errorf("asked again, it is %d bytes and error %v", len(again), errAgain)
			}
			if p.held != test.held {
				t.Errorf("holds %d bytes, want %d", p.held, test.held)
			}
			if !p.move(other, "", 2) || p.held != 2*test.held || !budget.Take("", 0, all-test.used, time.Now()) {
				t.Errorf("moved, it holds %d bytes, and the first budget may not be whole", p.held)
			}
			p.free()
			p.free()
			if !other.Take("", 0, all, time.Now()) {
				t.Error("what was charged did not come back")
			}
		})
	}
}

// TestAMessageThatFindsNoRoomKeepsNone of what it had from the other budget's, until it is freed.
func TestAMessageThatFindsNoRoomKeepsNone(t *testing.T) {
	strangers, bodies := memory.NewBudget(100_000).NewPortion(), memory.NewBudget(10_000).NewPortion()
	const length = 20_000
	p := newParcel(strings.NewReader(strings.Repeat("x", length)), length, 256<<10, strangers, time.Now().Add(time.Millisecond))
	if _, err := p.read(); err != nil {
		t.Fatal(err)
	}
	if p.move(bodies, "", 1) {
		t.Error("it found room that is not there")
	}
	p.free()
	if !strangers.Take("", 0, 100_000, time.Now()) || !bodies.Take("", 0, 10_000, time.Now()) {
		t.Error("a budget is not whole")
	}
}

// TestTheLargestBodyFindsRoom where nothing else goes on, whatever the memory and however many endpoints and apps there are.
func TestTheLargestBodyFindsRoom(t *testing.T) {
	for _, limit := range []int64{minMemory, 64 << 20, maxMemory} {
		for _, endpoints := range []int{1, 2, 5, 1000} {
			for _, apps := range []int{1, 33} {
				b := boundsFor(limit)
				strangers, bodies := memory.NewBudget(b.strangers), memory.NewBudget(b.bodies)
				of, to := strangers.NewPortion(), bodies.NewPortion()
				to.Between(apps)
				for range endpoints - 1 {
					strangers.NewPortion()
					bodies.NewPortion()
				}
				p := newParcel(strings.NewReader(strings.Repeat("x", MaxBodySize)), MaxBodySize, MaxBodySize, of, time.Now())
				if _, err := p.read(); err != nil || !p.move(to, "app", 1) {
					t.Errorf("of %d bytes between %d endpoints with %d apps each, it finds none: %v", limit, endpoints, apps, err)
				}
				p.free()
			}
		}
	}
}

// TestTheBoundsStayBelowTheMemory by what each of the things takes at most; that this is true is tried in a memory cgroup.
func TestTheBoundsStayBelowTheMemory(t *testing.T) {
	for _, memory := range []int64{0, 1, minMemory, 32 << 20, 64 << 20, 1 << 30} {
		b := boundsFor(memory)
		all := int64(b.connections)*26<<10 + int64(b.calls)*3/2*14<<10 + b.bodies + b.strangers + int64(b.uses) + int64(b.repeats)
		if limit := max(cmp.Or(memory, DefaultMemory), minMemory); all > limit*4/5 {
			t.Errorf("of %d bytes, %d may be held at once: %+v", limit, all, b)
		}
	}
}
