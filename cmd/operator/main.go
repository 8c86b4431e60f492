// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command operator reconciles the WeChatEndpoints of a cluster. As "operator check" it plays WeChat's URL check against one of them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"strings"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager/signals"

	"github.com/wechatendpoint/wechatendpoint/cmd/operator/internal/urlcheck"
	"github.com/wechatendpoint/wechatendpoint/controllers"
	"github.com/wechatendpoint/wechatendpoint/sidecar/version"
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(40) // the cache is most of the heap and lives long: less room beside it costs little CPU
	}
	if limit, err := memlimit.FromCgroup(); err == nil && limit < math.MaxInt64 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(limit) / 10 * 9) // before it is reached, garbage is collected all the time; the rest is the kernel's
	}
	err := run(signals.SetupSignalHandler(), os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		slog.New(slog.NewJSONHandler(os.Stderr, nil)).Error("operator ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "check" {
		return urlcheck.Run(ctx, args[1:], os.Stdout)
	}
	flags := flag.NewFlagSet("operator", flag.ContinueOnError)
	config := flags.String("config", "", "file with the choices of the installation, see controllers.Options (required)")
	elect := flags.Bool("leader-elect", false, "let only one of several replicas work")
	electIn := flags.String("leader-election-namespace", "", "namespace of the Lease; default: the operator's own")
	watch := flags.String("watch-namespaces", "", "the only namespaces to serve, such as team-a,team-b; default: the whole cluster")
	metrics := metricsFlags(flags)
	probes := flags.String("health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	profiles := flags.String("pprof-bind-address", "0", "address of Go's profiles, for who measures the operator; 0 for none")
	concurrency := flags.Int("concurrency", 4, "endpoints that are reconciled at once")
	var level slog.Level
	flags.TextVar(&level, "log-level", slog.LevelInfo, "debug, info, warn or error")
	tell := flags.Bool("version", false, "print the version and end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *tell {
		_, err := fmt.Println("operator", version.Get())
		return err
	}
	options, optionsErr := controllers.ReadOptions(*config, podNamespace())
	namespaces, namespacesErr := controllers.ParseNamespaces(*watch)
	metricsOptions, metricsErr := metrics.options()
	if err := errors.Join(optionsErr, namespacesErr, metricsErr); err != nil {
		return err
	}
	options.Concurrency, options.Namespaces = *concurrency, namespaces
	log := slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level, ReplaceAttr: nameSource})
	ctrl.SetLogger(logr.FromSlogHandler(log))
	if keys := options.RiskyAnnotations(); len(keys) > 0 {
		slog.New(log).Warn("endpoints may reconfigure the ingress controller: remove these keys from allowedIngressAnnotations, "+
			"unless everybody who may write WeChatEndpoints is trusted that far", "keys", keys)
	}
	scheme, err := controllers.Scheme()
	if err != nil {
		return err
	}
	rest, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the cluster: %w", err)
	}
	if err := checkCluster(rest); err != nil {
		return err
	}
	manager, err := ctrl.NewManager(rest, ctrl.Options{
		Scheme: scheme, Cache: controllers.CacheOptions(options),
		Metrics: metricsOptions, HealthProbeBindAddress: *probes, PprofBindAddress: *profiles,
		LeaderElection: *elect, LeaderElectionID: "wechatendpoint-operator", LeaderElectionNamespace: *electIn, LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return fmt.Errorf("making the manager: %w", err)
	}
	if err := errors.Join(manager.AddHealthzCheck("ping", healthz.Ping), manager.AddReadyzCheck("ping", healthz.Ping)); err != nil {
		return fmt.Errorf("adding health checks: %w", err)
	}
	if err := controllers.Setup(ctx, manager, options); err != nil {
		return fmt.Errorf("setting up the controller: %w", err)
	}
	return manager.Start(ctx)
}

// podNamespace is the namespace of the operator's pod, as the kubelet tells it; empty outside of a pod.
func podNamespace() string {
	text, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// nameSource lets a source of events say what it watches: controller-runtime logs the whole of one that comes late, which JSON
// cannot hold.
func nameSource(_ []string, attribute slog.Attr) slog.Attr {
	if source, ok := attribute.Value.Any().(fmt.Stringer); ok && attribute.Key == "source" {
		attribute.Value = slog.StringValue(source.String())
	}
	return attribute
}
