// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package taps

import (
	"cmp"
	"encoding/hex"
	"sync"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
)

// Delivery is the delivery id of a message; zero is none.
type Delivery [tap.DeliverySize]byte

func (d Delivery) String() string {
	if d == (Delivery{}) {
		return ""
	}
	return hex.EncodeToString(d[:])
}

// Verdict is what became of a callback. Its texts may be parts of a message, and are copied.
type Verdict struct {
	At       time.Time
	Platform string // one of a closed list, as Outcome, Reason and Cause are
	Delivery Delivery
	Outcome  string
	Reason   string
	Cause    string
	Type     string
	Event    string
	Status   int
	Took     time.Duration
	Repeat   bool
	Played   bool
	Taken    bool
}

// VerdictSize is about what a remembered verdict takes. Bytes.
const VerdictSize = 288

// verdict is a Verdict that holds no part of a message.
type verdict struct {
	Verdict
	endpoint string
	seq      uint64
	kind     [2]word // type and event
}

// word is a short text of its own. What is longer is left out: WeChat's own words are not.
type word struct {
	length uint8
	text   [47]byte
}

func newWord(text string) (w word) {
	if len(text) <= len(w.text) {
		w.length = uint8(copy(w.text[:], text)) //nolint:gosec // at most 47
	}
	return w
}

func (w *word) String() string { return string(w.text[:w.length]) }

func (v Verdict) remembered(endpoint string) verdict {
	one := verdict{Verdict: v, endpoint: endpoint, kind: [2]word{newWord(v.Type), newWord(v.Event)}}
	one.Type, one.Event = "", ""
	return one
}

func (v *verdict) line() *tap.Verdict {
	return &tap.Verdict{
		At: v.At.UTC(), Platform: v.Platform, Delivery: v.Delivery.String(), Outcome: v.Outcome, Reason: v.Reason, Cause: v.Cause, Type: v.kind[0].String(), Event: v.kind[1].String(), Status: v.Status,
		Millis: v.Took.Milliseconds(), Repeat: v.Repeat, Played: v.Played, Taken: v.Taken,
	}
}

// recent remembers the newest verdicts of all endpoints. Those of refused callbacks stand apart: whoever makes many of them pushes out no others.
type recent struct {
	mu                sync.Mutex
	seq               uint64
	verified, refused ring
}

type ring struct {
	all  []verdict
	next int
}

func newRecent(verdicts int) *recent {
	return &recent{verified: ring{all: make([]verdict, max(1, verdicts/2))}, refused: ring{all: make([]verdict, max(1, verdicts/2))}}
}

// add remembers a verdict and returns its number.
func (r *recent) add(v *verdict) uint64 {
	to := &r.verified
	if v.Reason != "" {
		to = &r.refused
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	v.seq = r.seq
	to.all[to.next] = *v
	to.next = (to.next + 1) % len(to.all)
	return r.seq
}

// of returns the newest of an endpoint, in the order in which they came, at most so many of each kind, and the number of the last that there is.
func (r *recent) of(endpoint string, most int) (all []verdict, last uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, from := range []*ring{&r.verified, &r.refused} {
		found := 0
		for i := 1; i <= len(from.all) && found < most; i++ {
			one := &from.all[(from.next-i+len(from.all))%len(from.all)]
			if one.endpoint == endpoint {
				all = append(all, *one)
				found++
			}
		}
	}
	return all, r.seq
}

func inOrder(a, b item) int { return cmp.Or(a.at().Compare(b.at()), cmp.Compare(a.rank(), b.rank())) }
