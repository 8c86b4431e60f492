// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// mark begins the text of every message of a Load. The load's name and the message's number follow.
const mark = "chaos"

// text is what a user writes in a message of a load.
func text(load string, number int) string { return fmt.Sprintf("%s %s %d", mark, load, number) }

// Reply is what an app that notes messages says to a text.
func Reply(text string) string { return "noted: " + text }

// maxName bounds the name of a load. Bytes.
const maxName = 64

// parse reads a text. A load's text without a number has the number -1, and what is no load's has no load.
func parse(text string) (load string, number int) {
	words := strings.Fields(text)
	if len(words) < 2 || words[0] != mark || len(words[1]) > maxName {
		return "", -1
	}
	number, err := strconv.Atoi(words[len(words)-1])
	if len(words) != 3 || err != nil || number < 0 {
		number = -1
	}
	return words[1], number
}

// Ledger counts in an app how often each message came. It is bounded, and safe for concurrent use.
type Ledger struct {
	loads, numbers int

	mu   sync.Mutex
	seen Seen
}

// Seen is what a Ledger has counted.
type Seen struct {
	// Counts are, for each load, how often each number came; 255 is that often or more. A number that is missing never came.
	Counts map[string][]byte `json:"counts"`
	// Strange are, for each load, how many messages of its came that have no number, and under "" what is no load's.
	Strange map[string]int `json:"strange"`
	// Uncounted is how many messages found no room here: with any, nothing can be said.
	Uncounted int `json:"uncounted"`
}

// NewLedger returns a Ledger for so many loads, each with so many numbers.
func NewLedger(loads, numbers int) *Ledger {
	return &Ledger{loads: loads, numbers: numbers, seen: Seen{Counts: map[string][]byte{}, Strange: map[string]int{}}}
}

// Note counts a message by its text.
func (l *Ledger) Note(text string) {
	load, number := parse(text)
	l.mu.Lock()
	defer l.mu.Unlock()
	if number < 0 {
		if _, known := l.seen.Strange[load]; known || len(l.seen.Strange) <= l.loads {
			l.seen.Strange[load]++
		} else {
			l.seen.Uncounted++
		}
		return
	}
	counts, known := l.seen.Counts[load]
	if number >= l.numbers || !known && len(l.seen.Counts) == l.loads {
		l.seen.Uncounted++
		return
	}
	if missing := number + 1 - len(counts); missing > 0 {
		counts = append(counts, make([]byte, missing)...)
		l.seen.Counts[load] = counts
	}
	if counts[number] < 255 {
		counts[number]++
	}
}

// Seen returns what was counted so far.
func (l *Ledger) Seen() Seen {
	l.mu.Lock()
	defer l.mu.Unlock()
	copied := Seen{Counts: map[string][]byte{}, Strange: maps.Clone(l.seen.Strange), Uncounted: l.seen.Uncounted}
	for load, counts := range l.seen.Counts {
		copied.Counts[load] = slices.Clone(counts)
	}
	return copied
}
