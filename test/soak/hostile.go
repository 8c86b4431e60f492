//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/test/chaos"
	"github.com/wechatendpoint/wechatendpoint/test/hostile"
)

// Endpoints of the sidecar. Strangers send to the first one what they can; the app of the frozen one takes messages and does not answer.
const (
	valid     = "valid"
	neighbour = "neighbour"
	frozen    = "frozen"
)

// validEvery is the time between two valid messages.
const validEvery = 20 * time.Millisecond

// row is what is sent beside the valid messages.
type row struct {
	name   string
	floods []hostile.Flood
	burst  int // clients that send signed messages to the neighbour whose app never answers
}

// rows are played one after the other.
func rows() []row {
	path := "/" + valid
	all := []row{
		{name: "slow clients: 400 heads byte by byte, 400 bodies that stop, 400 idle connections", floods: slowClients(path, 400)},
		{name: "oversize: bodies of 256 KiB and 2 MiB, and such that are announced as 1 TiB", floods: oversize(path, 8)},
		{name: "bad signatures, 32 clients as fast as they are answered", floods: forged(path, 32)},
		{name: "a neighbour gets 32 clients' valid messages, and its app never answers", burst: 32},
		{name: "a neighbour gets 32 clients' bad signatures", floods: forged("/"+neighbour, 32)},
	}
	together := row{name: "all of them at once"}
	for _, r := range all {
		together.floods = append(together.floods, r.floods...)
		together.burst += r.burst
	}
	return append(append([]row{{name: "nothing"}}, all...), together)
}

// measured is what became of the valid messages beside a row.
type measured struct {
	row      string
	during   time.Duration
	others   int64 // what was sent beside them: requests, or connections without one
	account  chaos.Account
	p50, p99 time.Duration
	cpu      time.Duration
	peak     float64 // MiB
}

// measureHostile measures each row with one sidecar, and fails where a message is lost or the memory is not bounded.
func measureHostile(ctx context.Context, s settings) (err error) {
	folder, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	k := kinds["encrypted"]
	all := rows()
	ledger := chaos.NewLedger(len(all), int(s.row/validEvery)+1000)
	app, end, err := serve(ctx, chaos.App(func(_ context.Context, text string) error { ledger.Note(text); return nil }))
	if err != nil {
		return err
	}
	defer end()
	silent, endSilent, err := serve(ctx, silentApp)
	if err != nil {
		return err
	}
	defer endSilent()
	p, err := startSidecar(ctx, s.sidecar, folder, map[string]config.Document{
		valid: k.document(valid, app), neighbour: k.document(neighbour, app), frozen: k.document(frozen, silent),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.group.Stop()) }()
	var results []measured
	for i, r := range all {
		m, err := p.measure(ctx, fmt.Sprintf("row-%d", i), r, s.row, k, ledger)
		if err != nil {
			return err
		}
		results = append(results, m)
	}
	fmt.Printf("\n%s\n", hostileTable(results))
	return judgeHostile(results)
}

// measure sends valid messages for a time, beside a row.
func (p *sidecar) measure(ctx context.Context, load string, r row, during time.Duration, k kind, ledger *chaos.Ledger) (m measured, err error) {
	m = measured{row: r.name, during: during}
	if err := p.forgetPeak(); err != nil {
		return m, err
	}
	before, err := p.group.Usage()
	if err != nil {
		return m, err
	}
	flooding, stop := context.WithCancel(ctx)
	defer stop()
	others := make(chan int64, 1)
	go func() {
		signed := make(chan int64, 1)
		go func() { signed <- k.burst(flooding, frozen, p.public, r.burst) }()
		others <- hostile.Run(flooding, p.public, r.floods...) + <-signed
	}()
	sending, enough := context.WithTimeout(ctx, during)
	defer enough()
	sent := (&chaos.Load{Name: load, Model: chaos.Prompt, Sender: k.senderTo(valid, p.public), Every: validEvery}).Run(sending)
	stop()
	m.others = <-others
	if err := p.alive(); err != nil {
		return m, err
	}
	after, err := p.group.Usage()
	if err != nil {
		return m, err
	}
	m.cpu = after.Minus(before).CPU
	_, most, err := p.group.Memory()
	if err != nil {
		return m, err
	}
	m.peak = mebi(most)
	m.p50, m.p99 = percentile(sent.Took, 50), percentile(sent.Took, 99)
	m.account = chaos.MakeAccount(load, load, sent, ledger.Seen(), nil)
	return m, nil
}

// percentile of none is 0.
func percentile(took []time.Duration, p int) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(len(took)-1, len(took)*p/100)]
}

// hostileTable is Markdown.
func hostileTable(results []measured) string {
	var b strings.Builder
	b.WriteString("| beside valid messages | sent by others, a second | valid sent | lost | tried again | p50 ms | p99 ms | sidecar's CPU, cores | RSS at most, MiB |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|\n")
	for _, m := range results {
		fmt.Fprintf(&b, "| %s | %.0f | %d | %d | %d | %.1f | %.1f | %.2f | %.1f |\n", m.row, float64(m.others)/m.during.Seconds(), m.account.Sent, m.account.Lost,
			m.account.TriedAgain, m.p50.Seconds()*1000, m.p99.Seconds()*1000, m.cpu.Seconds()/m.during.Seconds(), m.peak)
	}
	return b.String()
}

// judgeHostile returns what is not as it must be: nothing is lost, comes twice or is forged, and the memory stays within the limit of a pod.
func judgeHostile(results []measured) error {
	var all []string
	for _, m := range results {
		for _, complaint := range (chaos.Expectation{}).Judge(m.account) {
			all = append(all, m.row+": "+complaint)
		}
		if m.peak > memoryLimit>>20 {
			all = append(all, fmt.Sprintf("%s: the sidecar took %.1f MiB", m.row, m.peak))
		}
	}
	if len(all) > 0 {
		return errors.New(strings.Join(all, "\n"))
	}
	return nil
}
