// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package interop tries the sidecar against other people's WeChat code, over HTTP on loopback: as WeChat's server before
// it, and as the app behind it. See README.md.
package interop

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
)

// ledger is what was tried: one line for each library, account and side.
var ledger struct {
	mu         sync.Mutex
	lines      []string
	deviations []string
	passed     int
	failed     int
}

func TestMain(m *testing.M) {
	code := m.Run()
	slices.Sort(ledger.lines)
	slices.Sort(ledger.deviations)
	for _, line := range ledger.lines {
		fmt.Println(line)
	}
	for _, line := range ledger.deviations {
		fmt.Println(line)
	}
	fmt.Printf("interop: %d passed, %d failed\n", ledger.passed, ledger.failed)
	os.Exit(code)
}

// try runs one line of the ledger.
func try(t *testing.T, library, account, side string, check func(*testing.T)) {
	t.Helper()
	ok := t.Run(library+"/"+account+"/"+side, check)
	ledger.mu.Lock()
	defer ledger.mu.Unlock()
	verdict := "ok  "
	if ok {
		ledger.passed++
	} else {
		ledger.failed++
		verdict = "FAIL"
	}
	ledger.lines = append(ledger.lines, fmt.Sprintf("interop: %s  %-33s  %-31s  %s", verdict, library, account, side))
}

// deviates runs a check that a library still does what it should not, so that the list of deviations stays true.
func deviates(t *testing.T, library, what string, check func(*testing.T)) {
	t.Helper()
	if t.Run(library+"/"+what, check) {
		ledger.mu.Lock()
		defer ledger.mu.Unlock()
		ledger.deviations = append(ledger.deviations, fmt.Sprintf("interop: note  %-33s  %s", library, what))
	}
}
