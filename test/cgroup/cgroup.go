// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cgroup runs programs in memory cgroups of the tests' own, as a kubelet does, to see whether they stay within a limit.
package cgroup

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Group is a memory cgroup, of version 1 or 2.
type Group struct {
	dir     string
	unified bool
}

// New makes a group with a limit in bytes, which is removed at the end of the test, with what runs in it. Without the right to make
// one, the test is skipped.
func New(t testing.TB, limit int64) *Group {
	t.Helper()
	g := &Group{dir: "/sys/fs/cgroup/memory"}
	limitFile := "memory.limit_in_bytes"
	if _, err := os.Stat(filepath.Join(g.dir, limitFile)); err != nil {
		g.dir, g.unified, limitFile = "/sys/fs/cgroup", true, "memory.max"
		_ = os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("+memory"), 0) // it may be on already; the limit tells
	}
	g.dir = filepath.Join(g.dir, fmt.Sprintf("wechatendpoint-%d-%d", os.Getpid(), time.Now().UnixNano()))
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		t.Skipf("this needs the right to make memory cgroups (root on Linux): %v", err)
	}
	t.Cleanup(g.remove)
	if err := os.WriteFile(filepath.Join(g.dir, limitFile), []byte(strconv.FormatInt(limit, 10)), 0); err != nil {
		t.Skipf("this needs memory cgroups with limits: %v", err)
	}
	return g
}

// Command runs a program in the group.
func (g *Group) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	enter := []string{"-c", `echo $$ > "$0" && exec "$@"`, filepath.Join(g.dir, "cgroup.procs"), name}
	return exec.CommandContext(ctx, "/bin/sh", append(enter, args...)...)
}

// Peak is the most memory that was used, the page cache included. Bytes.
func (g *Group) Peak() int64 {
	if g.unified {
		return g.read("memory.peak", "")
	}
	return g.read("memory.max_usage_in_bytes", "")
}

// Kills is how often the kernel has killed somebody in the group for memory.
func (g *Group) Kills() int64 {
	if g.unified {
		return g.read("memory.events", "oom_kill")
	}
	return g.read("memory.oom_control", "oom_kill")
}

// RSS is what is used now without the page cache. Bytes.
func (g *Group) RSS() int64 {
	if g.unified {
		return g.read("memory.stat", "anon")
	}
	return g.read("memory.stat", "rss")
}

// read reads a number from a file, or that of a line that begins with a name; what cannot be read is -1.
func (g *Group) read(file, name string) int64 {
	text, err := os.ReadFile(filepath.Join(g.dir, file))
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name); found {
			if number, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64); err == nil {
				return number
			}
		}
	}
	return -1
}

// remove ends what runs in the group, and the group.
func (g *Group) remove() {
	for range 100 {
		text, _ := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
		for _, pid := range strings.Fields(string(text)) {
			if number, err := strconv.Atoi(pid); err == nil {
				if process, err := os.FindProcess(number); err == nil {
					_ = process.Kill()
				}
			}
		}
		if os.Remove(g.dir) == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
