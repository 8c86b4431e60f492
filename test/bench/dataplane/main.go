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
	before   string // another sidecar; empty for none
	profile  string // a folder; empty for none
	samples  string // a file for what was measured; empty for none
	plots    string // a folder; empty for none
	from     []string
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

const maxRounds = 1000

func parse(args []string) (settings, error) {
	flags := flag.NewFlagSet("dataplane", flag.ContinueOnError)
	var s settings
	self, err := os.Executable()
	if err != nil {
		return s, err
	}
	flags.StringVar(&s.sidecar, "sidecar", filepath.Join(filepath.Dir(self), "sidecar"), "the sidecar's binary")
	flags.StringVar(&s.programs, "programs", filepath.Dir(self), "folder of the peers that are written in Go")
	flags.StringVar(&s.before, "before", "", "another sidecar's binary, which becomes the peer "+before)
	flags.StringVar(&s.profile, "profile", "", "a folder for what perf record sees of the sidecar while it is measured (not of what is compared)")
	flags.StringVar(&s.samples, "samples", "", "a file for all that was measured")
	flags.StringVar(&s.plots, "plots", "", "a folder for the plots, performance-peers.svg and performance-growth.svg")
	from := flags.String("from", "", "files that -samples wrote, with commas: they are told of together, and nothing is measured")
	peerNames := flags.String("peers", "", "names of peers, with commas; default: all")
	columnNames := flags.String("columns", groupMain, "names of columns, or of their groups main, floods and growth, with commas")
	flags.IntVar(&s.rounds, "rounds", 5, "how often everything is measured")
	seconds := flags.Float64("seconds", 3, "how long each is measured, after a second to warm up")
	flags.IntVar(&s.peerCore, "peer-core", 0, "the core of the peers")
	flags.IntVar(&s.loadCore, "load-core", 1, "the core of this process")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	known := slices.Clone(peers)
	if s.before != "" {
		known = append(known, sidecarPeer(before, "the other sidecar", 1))
		if *peerNames != "" {
			*peerNames += "," + before
		}
	}
	if s.peers, err = choose(*peerNames, known, func(p peer) string { return p.name }); err != nil {
		return s, err
	}
	if s.columns, err = choose(*columnNames, columns, func(c column) string { return c.name }, func(c column) string { return c.group }); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected %s", flags.Arg(0))
	}
	s.from = strings.FieldsFunc(*from, func(r rune) bool { return r == ',' })
	if s.rounds < 1 || s.rounds > maxRounds || !(*seconds >= 0.1 && *seconds <= 600) {
		return s, errors.New("-rounds must be 1 to 1000, and -seconds 0.1 to 600")
	}
	s.time = time.Duration(*seconds * float64(time.Second))
	for _, path := range []*string{&s.sidecar, &s.before, &s.profile} {
		if *path != "" && err == nil {
			*path, err = filepath.Abs(*path)
		}
	}
	return s, err
}

// choose returns the items that the list of names asks for, in their own order, or all items if the list is empty. Each function in known
// returns one name of an item.
func choose[T any](names string, all []T, known ...func(T) string) ([]T, error) {
	wanted := strings.FieldsFunc(names, func(r rune) bool { return r == ',' || r == ' ' })
	if len(wanted) == 0 {
		return all, nil
	}
	found := map[string]bool{}
	var chosen []T
	var firsts []string
	for _, one := range all {
		is := false
		for _, name := range known {
			found[name(one)] = true
			is = is || slices.Contains(wanted, name(one))
		}
		firsts = append(firsts, known[0](one))
		if is {
			chosen = append(chosen, one)
		}
	}
	for _, name := range wanted {
		if !found[name] {
			return nil, fmt.Errorf("there is no %s; there are %s", name, strings.Join(firsts, ", "))
		}
	}
	return chosen, nil
}

func run(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	if len(s.from) > 0 {
		samples, err := readSamples(s.from)
		return errors.Join(err, present(s, samples))
	}
	if err := pin(s.loadCore); err != nil {
		return err
	}
	unlock, err := lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	on, err := machine(ctx, s.sidecar)
	if err != nil {
		return err
	}
	fmt.Printf("bench: machine %s\n", on)
	for _, p := range s.peers {
		fmt.Printf("bench: peer %s: %s\n", p.name, p.says)
	}
	fmt.Println()
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
