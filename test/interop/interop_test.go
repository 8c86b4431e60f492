// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package interop tries the sidecar against other people's WeChat code, over HTTP on loopback: as WeChat's server before
// it, and as the app behind it. See README.md.
package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// ledger is what was tried: one line for each library, account and side, and for each deviation.
var ledger struct {
	lines      []string
	deviations []string
	passed     int
	failed     int
}

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

// run builds the sidecar, runs the tests and prints the ledger.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	sidecarPath = filepath.Join(dir, "sidecar")
	if err := build(sidecarPath); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	slices.Sort(ledger.lines)
	slices.Sort(ledger.deviations)
	for _, line := range slices.Concat(ledger.lines, ledger.deviations) {
		fmt.Println("interop: " + line)
	}
	if code != 0 {
		ledger.failed = max(ledger.failed, 1) // what failed may be no line of the ledger
	}
	fmt.Printf("interop: %d passed, %d failed\n", ledger.passed, ledger.failed)
	return code
}

// trial is one line of the ledger. It remembers what was done, so that the line claims no more.
type trial struct {
	*testing.T
	done []string
}

// did is called after a check, whether it held or not.
func (t *trial) did(check string) {
	if !slices.Contains(t.done, check) {
		t.done = append(t.done, check)
	}
}

// try runs one line of the ledger. A line that -run left out is not counted.
func try(t *testing.T, library string, a account, side string, check func(*trial)) {
	t.Helper()
	var ran *trial
	ok := t.Run(strings.Join([]string{library, a.name(), side}, "/"), func(t *testing.T) {
		ran = &trial{T: t}
		check(ran)
	})
	if ran == nil {
		return
	}
	ledger.lines = append(ledger.lines, fmt.Sprintf("%-4s  %-37s  %-15s  %-24s  %-47s  %s",
		count(ok), pinned(library), a.platform, a.variant, strings.Join(ran.done, ","), side))
}

// deviates runs a check that a library still does what it should not, so that the list of deviations stays true.
func deviates(t *testing.T, library, what string, check func(*testing.T)) {
	t.Helper()
	ran := false
	ok := t.Run(library+"/"+what, func(t *testing.T) { ran = true; check(t) })
	line := pinned(library) + ": " + what
	claimed = append(claimed, line)
	if !ran {
		return
	}
	if count(ok) == "ok" {
		ledger.deviations = append(ledger.deviations, "deviation "+line)
	} else {
		ledger.lines = append(ledger.lines, "FAIL  no deviation of "+line)
	}
}

// count counts a line and returns its verdict.
func count(ok bool) string {
	if ok {
		ledger.passed++
		return "ok"
	}
	ledger.failed++
	return "FAIL"
}
