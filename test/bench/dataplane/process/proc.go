//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package process starts the programs that are measured, and reads from the kernel what they cost.
package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of CPU time in /proc: Linux tells user space 1/100 s on every machine.
const tick = 10 * time.Millisecond

// Stat is a part of /proc/PID/stat.
type Stat struct {
	PID, Parent int
	// User and System are CPU time of all its threads, those that have ended among them.
	User, System time.Duration
}

// ParseStat reads the text of /proc/PID/stat. The name of the program may have spaces and parentheses in it.
func ParseStat(text []byte) (Stat, error) {
	end := bytes.LastIndexByte(text, ')')
	first, _, _ := bytes.Cut(text, []byte(" "))
	pid, err := strconv.Atoi(string(first))
	if err != nil || end < 0 {
		return Stat{}, fmt.Errorf("no line of /proc/PID/stat: %.60q", text)
	}
	fields := strings.Fields(string(text[end+1:])) // the third field of the line comes first
	if len(fields) < 13 {
		return Stat{}, fmt.Errorf("/proc/%d/stat has too few fields", pid)
	}
	numbers := make([]int64, 3)
	for i, at := range []int{1, 11, 12} {
		if numbers[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return Stat{}, fmt.Errorf("reading /proc/%d/stat: %w", pid, err)
		}
	}
	return Stat{PID: pid, Parent: int(numbers[0]), User: time.Duration(numbers[1]) * tick, System: time.Duration(numbers[2]) * tick}, nil
}

// Descendants returns the pids of the roots and of their children, and of theirs.
func Descendants(all []Stat, roots ...int) []int {
	children := map[int][]int{}
	for _, s := range all {
		children[s.Parent] = append(children[s.Parent], s.PID)
	}
	var found []int
	for left := roots; len(left) > 0; left = left[1:] {
		found = append(found, left[0])
		left = append(left, children[left[0]]...)
	}
	return found
}

// ParseMemory reads VmRSS and VmHWM from the text of /proc/PID/status: the resident set now, and the most that it ever was. Bytes.
func ParseMemory(status []byte) (now, most int64, err error) {
	for name, value := range map[string]*int64{"VmRSS:": &now, "VmHWM:": &most} {
		_, rest, found := strings.Cut(string(status), "\n"+name)
		fields := strings.Fields(rest)
		if !found || len(fields) < 2 || fields[1] != "kB" {
			return 0, 0, fmt.Errorf("/proc/PID/status has no %s in kB", name)
		}
		kibibytes, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("reading %s %w", name, err)
		}
		*value = kibibytes << 10
	}
	return now, most, nil
}

// all reads /proc.
func all() ([]Stat, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var stats []Stat
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		s, err := ParseStat(text)
		if err != nil {
			return nil, err
		}
		stats = append(stats, s)
	}
	return stats, nil
}

// Usage is what processes have cost since they began.
type Usage struct {
	// CPU is of the kernel's clock of each process, which counts nanoseconds; User and System are the ticks of /proc.
	CPU, User, System time.Duration
}

// Minus is what was used since then.
func (u Usage) Minus(then Usage) Usage {
	return Usage{u.CPU - then.CPU, u.User - then.User, u.System - then.System}
}

// usage adds up what the processes have cost.
func usage(pids []int) (Usage, error) {
	var sum Usage
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return Usage{}, fmt.Errorf("a process has ended: %w", err)
		}
		s, err := ParseStat(text)
		if err != nil {
			return Usage{}, err
		}
		var clock unix.Timespec
		if err := unix.ClockGettime(cpuClock(pid), &clock); err != nil {
			return Usage{}, fmt.Errorf("reading the CPU clock of process %d: %w", pid, err)
		}
		sum = Usage{sum.CPU + time.Duration(clock.Nano()), sum.User + s.User, sum.System + s.System}
	}
	return sum, nil
}

// Own is the CPU time that this process has had.
func Own() (time.Duration, error) {
	var clock unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &clock); err != nil {
		return 0, fmt.Errorf("reading the CPU clock: %w", err)
	}
	return time.Duration(clock.Nano()), nil
}

// cpuClock is the id of the clock that counts the CPU time of all threads of a process, as clock_getcpuclockid(3) makes it.
func cpuClock(pid int) int32 { return int32(^pid<<3 | 2) }

// memory adds up the resident sets of processes. Pages that they share count for each.
func memory(pids []int) (now, most int64, err error) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, 0, fmt.Errorf("a process has ended: %w", err)
		}
		n, m, err := ParseMemory(text)
		if err != nil {
			return 0, 0, err
		}
		now, most = now+n, most+m
	}
	return now, most, nil
}
