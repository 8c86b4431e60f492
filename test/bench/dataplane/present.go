//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/wechatendpoint/wechatendpoint/test/bench/dataplane/report"
)

// present prints the tables and lines, and writes what is asked for. It fails if an answer was wrong.
func present(s settings, samples report.Samples) error {
	samples = samples.Sorted(names(columns, func(c column) string { return c.name }), append(names(peers, func(p peer) string { return p.name }), before))
	for _, group := range []string{groupMain, groupFloods, groupGrowth} {
		switch found := samples.In(group); {
		case len(found) == 0:
		case group == groupMain:
			fmt.Println(found.PeerTable(base))
		case group == groupFloods:
			fmt.Println(found.FloodTable())
		default:
			fmt.Println(found.ColumnTable(base))
		}
	}
	for _, line := range samples.Lines(base, verifyingBase, before) {
		fmt.Println(line)
	}
	return errors.Join(writeSamples(s.samples, samples), writePlots(s.plots, samples), samples.Wrong())
}

func names[T any](all []T, name func(T) string) []string {
	found := make([]string, len(all))
	for i, one := range all {
		found[i] = name(one)
	}
	return found
}

func writeSamples(path string, samples report.Samples) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(samples, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// readSamples reads what earlier runs wrote. Their rounds are told apart.
func readSamples(paths []string) (report.Samples, error) {
	var all report.Samples
	for i, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var some report.Samples
		if err := json.Unmarshal(text, &some); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		for _, s := range some {
			s.Round += i * maxRounds
			all = append(all, s)
		}
	}
	return all, nil
}

// writePlots writes the plots of the groups that were measured into a folder.
func writePlots(folder string, samples report.Samples) error {
	if folder == "" {
		return nil
	}
	var problems []error
	if main := samples.In(groupMain); len(main) > 0 {
		problems = append(problems, os.WriteFile(filepath.Join(folder, "performance-peers.svg"), []byte(main.Bars("sidecar")), 0o644))
	}
	if growth := samples.In(groupGrowth); len(growth) > 0 {
		problems = append(problems, os.WriteFile(filepath.Join(folder, "performance-growth.svg"), []byte(growth.Growth("sidecar")), 0o644))
	}
	return errors.Join(problems...)
}

// machine says on what is measured, and which sidecar.
func machine(ctx context.Context, sidecar string) (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", fmt.Errorf("asking the kernel for its version: %w", err)
	}
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "", err
	}
	defer file.Close()
	model, cores := "", 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		switch key, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) {
		case "processor":
			cores++
		case "model name":
			model = strings.TrimSpace(value)
		}
	}
	version, err := exec.CommandContext(ctx, sidecar, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("asking the sidecar for its version: %w", err)
	}
	return fmt.Sprintf("%s, %d cores, Linux %s, %s; %s", cmp.Or(model, runtime.GOARCH), cores, unix.ByteSliceToString(name.Release[:]), runtime.Version(),
		strings.TrimSpace(string(version))), nil
}
