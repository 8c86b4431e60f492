// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command sidecar verifies WeChat's callbacks and forwards them to the apps. It needs no Kubernetes: it reads a folder with a document
// for each endpoint, and listens on two ports.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/wechatendpoint/wechatendpoint/sidecar"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		slog.New(slog.NewJSONHandler(os.Stderr, nil)).Error("sidecar ended", "error", err)
		os.Exit(1)
	}
}

// gcPercent is how much garbage there may be beside what is in use. What is remembered is most of that, and has few pointers: to look at it
// more often costs little.
const gcPercent = 40

const laneStrict, laneStandard = "strict", "standard"

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("sidecar", flag.ContinueOnError)
	configDir := flags.String("config-dir", "/etc/wechat-sidecar", "folder with a document NAME.json for each endpoint")
	listen := flags.String("listen", ":8080", "address for WeChat's callbacks")
	opsListen := flags.String("ops-listen", ":8081", "address for health, readiness, metrics and /status; never publish it")
	drainDelay := flags.Duration("drain-delay", 5*time.Second, "how long to accept callbacks after SIGTERM, while routers take notice")
	grace := flags.Duration("grace", 25*time.Second, "how long callbacks and calls to the app may take after the drain delay")
	memory := flags.Int64("memory", 0, "bytes that the process may use; 0 is the limit of its container, and 64 MiB where there is none")
	others := flags.String("peers", "", "HOST:PORT: a name that leads to the ready pods of this fleet, and their second port; default: there is no other pod")
	collector := flags.String("tracing-endpoint", "", "http://host:port of an OTLP/HTTP receiver that is told how messages went; default: nobody is")
	sampling := flags.Int("tracing-sampling-rate-per-million", config.EveryMessage, "how many of a million messages it is told of")
	lane := flags.String("lane", laneStrict, "who reads usual callbacks, and usual answers of apps: "+laneStrict+", strict readers that cost half, or "+laneStandard+", net/http, which reads all others anyway")
	tell := flags.Bool("version", false, "print the version and end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *tell {
		_, err := fmt.Println("sidecar", version.Get())
		return err
	}
	traces := config.Tracing{Endpoint: *collector}
	if *collector != "" || *sampling != config.EveryMessage {
		traces.SamplingRatePerMillion = sampling
	}
	if err := traces.Validate(); err != nil {
		return fmt.Errorf("tracing: %w", err)
	}
	if *lane != laneStrict && *lane != laneStandard {
		return fmt.Errorf("--lane is %s or %s", laneStrict, laneStandard)
	}
	peers, err := sidecar.ParsePeers(*others)
	if err != nil {
		return fmt.Errorf("--peers: %w", err)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	allowed := allowedMemory(*memory)
	debug.SetMemoryLimit(allowed * 9 / 10) // the rest is the kernel's, for this container
	var network net.ListenConfig
	public, err := network.Listen(ctx, "tcp", *listen)
	if err != nil {
		return fmt.Errorf("listening for callbacks: %w", err)
	}
	defer public.Close()
	ops, err := network.Listen(ctx, "tcp", *opsListen)
	if err != nil {
		return fmt.Errorf("listening for health and metrics: %w", err)
	}
	defer ops.Close()
	return sidecar.New(sidecar.Options{
		ConfigDir:    *configDir,
		DrainDelay:   *drainDelay,
		Grace:        *grace,
		Memory:       allowed,
		Tracing:      traces,
		Peers:        peers,
		StandardHTTP: *lane == laneStandard,
		Log:          slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	}).Serve(ctx, public, ops)
}

// allowedMemory is how many bytes the process may use: what is asked for, or the limit of its memory cgroup.
func allowedMemory(asked int64) int64 {
	if asked > 0 {
		return asked
	}
	if limit, err := memlimit.FromCgroup(); err == nil && limit < math.MaxInt64 {
		return int64(limit)
	}
	return sidecar.DefaultMemory
}
