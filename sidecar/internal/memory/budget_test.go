// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"sync"
	"testing"
	"time"
)

// soon is a deadline that is over at once.
func soon() time.Time { return time.Now().Add(time.Millisecond) }

func TestAPortionLeavesTheOthersTheirs(t *testing.T) {
	b := NewBudget(1000)
	alone := b.NewPortion()
	if !alone.Take("", 0, 1000, soon()) || alone.Take("", 0, 1, soon()) {
		t.Fatal("one that is alone does not have all")
	}
	alone.Give("", 1000)
	quiet := b.NewPortion()
	for alone.Take("", 0, 10, soon()) {
	}
	if !quiet.Take("", 0, 250, soon()) {
		t.Error("a loud one has taken what is another's")
	}
	if quiet.Take("", 0, 1000, time.Now().Add(time.Hour)) {
		t.Error("it got more than there can be")
	}
	quiet.Give("", 250)
	quiet.Close()
	if !alone.Take("", 0, 250, soon()) {
		t.Error("what was another's is lost once he is gone")
	}
}

func TestWhoWaitsGetsWhatIsGivenBack(t *testing.T) {
	b := NewBudget(1000)
	p, q := b.NewPortion(), b.NewPortion()
	p.Take("", 0, 575, soon())
	wait := func(of *Portion, bytes int64) <-chan bool {
		before, got := b.waiting(), make(chan bool, 1)
		go func() { got <- of.Take("", 0, bytes, time.Now().Add(20*time.Second)) }()
		for b.waiting() == before {
			time.Sleep(time.Millisecond)
		}
		return got
	}
	larger := wait(p, 400)
	smaller := wait(p, 100)
	if p.Take("", 0, 1, soon()) {
		t.Error("somebody has overtaken who waits for the same portion")
	}
	if !q.Take("", 0, 100, soon()) {
		t.Error("another portion waits with them")
	}
	p.Give("", 350)
	if !<-larger || b.waiting() != 1 {
		t.Error("who has waited longest does not have what was given back, or has it with another")
	}
	p.Give("", 200)
	if !<-smaller {
		t.Error("who waits behind got nothing")
	}
}

// TestAnAppLeavesTheOthersOfItsEndpointTheirs, also where it waits for more.
func TestAnAppLeavesTheOthersOfItsEndpointTheirs(t *testing.T) {
	b := NewBudget(1000)
	p, neighbour := b.NewPortion(), b.NewPortion()
	p.Between(2)
	for p.Take("frozen", 0, 10, soon()) {
	}
	for neighbour.Take("", 0, 10, soon()) {
	}
	frozen := make(chan bool, 1)
	go func() { frozen <- p.Take("frozen", 0, 50, time.Now().Add(20*time.Second)) }()
	for b.waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	if !p.Take("other", 0, 62, soon()) {
		t.Error("another app of the endpoint does not have what is kept for it")
	}
	p.Between(1)
	neighbour.Close()
	p.Give("frozen", 200)
	if !<-frozen {
		t.Error("who waits got nothing")
	}
}

func (b *Budget) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queue.Len()
}

// TestALateWishIsFulfilledOrTakenBack: never both, and never neither.
func TestALateWishIsFulfilledOrTakenBack(t *testing.T) {
	b := NewBudget(10)
	p := b.NewPortion()
	for range 300 {
		p.Take("", 0, 10, soon())
		var took bool
		var wait sync.WaitGroup
		wait.Go(func() { took = p.Take("", 0, 10, time.Now().Add(50*time.Microsecond)) })
		time.Sleep(50 * time.Microsecond)
		p.Give("", 10)
		wait.Wait()
		if took {
			p.Give("", 10)
		}
		if !p.Take("", 0, 10, soon()) {
			t.Fatalf("bytes are lost; the wish was fulfilled: %t", took)
		}
		p.Give("", 10)
	}
}
