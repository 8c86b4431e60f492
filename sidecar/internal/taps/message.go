// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package taps

import (
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
)

// Message is a message as the app gets it. Its bytes are somebody else's, and are copied.
type Message struct {
	At       time.Time
	Delivery Delivery
	Target   string
	Fields   []byte // the header fields as they are written, each ended by CRLF
	Body     []byte
}

// message is a copy, which is never changed.
type message struct {
	at       time.Time
	delivery Delivery
	target   string
	fields   []byte
	body     []byte
	seq      uint64 // among what is kept; 0 where it is not
}

// overhead is about what a copy takes besides its bytes.
const overhead = 256

func (m Message) copied() *message {
	text := make([]byte, len(m.Fields)+len(m.Body))
	n := copy(text, m.Fields)
	copy(text[n:], m.Body)
	return &message{at: m.At, delivery: m.Delivery, target: strings.Clone(m.Target), fields: text[:n:n], body: text[n:]}
}

// size is what the copy takes. Bytes.
func (m *message) size() int64 { return int64(overhead + len(m.target) + len(m.fields) + len(m.body)) }

func (m *message) line(turn uint64, until time.Time, kept bool) *tap.Message {
	line := &tap.Message{At: m.at.UTC(), Delivery: m.delivery.String(), Method: "POST", Target: m.target, Header: map[string][]string{}, Body: m.body, Turn: turn, Kept: kept}
	if turn != 0 {
		line.Until = until.UTC()
	}
	for field := range strings.SplitSeq(string(m.fields), "\r\n") {
		if name, value, found := strings.Cut(field, ": "); found {
			name = textproto.CanonicalMIMEHeaderKey(name)
			line.Header[name] = append(line.Header[name], value)
		}
	}
	return line
}

// room is how many bytes all copies take at most.
type room struct {
	size int64
	used atomic.Int64
}

// share is how many of them a tap can have, and what is kept of an endpoint.
func (r *room) share() int64 { return r.size / 2 }

func (r *room) take(bytes int64) bool {
	if r.used.Add(bytes) > r.size {
		r.used.Add(-bytes)
		return false
	}
	return true
}

func (r *room) give(bytes int64) { r.used.Add(-bytes) }

// kept are the newest messages of an endpoint.
type kept struct {
	room  *room
	until time.Time // guarded by the endpoint

	mu     sync.Mutex
	closed bool
	seq    uint64
	all    []*message // the oldest first
	held   int64
}

// add keeps a message, as far as there is room, and returns its number. The oldest are forgotten for it.
func (k *kept) add(m *message) uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	size := m.size()
	if k.closed || size > k.room.share() {
		return 0
	}
	for k.held+size > k.room.share() || !k.room.take(size) {
		if len(k.all) == 0 {
			return 0
		}
		k.drop()
	}
	k.seq++
	k.all, k.held = append(k.all, m), k.held+size
	return k.seq
}

func (k *kept) drop() {
	size := k.all[0].size()
	k.all[0] = nil
	k.all, k.held = k.all[1:], k.held-size
	k.room.give(size)
}

// messages are those that are kept, and the number of the last.
func (k *kept) messages() ([]*message, uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.all), k.seq
}

func (k *kept) bytes() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.held
}

func (k *kept) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.closed = true; len(k.all) > 0; {
		k.drop()
	}
}
