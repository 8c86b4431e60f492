//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command soak sends mixed traffic to one sidecar for a long time, and says whether it grows: valid messages of each mode with WeChat's further
// tries, repeats, forgeries, floods, slow clients, and an app that is slow at times. The sidecar is its own binary, on one core, with the memory
// of a pod.
//
// With -hostile it measures instead what valid messages lose while others send what they can.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// settings are how much is sent, and to whom.
type settings struct {
	sidecar string
	during  time.Duration
	plot    string
	row     time.Duration
}

func run(ctx context.Context, args []string) error {
	var s settings
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.StringVar(&s.sidecar, "sidecar", "bin/sidecar", "the sidecar's binary")
	flags.DurationVar(&s.during, "during", time.Hour, "how long traffic is sent")
	flags.StringVar(&s.plot, "plot", "bin/soak.svg", "file for the picture; empty for none")
	hostile := flags.Bool("hostile", false, "measure valid messages beside hostile traffic instead")
	flags.DurationVar(&s.row, "row", 20*time.Second, "with -hostile: how long each kind of traffic is sent")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *hostile {
		return measureHostile(ctx, s)
	}
	return soak(ctx, s)
}
