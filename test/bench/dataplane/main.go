//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command dataplane measures what the sidecar costs a message, side by side with other ways to bring it to an app.
//
// Each peer has one core for all its processes; WeChat's servers and the app, which this process plays, have another. A round measures every
// peer in every column, one after the other, each in processes of its own that were started for it. What is compared is the CPU time of a request,
// within a round. See docs/performance.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// settings are the flags.
type settings struct {
	sidecar  string
	programs string // the folder of the peers that are built here
	peers    []peer
	columns  []column
	rounds   int
	time     time.Duration
	peerCore int
	loadCore int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (settings, error) {
	flags := flag.NewFlagSet("dataplane", flag.ContinueOnError)
	var s settings
	self, err := os.Executable()
	if err != nil {
		return s, err
	}
	flags.StringVar(&s.sidecar, "sidecar", filepath.Join(filepath.Dir(self), "sidecar"), "the sidecar's binary")
	flags.StringVar(&s.programs, "programs", filepath.Dir(self), "folder of the peers that are written in Go")
	peerNames := flags.String("peers", "", "names of peers, with commas; default: all")
	columnNames := flags.String("columns", "", "names of columns, with commas; default: all")
	flags.IntVar(&s.rounds, "rounds", 5, "how often everything is measured")
	seconds := flags.Float64("seconds", 3, "how long each is measured, after a second to warm up")
	flags.IntVar(&s.peerCore, "peer-core", 0, "the core of the peers")
	flags.IntVar(&s.loadCore, "load-core", 1, "the core of this process")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if s.peers, err = choose(*peerNames, peers, func(p peer) string { return p.name }); err != nil {
		return s, err
	}
	if s.columns, err = choose(*columnNames, columns, func(c column) string { return c.name }); err != nil {
		return s, err
	}
	if s.rounds < 1 || !(*seconds >= 0.1 && *seconds <= 600) {
		return s, errors.New("-rounds must be 1 at least, and -seconds 0.1 to 600")
	}
	s.time = time.Duration(*seconds * float64(time.Second))
	s.sidecar, err = filepath.Abs(s.sidecar)
	return s, err
}

// choose returns those of all that are named, in the order of all; without names, all.
func choose[T any](names string, all []T, name func(T) string) ([]T, error) {
	if names == "" {
		return all, nil
	}
	var chosen []T
	wanted := strings.FieldsFunc(names, func(r rune) bool { return r == ',' || r == ' ' })
	for _, one := range all {
		if at := slices.Index(wanted, name(one)); at >= 0 {
			chosen, wanted = append(chosen, one), slices.Delete(wanted, at, at+1)
		}
	}
	if len(wanted) > 0 {
		known := make([]string, len(all))
		for i, one := range all {
			known[i] = name(one)
		}
		return nil, fmt.Errorf("there is no %s; there are %s", wanted[0], strings.Join(known, ", "))
	}
	return chosen, nil
}

func run(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	if err := pin(s.loadCore); err != nil {
		return err
	}
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	return measureAll(ctx, s)
}

// pinned says that this process was begun anew on its core.
const pinned = "BENCH_PINNED"

// pin begins this process anew on its core, where it has only one.
func pin(core int) error {
	if os.Getenv(pinned) != "" {
		return nil
	}
	if runtime.NumCPU() < 2 {
		return errors.New("two cores are needed: one for the peers, one for what calls them")
	}
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return fmt.Errorf("looking for taskset, of the package util-linux: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(taskset, append([]string{"taskset", "-c", strconv.Itoa(core), self}, os.Args[1:]...), append(os.Environ(), pinned+"=1"))
}
