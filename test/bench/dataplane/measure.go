//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/wechatendpoint/wechatendpoint/test/bench/dataplane/load"
	"github.com/wechatendpoint/wechatendpoint/test/bench/dataplane/process"
	"github.com/wechatendpoint/wechatendpoint/test/bench/dataplane/report"
)

// warmUp comes before what is measured.
const warmUp = time.Second

// measureAll measures every peer in every column, round by round, and prints what came of it.
func measureAll(ctx context.Context, s settings) error {
	runtime.LockOSThread()
	loop, err := load.NewLoop(appAddress)
	if err != nil {
		return err
	}
	var samples report.Samples
	for round := range s.rounds {
		for _, c := range s.columns {
			for i := range s.peers {
				p := s.peers[(i+round)%len(s.peers)] // nobody always comes behind the same one
				if !p.does(c) {
					continue
				}
				sample, err := measure(ctx, s, loop, p, c)
				if err != nil {
					return errors.Join(fmt.Errorf("%s, %s: %w", c.name, p.name, err), loop.Close())
				}
				sample.Round = round
				samples = append(samples, sample)
				fmt.Fprintf(os.Stderr, "round %d of %d: %s, %s: %.1f µs, %.0f a second, p99 %v, wrong %d\n", round+1, s.rounds, c.name, p.name, sample.Cost(),
					float64(sample.Answered)/sample.Time.Seconds(), sample.P99.Round(10*time.Microsecond), sample.Wrong)
			}
		}
	}
	samples = samples.Sorted(names(s.columns, func(c column) string { return c.name }), names(s.peers, func(p peer) string { return p.name }))
	fmt.Print(samples.Table(base), "\n")
	for _, line := range samples.Lines(base, verifyingBase) {
		fmt.Println(line)
	}
	return errors.Join(samples.Wrong(), loop.Close())
}

// What others are compared with.
const (
	base          = "nginx"
	verifyingBase = "nginx-lua"
)

func names[T any](all []T, name func(T) string) []string {
	found := make([]string, len(all))
	for i, one := range all {
		found[i] = name(one)
	}
	return found
}

// trial is one peer in one column.
type trial struct {
	peer     peer
	column   column
	loop     *load.Loop
	group    *process.Group
	requests *load.Requests
}

// measure starts a peer, sees that it does what it should, and measures what it costs.
func measure(ctx context.Context, s settings, loop *load.Loop, p peer, c column) (sample report.Sample, err error) {
	folder, err := os.MkdirTemp("", p.name+"-")
	if err != nil {
		return sample, err
	}
	defer os.RemoveAll(folder)
	if err := errors.Join(os.Chmod(folder, 0o755), p.copyFiles(folder)); err != nil { // nginx's worker is another user
		return sample, err
	}
	programs, err := p.programs(s, p.name, folder, c)
	if err != nil {
		return sample, err
	}
	t := trial{peer: p, column: c, loop: loop}
	if t.group, err = process.Start(ctx, s.peerCore, folder, programs...); err != nil {
		return sample, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, t.group.Log())
		}
		err = errors.Join(err, t.group.Stop())
	}()
	kind := c.kind
	kind.Path = p.path(c)
	if t.requests, err = load.NewRequests(kind, account); err != nil {
		return sample, err
	}
	if err := t.check(ctx); err != nil {
		return sample, err
	}
	return t.measure(s)
}

// startPatience is how long a peer may take until it answers as it should.
const startPatience = 20 * time.Second

// check waits until the peer answers a request of the column rightly, and sees what the app got of it. Then it does the same with a forged one.
func (t *trial) check(ctx context.Context) error {
	var err error
	for deadline := time.Now().Add(startPatience); time.Now().Before(deadline) && ctx.Err() == nil && !t.group.Ended(); time.Sleep(20 * time.Millisecond) {
		if err = t.checkOne(t.column, t.requests); err == nil {
			break
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case t.group.Ended():
		return errors.New("it has ended")
	case err != nil:
		return err
	}
	forged := t.column
	forged.kind.Forged, forged.kind.Times, forged.kind.Path = true, 1, t.peer.path(t.column)
	requests, err := load.NewRequests(forged.kind, account)
	if err != nil {
		return err
	}
	if err := t.checkOne(forged, requests); err != nil {
		return fmt.Errorf("of a forged one: %w", err)
	}
	return nil
}

func (t *trial) checkOne(c column, requests *load.Requests) error {
	t.loop.App.Requests, t.loop.App.Record = 0, true
	defer func() { t.loop.App.Record = false }()
	results, err := t.loop.Run(load.Run{
		Streams: []load.Stream{{Peer: peerAddress, Connections: 1, Next: requests.Next, Right: c.statuses(t.peer.verifies), Most: 1}},
		WarmUp:  2 * time.Second,
	})
	switch app := t.loop.App; {
	case err != nil:
		return err
	case results[0].Wrong > 0:
		return fmt.Errorf("a wrong answer: %s", results[0].First)
	case app.Requests != t.peer.atApp(c, 1):
		return fmt.Errorf("the app got %d requests, and should get %d", app.Requests, t.peer.atApp(c, 1))
	case t.peer.reaches(c) && t.peer.path(c) != envelopePath && !c.kind.URLCheck && !bytes.Equal(app.Last, requests.Message()):
		return errors.New("the app got another message than was sent")
	}
	return nil
}

// measure sends the column's requests, and reads what they cost.
func (t *trial) measure(s settings) (report.Sample, error) {
	c := t.column
	t.requests.Prepare(int(float64(c.expected) * (warmUp + s.time).Seconds()))
	if err := t.group.Find(); err != nil {
		return report.Sample{}, err
	}
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var usages []process.Usage
	var times []time.Time
	t.loop.App.Requests = 0
	results, err := t.loop.Run(load.Run{
		Streams: []load.Stream{{Peer: peerAddress, Connections: c.connections, Rate: c.rate, Next: t.requests.Next, Right: c.statuses(t.peer.verifies)}},
		WarmUp:  warmUp, Time: s.time,
		Mark: func() error {
			usage, err := t.group.Usage()
			usages, times = append(usages, usage), append(times, time.Now())
			return err
		},
	})
	if err != nil {
		return report.Sample{}, err
	}
	result := results[0]
	now, most, err := t.group.Memory()
	if err != nil {
		return report.Sample{}, err
	}
	if result.Answered == 0 {
		return report.Sample{}, errors.New("nothing was answered")
	}
	if result.Wrong > 0 {
		fmt.Fprintf(os.Stderr, "%s, %s: the first wrong answer: %s\n", c.name, t.peer.name, result.First)
	}
	if got, due := t.loop.App.Requests, t.peer.atApp(c, result.Sent); got != due {
		fmt.Fprintf(os.Stderr, "%s, %s: the app got %d requests, and should get %d\n", c.name, t.peer.name, got, due)
		result.Wrong++
	}
	used := usages[1].Minus(usages[0])
	return report.Sample{
		Column: c.name, Peer: t.peer.name, Answered: result.Answered, Wrong: result.Wrong, Time: times[1].Sub(times[0]), CPU: used.CPU, System: used.System,
		P50: result.Percentile(50), P99: result.Percentile(99), Resident: now, Peak: most,
	}, nil
}
