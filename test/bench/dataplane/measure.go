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
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
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
	if s.peers, err = available(s); err != nil {
		return errors.Join(err, loop.Close())
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
	return errors.Join(present(s, samples), loop.Close())
}

// What others are compared with.
const (
	base          = "nginx"
	verifyingBase = "nginx-lua"
)

// available returns the peers whose programs are on this machine, and tells of the others.
func available(s settings) ([]peer, error) {
	var found []peer
	for _, p := range s.peers {
		folder, err := os.MkdirTemp("", p.name+"-")
		if err != nil {
			return nil, err
		}
		programs, err := p.programs(s, p.name, folder, mainColumns[0])
		if err := errors.Join(err, os.RemoveAll(folder)); err != nil {
			return nil, err
		}
		there := true
		for _, program := range programs {
			if _, err := exec.LookPath(program.Path); err != nil {
				there = false
				fmt.Printf("bench: %s is not here: %v\n", p.name, err)
			}
		}
		if there {
			found = append(found, p)
		}
	}
	return found, nil
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
	return t.measure(ctx, s)
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

// sendEarlier sends messages that the sidecar remembers.
func (t *trial) sendEarlier() error {
	n := t.column.sidecar.earlier
	if n == 0 {
		return nil
	}
	requests, err := load.NewRequests(t.column.kind, account)
	if err != nil {
		return err
	}
	results, err := t.loop.Run(load.Run{
		Streams: []load.Stream{{Peer: peerAddress, Connections: 32, Next: requests.Next, Right: t.column.statuses(true), Most: n}}, WarmUp: 5 * time.Minute,
	})
	if err == nil && (results[0].Wrong > 0 || results[0].Sent < n) {
		err = fmt.Errorf("%d of %d messages were sent before, %d answered wrongly: %s", results[0].Sent, n, results[0].Wrong, results[0].First)
	}
	return err
}

// measure sends the column's requests, and reads what they cost.
func (t *trial) measure(ctx context.Context, s settings) (report.Sample, error) {
	c := t.column
	t.requests.Prepare(int(float64(c.expected) * (warmUp + s.time).Seconds()))
	if err := t.group.Find(); err != nil {
		return report.Sample{}, err
	}
	idle, _, err := t.group.Memory()
	if err != nil {
		return report.Sample{}, err
	}
	if err := t.sendEarlier(); err != nil {
		return report.Sample{}, err
	}
	if n := c.sidecar.taps; n > 0 {
		taps, err := openTaps(ctx, n)
		if err != nil {
			return report.Sample{}, err
		}
		defer taps.close(c.name)
	}
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var usages []process.Usage
	var own []time.Duration
	var times []time.Time
	t.loop.App.Requests = 0
	streams := []load.Stream{{Peer: peerAddress, Connections: c.connections, Rate: c.rate, Next: t.requests.Next, Right: c.statuses(t.peer.verifies)}}
	if c.flood != nil {
		streams[0].Tries = caller.Tries
		text := []byte(strings.Replace(c.flood.Text, decryptPath, t.peer.path(c), 1))
		streams = append(streams, load.Stream{
			Peer: peerAddress, Connections: c.flood.Connections, Next: func() (request, want []byte) { return text, nil }, Hostile: c.flood.Way,
		})
	}
	profiled := t.profiler(s)
	results, err := t.loop.Run(load.Run{
		Streams: streams, WarmUp: warmUp, Time: s.time,
		Mark: func() error {
			if err := profiled(len(times) == 0); err != nil {
				return err
			}
			usage, err := t.group.Usage()
			mine, ownErr := process.Own()
			usages, own, times = append(usages, usage), append(own, mine), append(times, time.Now())
			return errors.Join(err, ownErr)
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
	if result.Answered == 0 && c.flood == nil {
		return report.Sample{}, errors.New("nothing was answered")
	}
	if result.Wrong > 0 {
		fmt.Fprintf(os.Stderr, "%s, %s: the first wrong answer: %s\n", c.name, t.peer.name, result.First)
	}
	if got, due := t.loop.App.Requests, t.peer.atApp(c, result.Sent); got != due && c.flood == nil {
		fmt.Fprintf(os.Stderr, "%s, %s: the app got %d requests, and should get %d\n", c.name, t.peer.name, got, due)
		result.Wrong++
	}
	forged := 0
	if c.flood != nil {
		forged = results[1].Answered
	}
	used := usages[1].Minus(usages[0])
	return report.Sample{
		Group: c.group, Column: c.name, Peer: t.peer.name, Answered: result.Answered, Wrong: result.Wrong, Time: times[1].Sub(times[0]), CPU: used.CPU, System: used.System, Load: own[1] - own[0],
		Forged: forged, Retried: result.Retried,
		P50: result.Percentile(50), P99: result.Percentile(99), Idle: idle, Resident: now, Peak: most,
	}, nil
}
