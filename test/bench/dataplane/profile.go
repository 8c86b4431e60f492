//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// profiler returns what is called when the time that is measured begins, and when it ends. Between, perf looks at the sidecar, where a profile is asked for.
func (t *trial) profiler(s settings) func(begins bool) error {
	if s.profile == "" || !t.peer.sidecar {
		return func(bool) error { return nil }
	}
	var perf *exec.Cmd
	file := filepath.Join(s.profile, t.column.name+"-"+t.peer.name+".perf")
	return func(begins bool) error {
		if !begins {
			if err := perf.Process.Signal(os.Interrupt); err != nil {
				return fmt.Errorf("ending perf: %w", err)
			}
			_ = perf.Wait() // it ends by the signal, and says so
			fmt.Fprintf(os.Stderr, "bench: perf report --no-children -i %s\n", file)
			return nil
		}
		perf = exec.Command("perf", "record", "--quiet", "--call-graph=fp", "--freq=999", "--pid="+strconv.Itoa(t.group.PID()), "--output="+file) //nolint:noctx // it ends below
		perf.Stderr = os.Stderr
		if err := perf.Start(); err != nil {
			return fmt.Errorf("starting perf, of Debian's linux-perf: %w", err)
		}
		return nil
	}
}
