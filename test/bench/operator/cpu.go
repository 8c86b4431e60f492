// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is that of /proc on every Linux.
const ticksPerSecond = 100

// process is what the kernel says of one.
type process struct {
	name   string
	parent int
	cpu    time.Duration // in user and in kernel mode, since it began
}

func readProcess(pid int) (process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	before, rest, _ := strings.Cut(string(stat), ") ") // the name before it may hold anything
	_, name, _ := strings.Cut(before, "(")
	fields := strings.Fields(rest)
	var numbers [3]int
	for i, field := range []int{1, 11, 12} { // of proc(5): ppid, utime and stime
		if numbers[i], err = strconv.Atoi(fields[field]); err != nil {
			return process{}, err
		}
	}
	return process{name: name, parent: numbers[0], cpu: time.Duration(numbers[1]+numbers[2]) * time.Second / ticksPerSecond}, nil
}

func cpuOf(pid int) (time.Duration, error) {
	p, err := readProcess(pid)
	return p.cpu, err
}

// controlPlaneCPU is the CPU time of the API server and etcd, which run as children of this process.
func controlPlaneCPU() (time.Duration, error) {
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			return 0, err
		}
		p, err := readProcess(pid)
		if err == nil && p.parent == os.Getpid() && slices.Contains([]string{"etcd", "kube-apiserver"}, p.name) { // others may have ended
			sum += p.cpu
		}
	}
	if sum == 0 {
		return 0, fmt.Errorf("found neither the API server nor etcd among this process's children")
	}
	return sum, nil
}

// cost is what one side of a round takes.
type cost struct {
	time time.Duration
	cpu  time.Duration // of the API server and etcd
}

// beginRound returns a function that tells the cost since then.
func beginRound() (func() (cost, error), error) {
	before, err := controlPlaneCPU()
	began := time.Now()
	return func() (cost, error) {
		took := time.Since(began)
		after, err := controlPlaneCPU()
		return cost{time: took, cpu: after - before}, err
	}, err
}
