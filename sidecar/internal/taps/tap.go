// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package taps

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
)

// Bounds of a tap.
const (
	maxLines  = 1024 // that wait to be read
	maxTurns  = 32   // that wait for an answer
	maxRecent = 100  // of what was before it, of each kind
)

// Tap is what one caller reads. One goroutine calls Next.
type Tap struct {
	// Until is when it ends.
	Until time.Time

	endpoint *Endpoint
	query    tap.Query
	id       string
	opened   time.Time
	takes    map[string]bool
	wake     chan struct{} // has one in it where something is to be read

	// Of the one who reads.
	greeted   bool
	first     []item // what was before
	verdicts  uint64 // the number of the last verdict among them
	kept      uint64 // likewise of the messages
	reading   int64  // bytes of the line that was returned last
	over      bool
	keepsTill time.Time

	mu      sync.Mutex
	queue   []item
	held    int64 // bytes
	dropped uint64
	ended   tap.End
	turn    uint64
	turns   map[uint64]chan answered
}

// item is a line that waits to be read.
type item struct {
	verdict *verdict
	message *message
	size    int64
	kept    bool // the message came before the tap
	turn    uint64
	until   time.Time // of the turn
}

func (i item) at() time.Time {
	if i.verdict != nil {
		return i.verdict.At
	}
	return i.message.at
}

// rank puts a message before what became of it.
func (i item) rank() int {
	if i.verdict != nil {
		return 1
	}
	return 0
}

// answered is what came of a turn.
type answered struct {
	reply    []byte
	declined bool
	gone     bool
}

// begin collects what was before. Messages have come already while it does: they are not told twice.
func (t *Tap) begin(kept *kept) {
	recent, last := t.endpoint.process.recent.of(t.endpoint.name, maxRecent)
	t.verdicts = last
	for i := range recent {
		t.first = append(t.first, item{verdict: &recent[i], size: VerdictSize})
	}
	if kept != nil {
		t.keepsTill = kept.until
	}
	if kept != nil && t.query.Messages {
		messages, last := kept.messages()
		t.kept = last
		for _, one := range messages {
			t.first = append(t.first, item{message: one, size: one.size(), kept: true})
		}
	}
	t.first = slices.DeleteFunc(t.first, func(i item) bool { return !t.wants(i) || !t.hold(i.size) })
	slices.SortStableFunc(t.first, inOrder)
}

// wants reports whether an item is of the message that is asked for.
func (t *Tap) wants(i item) bool {
	switch {
	case t.query.Delivery == "":
		return true
	case i.verdict != nil:
		return i.verdict.Delivery.String() == t.query.Delivery
	}
	return i.message.delivery.String() == t.query.Delivery
}

// hold takes room for a line. What finds none is dropped.
func (t *Tap) hold(bytes int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.holdLocked(bytes)
}

func (t *Tap) holdLocked(bytes int64) bool {
	room := &t.endpoint.process.room
	if t.ended != "" {
		return false
	}
	if len(t.queue) >= maxLines || t.held+bytes > room.share() || !room.take(bytes) {
		t.dropped++
		t.endpoint.process.Dropped()
		return false
	}
	t.held += bytes
	return true
}

// push adds a line, if there is room for it, and waits for nobody.
func (t *Tap) push(i item) {
	if !t.wants(i) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pushLocked(i)
}

func (t *Tap) pushLocked(i item) bool {
	if !t.holdLocked(i.size) {
		return false
	}
	t.queue = append(t.queue, i)
	t.wakeReader()
	return true
}

func (t *Tap) wakeReader() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// pushTurn adds a message that is to be answered until then. It returns nil if it cannot be.
func (t *Tap) pushTurn(m *message, until time.Time) (uint64, chan answered) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.turns) >= maxTurns {
		return 0, nil
	}
	if !t.pushLocked(item{message: m, size: m.size(), turn: t.turn + 1, until: until}) {
		return 0, nil
	}
	t.turn++
	answer := make(chan answered, 1)
	t.turns[t.turn] = answer
	return t.turn, answer
}

// await waits for the answer of a turn.
func (t *Tap) await(ctx context.Context, turn uint64, answer chan answered, until time.Time) ([]byte, Result) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case a := <-answer:
		return resultOf(a)
	case <-ctx.Done():
	case <-timer.C:
	}
	t.mu.Lock()
	_, open := t.turns[turn]
	delete(t.turns, turn)
	t.mu.Unlock()
	if !open { // it came in this moment
		return resultOf(<-answer)
	}
	return nil, Late
}

func resultOf(a answered) ([]byte, Result) {
	switch {
	case a.gone:
		return nil, Gone
	case a.declined:
		return nil, Declined
	}
	return a.reply, Answered
}

// answer gives a turn its answer, and reports whether it was waited for.
func (t *Tap) answer(turn uint64, a answered) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	waiting, open := t.turns[turn]
	if !open {
		return false
	}
	delete(t.turns, turn)
	waiting <- a // has room for it
	return true
}

// end ends the tap: what waits for an answer goes to the app, and what waits to be read is forgotten. The first cause counts.
func (t *Tap) end(why tap.End) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended != "" {
		return
	}
	t.ended = why
	for turn, waiting := range t.turns {
		delete(t.turns, turn)
		waiting <- answered{gone: true} // has room for it
	}
	t.endpoint.process.room.give(t.held)
	t.queue, t.held = nil, 0
	t.wakeReader()
}

// Close ends the tap, because nobody reads it any more.
func (t *Tap) Close() { t.endpoint.close(t, tap.EndTime) }

// Next returns the next line, and waits for it for as long as a beat. It reports false behind the last one. The one before is not read any more.
func (t *Tap) Next(ctx context.Context) (tap.Line, bool) {
	t.release()
	if t.over {
		return tap.Line{}, false
	}
	if !t.greeted {
		t.greeted = true
		return tap.Line{Hello: &tap.Hello{Tap: t.id, Until: t.Until.UTC(), KeepsUntil: t.keepsTill.UTC()}}, true
	}
	beat := time.NewTimer(min(tap.Beat, max(0, time.Until(t.Until))))
	defer beat.Stop()
	for {
		if line, ok := t.pop(); ok {
			return line, true
		}
		select {
		case <-ctx.Done():
			t.over = true
			return tap.Line{}, false
		case <-t.wake:
		case <-beat.C:
			if !time.Now().Before(t.Until) {
				t.endpoint.close(t, tap.EndTime)
				continue
			}
			return tap.Line{}, true
		}
	}
}

// release gives back the room of the line that was returned last.
func (t *Tap) release() {
	if t.reading == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended == "" { // else it was given back
		t.held -= t.reading
		t.endpoint.process.room.give(t.reading)
	}
	t.reading = 0
}

// pop returns what is to be read next, if there is something.
func (t *Tap) pop() (tap.Line, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		var next item
		switch {
		case t.ended != "":
			t.over = true
			return tap.Line{Ended: t.ended}, true
		case t.dropped > 0:
			line := tap.Line{Dropped: t.dropped}
			t.dropped = 0
			return line, true
		case len(t.first) > 0:
			next, t.first = t.first[0], t.first[1:]
		case !t.query.Follow:
			t.over = true
			return tap.Line{Ended: tap.EndNoMore}, true
		case len(t.queue) > 0:
			next = t.queue[0]
			t.queue[0] = item{}
			t.queue = t.queue[1:]
			if next.verdict != nil && next.verdict.seq <= t.verdicts || next.message != nil && next.message.seq != 0 && next.message.seq <= t.kept {
				t.held -= next.size
				t.endpoint.process.room.give(next.size)
				continue
			}
		default:
			return tap.Line{}, false
		}
		t.reading = next.size
		if next.verdict != nil {
			return tap.Line{Verdict: next.verdict.line()}, true
		}
		return tap.Line{Message: next.message.line(next.turn, next.until, next.kept)}, true
	}
}
