// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command operator measures what the operator and its sidecars cost, against a real kube-apiserver and etcd.
//
// The operator runs as its own binary, so that its memory and CPU can be read from the kernel, and its requests from the API
// server's audit log by their user agent. There is no kubelet: a player in this process makes the pods of each Deployment, with
// loopback addresses, and answers on them as sidecars do. So the operator makes every call that it makes in a cluster, asks
// every pod, and endpoints become Ready. Ten thousand Secrets that are none of its business are there, too. The operator is
// configured as the chart does by default.
//
// Endpoints on gateways are served by real sidecars, which read real folders: of them, it is measured how soon they serve what a user
// changes. Each column of them has an API server of its own.
//
// Time is compared side by side, in rounds: the operator makes the children of 500 endpoints, and then a bare client writes the
// very same objects to other namespaces with the same concurrency; and so with 1,000.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are how much is measured.
type settings struct {
	binary      string
	endpoints   int
	rounds      int
	large       int // endpoints of the rounds that show how the ratio grows
	largeRounds int
	concurrency int
	secrets     int
	steps       []int
	rotations   int
	profiles    string

	sidecar         string
	shared          int // endpoints on gateways
	sharedRotations int
	entries         []int // of a sidecar alone
	floodTime       time.Duration
}

func run(ctx context.Context, args []string) error {
	s := settings{steps: []int{100, 500, 1000}, large: 1000, largeRounds: 2, entries: []int{1, 10, 100, 1000, 5000}, floodTime: 20 * time.Second}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&s.binary, "operator", "bin/operator", "the operator's binary")
	flags.IntVar(&s.endpoints, "endpoints", 500, "endpoints of a round")
	flags.IntVar(&s.rounds, "rounds", 3, "rounds of each side")
	flags.IntVar(&s.concurrency, "concurrency", 4, "writers of each side: the operator's --concurrency, and the bare client's")
	flags.IntVar(&s.secrets, "secrets", 10000, "Secrets in the cluster that are not the operator's business")
	flags.IntVar(&s.rotations, "rotations", 200, "changes of a user's Secret, one after the other, and again so many with 20 at once")
	flags.StringVar(&s.profiles, "profiles", "", "folder for profiles of the operator while it makes endpoints; none by default")
	flags.StringVar(&s.sidecar, "sidecar", "bin/sidecar", "the sidecar's binary")
	flags.IntVar(&s.shared, "shared", 1000, "endpoints on gateways")
	flags.IntVar(&s.sharedRotations, "shared-rotations", 100, "changes of a user's Secret of an endpoint on a gateway")
	columns := flags.String("columns", strings.Join(allColumns, ","), "what to measure")
	quick := flags.Bool("quick", false, "a few of everything, to see that it works")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *quick {
		s.endpoints, s.rounds, s.secrets, s.rotations, s.steps = 20, 1, 100, 10, []int{10, 20}
		s.large, s.largeRounds = 40, 1
		s.shared, s.sharedRotations, s.entries, s.floodTime = 60, 5, []int{1, 10}, time.Second
	}
	if s.profiles != "" {
		if err := os.MkdirAll(s.profiles, 0o755); err != nil {
			return err
		}
	}
	ctrl.SetLogger(logr.Discard())
	for _, column := range strings.Split(*columns, ",") {
		measure, known := map[string]func(context.Context, settings) error{
			"dedicated": measureDedicated, "shared": measureGateways, "entries": measureEntries, "neighbours": measureNeighbours,
		}[column]
		if !known {
			return fmt.Errorf("there is no column %q: the columns are %s", column, strings.Join(allColumns, ", "))
		}
		if err := measure(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// allColumns are what can be measured: endpoints with pods of their own, endpoints on gateways, a sidecar alone, and one that is flooded.
var allColumns = []string{"dedicated", "shared", "entries", "neighbours"}

func measureDedicated(ctx context.Context, s settings) error {
	b, err := start(ctx, s)
	if err != nil {
		return err
	}
	return errors.Join(b.measure(ctx), b.stop())
}

// measureGateways measures endpoints that all share one gateway, and as many that share one with those of their namespace.
func measureGateways(ctx context.Context, s settings) error {
	one, err := measureShared(ctx, s, fmt.Sprintf("shared-%d", s.shared), s.shared, s.shared)
	if err != nil {
		return err
	}
	one.print()
	many, err := measureShared(ctx, s, fmt.Sprintf("shared-%dx%d", s.shared/teamSize, teamSize), s.shared/teamSize*teamSize, teamSize)
	if err != nil {
		return err
	}
	many.print()
	return nil
}

// measure runs everything of endpoints with pods of their own, one after the other, and prints what it found.
func (b *bench) measure(ctx context.Context) error {
	say("writing %d Secrets that are none of the operator's business", b.settings.secrets)
	if err := b.makeForeignSecrets(ctx); err != nil {
		return err
	}
	usual, err := b.compare(ctx, b.settings.endpoints, b.settings.rounds)
	if err != nil {
		return err
	}
	large, err := b.compare(ctx, b.settings.large, b.settings.largeRounds)
	if err != nil {
		return err
	}
	player, err := b.play(ctx, nil)
	if err != nil {
		return err
	}
	defer player.stop()
	steps, err := b.grow(ctx)
	if err != nil {
		return err
	}
	single, crowded, err := b.rotate(ctx, rotating{set: grown, endpoints: steps[len(steps)-1].endpoints}, b.settings.rotations)
	if err != nil {
		return err
	}
	printSteps(steps)
	usual.print()
	large.print()
	last := steps[len(steps)-1]
	fmt.Printf("bench: requests-per-endpoint %.2f\n", last.untilReady)
	fmt.Printf("bench: resync-writes %d\n", last.resyncWrites)
	fmt.Printf("bench: rss-mib %.0f\n", last.rss)
	printRotations("", single, crowded)
	return nil
}

func printRotations(column string, single, crowded []time.Duration) {
	fmt.Printf("bench: %srotate-p50-s %.3f\n", column, percentile(single, 50).Seconds())
	fmt.Printf("bench: %srotate-p99-s %.3f\n", column, percentile(single, 99).Seconds())
	fmt.Printf("bench: %srotate-%d-at-once-p50-s %.3f\n", column, many, percentile(crowded, 50).Seconds())
	fmt.Printf("bench: %srotate-%d-at-once-p99-s %.3f\n", column, many, percentile(crowded, 99).Seconds())
}

func printSteps(steps []step) {
	fmt.Printf("\n%-10s %12s %14s %14s %10s %12s %14s %12s %12s\n",
		"endpoints", "s to Ready", "first status", "until Ready", "RSS MiB", "CPU ms each", "resync writes", "rotate p50 s", "p99 s")
	for _, step := range steps {
		fmt.Printf("%-10d %12.1f %14.2f %14.2f %10.0f %12.1f %14d %12.3f %12.3f\n",
			step.endpoints, step.took.Seconds(), step.firstStatus, step.untilReady, step.rss, step.cpuEach,
			step.resyncWrites, percentile(step.rotations, 50).Seconds(), percentile(step.rotations, 99).Seconds())
	}
	fmt.Println()
}

// comparison is what the operator takes for so many endpoints, in times of what the bare client takes: the medians of the rounds.
// The control plane's CPU hardly depends on what else runs on the machine.
type comparison struct {
	endpoints     int
	byTime, byCPU float64
}

func (c comparison) print() {
	fmt.Printf("bench: apply-%d operator/raw %.2f\n", c.endpoints, c.byTime)
	fmt.Printf("bench: apply-%d-cpu operator/raw %.2f\n", c.endpoints, c.byCPU)
}

func (b *bench) compare(ctx context.Context, endpoints, rounds int) (comparison, error) {
	var times, cpus []float64
	for number := range rounds {
		byTime, byCPU, err := b.compareOnce(ctx, round{endpoints: endpoints, number: number})
		if err != nil {
			return comparison{}, err
		}
		times, cpus = append(times, byTime), append(cpus, byCPU)
	}
	return comparison{endpoints: endpoints, byTime: median(times), byCPU: median(cpus)}, nil
}

// compareOnce runs every side of a round, and clears up after it.
func (b *bench) compareOnce(ctx context.Context, r round) (byTime, byCPU float64, err error) {
	ours, err := b.operatorRound(ctx, r)
	if err != nil {
		return 0, 0, err
	}
	bare, err := b.bareRound(ctx, r)
	if err != nil {
		return 0, 0, err
	}
	asked, err := b.askedRound(ctx, r)
	if err != nil {
		return 0, 0, err
	}
	byTime, byCPU = ours.time.Seconds()/bare.time.Seconds(), ours.cpu.Seconds()/bare.cpu.Seconds()
	say("round %d: %d endpoints, operator %.2f s, bare client %.2f s, ratio %.2f; control plane's CPU %.2f s, of which %.2f s for the users' endpoints themselves, and %.2f s, ratio %.2f",
		r.number+1, r.endpoints, ours.time.Seconds(), bare.time.Seconds(), byTime, ours.cpu.Seconds(), asked.cpu.Seconds(), bare.cpu.Seconds(), byCPU)
	return byTime, byCPU, b.clear(ctx, r)
}

// median is the upper one of the two in the middle where their number is even.
func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}

func say(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, arguments...)...)
}
