//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/test/chaos"
	"github.com/wechatendpoint/wechatendpoint/test/hostile"
)

// The traffic repeats itself: a cycle is quiet first, then the app is slow, then strangers flood. Slow clients are there all the time.
const (
	cycle     = 2 * time.Minute
	slowFrom  = 60 * time.Second
	slowTo    = 80 * time.Second
	floodFrom = 95 * time.Second
	floodTo   = 110 * time.Second

	sampleEvery  = 10 * time.Second // at most; short runs are sampled more often
	samplesLeast = 3 * leastSamples
	messageEvery = 50 * time.Millisecond // of each account
	odd          = 10                    // one of so many messages is sent once more, and beside one of so many a forged one
)

// soak sends mixed traffic to a sidecar for a time, and judges whether it grows.
func soak(ctx context.Context, s settings) (err error) {
	folder, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	messages := int(s.during/messageEvery) + 1000
	ledger, slow := chaos.NewLedger(len(kinds), messages), &atomic.Bool{}
	app, end, err := serve(ctx, moodyApp(ledger, slow))
	if err != nil {
		return err
	}
	defer end()
	documents := map[string]config.Document{}
	for name, k := range kinds {
		documents[name] = k.document(name, app)
	}
	p, err := startSidecar(ctx, s.sidecar, folder, documents)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.group.Stop()) }()

	sending, stop := context.WithTimeout(ctx, s.during)
	defer stop()
	var traffic sync.WaitGroup
	traffic.Go(func() { hostile.Run(sending, p.public, slowClients("/encrypted", 20)...) })
	traffic.Go(func() { moods(sending, p, slow) })
	sent := sendAll(sending, p, &traffic)
	samples, err := sampleAll(sending, p, min(sampleEvery, s.during/samplesLeast))
	stop()
	traffic.Wait()
	if err != nil {
		return err
	}
	if err := p.awaitQuiet(ctx); err != nil {
		return err
	}
	return report(s, samples, accounts(sent, ledger.Seen()))
}

// sendAll begins to send messages to each account. What became of them is there once the traffic has ended.
func sendAll(ctx context.Context, p *sidecar, traffic *sync.WaitGroup) map[string]*chaos.Sent {
	sent := map[string]*chaos.Sent{}
	for name, k := range kinds {
		all := &chaos.Sent{}
		sent[name] = all
		load := chaos.Load{Name: name, Model: chaos.Prompt, Sender: k.senderTo(name, p.public), Every: messageEvery, Forge: odd, Repeat: odd}
		traffic.Go(func() { *all = load.Run(ctx) })
	}
	return sent
}

// moods lets the app be slow and strangers flood, at their times of each cycle.
func moods(ctx context.Context, p *sidecar, slow *atomic.Bool) {
	for wait(ctx, slowFrom) {
		slow.Store(true)
		wait(ctx, slowTo-slowFrom)
		slow.Store(false)
		if wait(ctx, floodFrom-slowTo) {
			flooding, end := context.WithTimeout(ctx, floodTo-floodFrom)
			floods := slices.Concat(forged("/encrypted", 8), forged("/plaintext", 8), oversize("/encrypted", 2), oversize("/plaintext", 2))
			hostile.Run(flooding, p.public, floods...)
			end()
		}
		wait(ctx, cycle-floodTo)
	}
}

// wait reports whether the time has passed, and ctx is not done.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// sampleAll looks at the process each time so much time has passed, until ctx is done.
func sampleAll(ctx context.Context, p *sidecar, every time.Duration) (samples []sample, err error) {
	began := time.Now()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return samples, nil
		case <-ticker.C:
		}
		values, err := p.look()
		if err != nil {
			return nil, err
		}
		samples = append(samples, sample{time.Since(began), values})
	}
}

// awaitQuiet waits until the sidecar calls no app any more.
func (p *sidecar) awaitQuiet(ctx context.Context) error {
	for range 100 {
		going, err := p.metric("wechat_sidecar_in_flight")
		if err != nil || going == 0 {
			return err
		}
		if !wait(ctx, time.Second) {
			return ctx.Err()
		}
	}
	return errors.New("calls to the app go on for longer than they may")
}

func accounts(sent map[string]*chaos.Sent, seen chaos.Seen) (all []chaos.Account) {
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		all = append(all, chaos.MakeAccount("soak/"+name, name, *sent[name], seen, nil))
	}
	return all
}

// report prints and writes what was found, and returns what is not as it must be.
func report(s settings, samples []sample, accounts []chaos.Account) error {
	trends := judge(samples)
	all := complaints(trends)
	for _, a := range accounts {
		fmt.Println(a)
		all = append(all, chaos.Expectation{}.Judge(a)...)
	}
	fmt.Printf("\n%s\n", table(trends))
	if s.plot != "" {
		title := fmt.Sprintf("One sidecar on one core, with mixed traffic for %v", s.during)
		if err := os.MkdirAll(filepath.Dir(s.plot), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(s.plot, []byte(plot(title, samples, trends)), 0o644); err != nil {
			return err
		}
	}
	if len(all) > 0 {
		return errors.New(strings.Join(all, "\n"))
	}
	return nil
}
