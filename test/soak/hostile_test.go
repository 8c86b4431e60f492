//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/test/chaos"
)

func TestHostileIsJudged(t *testing.T) {
	well := measured{row: "slow clients", during: 10 * time.Second, others: 1000, account: chaos.Account{Name: "row-1", Sent: 500, Delivered: 500}, peak: 64}
	for name, row := range map[string]struct {
		change func(*measured)
		want   string
	}{
		"all is well":              {func(*measured) {}, ""},
		"a message is lost":        {func(m *measured) { m.account.Lost = 1 }, "slow clients: row-1: 1 messages are lost"},
		"a forgery came through":   {func(m *measured) { m.account.Forged = 1 }, "slow clients: row-1: 1 forged messages reached the app"},
		"more memory than a pod's": {func(m *measured) { m.peak = 64.1 }, "slow clients: the sidecar took 64.1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			m := well
			row.change(&m)
			got := ""
			if err := judgeHostile([]measured{well, m}); err != nil {
				got = err.Error()
			}
			if got != row.want {
				t.Errorf("judged %q, want %q", got, row.want)
			}
		})
	}
}

func TestHostileTable(t *testing.T) {
	got := hostileTable([]measured{{
		row: "slow clients", during: 10 * time.Second, others: 1234, account: chaos.Account{Sent: 500, Lost: 2, TriedAgain: 3},
		p50: 1500 * time.Microsecond, p99: 20 * time.Millisecond, cpu: 5 * time.Second, peak: 33.33,
	}})
	const want = "| slow clients | 123 | 500 | 2 | 3 | 1.5 | 20.0 | 0.50 | 33.3 |"
	lines := strings.Split(strings.TrimSpace(got), "\n")
	if len(lines) != 3 || lines[2] != want {
		t.Errorf("the table is\n%s\nwant the row\n%s", got, want)
	}
	columns := strings.Count(want, "|")
	if diff := cmp.Diff([]int{columns, columns}, []int{strings.Count(lines[0], "|"), strings.Count(lines[1], "|")}); diff != "" {
		t.Errorf("the head has other columns:\n%s", diff)
	}
}

func TestPercentile(t *testing.T) {
	took := []time.Duration{4, 2, 3, 1}
	for p, want := range map[int]time.Duration{0: 1, 50: 3, 99: 4} {
		if got := percentile(took, p); got != want {
			t.Errorf("the percentile %d is %d, want %d", p, got, want)
		}
	}
	if got := percentile(nil, 50); got != 0 {
		t.Errorf("of none it is %d", got)
	}
}
