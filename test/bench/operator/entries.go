// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// entries is what one sidecar costs that serves so many.
type entries struct {
	n         int
	ready     time.Duration
	rss       float64         // MiB, when it has served for a moment
	peak      float64         // MiB, the most, at the end
	reloads   []time.Duration // from the new files until one entry is served anew, sorted
	reloadCPU time.Duration   // of one reload
}

func (e entries) print() {
	column := fmt.Sprintf("bench: entries-%d ", e.n)
	fmt.Printf("%sready-s %.3f\n", column, e.ready.Seconds())
	fmt.Printf("%srss-mib %.0f\n", column, e.rss)
	fmt.Printf("%srss-peak-mib %.0f\n", column, e.peak)
	fmt.Printf("%sreload-s %.3f\n", column, percentile(e.reloads, 50).Seconds())
	fmt.Printf("%sreload-cpu-ms %.1f\n", column, float64(e.reloadCPU.Microseconds())/1000)
}

// sidecarAddress is where the sidecar alone listens.
const sidecarAddress = "127.77.0.1"

// Reloads that are timed, and others of which the CPU time is measured: nobody asks the sidecar meanwhile.
const (
	timedReloads = 20
	otherReloads = 20
)

// measureEntries measures a sidecar alone.
func measureEntries(ctx context.Context, s settings) error {
	for _, n := range s.entries {
		e, err := measureSidecar(ctx, s, n)
		if err != nil {
			return err
		}
		e.print()
	}
	return measureLookups(ctx)
}

// memoryFor is a memory limit of which the entries may have an eighth: 20 KiB each, but not less than the default.
func memoryFor(entries int) int64 { return max(64<<20, int64(entries)*8*20<<10) }

func measureSidecar(ctx context.Context, s settings, n int) (_ entries, err error) {
	folder, err := os.MkdirTemp(memory(), "bench-sidecar-")
	if err != nil {
		return entries{}, err
	}
	defer os.RemoveAll(folder)
	files, names := map[string][]byte{}, []string{}
	for i := range n {
		names = append(names, entryName(i))
		addDocument(files, i, usualDocument(i, 1))
	}
	files["shard-0"+config.ListSuffix] = []byte(strings.Join(names, "\n"))
	v := &volume{dir: filepath.Join(folder, "volume")}
	if err := v.write(files); err != nil {
		return entries{}, err
	}
	e, began := entries{n: n}, time.Now()
	process, err := startSidecar(ctx, s.sidecar, v.dir, sidecarAddress, memoryFor(n), filepath.Join(folder, "log"))
	if err != nil {
		return entries{}, err
	}
	defer func() { err = errors.Join(err, process.stop()) }()
	if err := awaitSidecar(ctx, process, sidecarAddress); err != nil {
		return entries{}, err
	}
	e.ready = time.Since(began)
	if err := refusesNone(ctx, n); err != nil {
		return entries{}, err
	}
	time.Sleep(time.Second)
	if e.rss, err = process.rss(); err != nil {
		return entries{}, err
	}
	if err := e.reload(ctx, process, v); err != nil {
		return entries{}, err
	}
	e.peak, err = process.peak()
	return e, err
}

// reload changes one entry again and again.
func (e *entries) reload(ctx context.Context, process *running, v *volume) error {
	change := func(round int) (string, error) {
		files, i := maps.Clone(v.files), round%e.n
		addDocument(files, i, usualDocument(i, round))
		return entryName(i), v.write(files)
	}
	for round := range timedReloads {
		time.Sleep(rand.N(300 * time.Millisecond)) // it looks at fixed times
		entry, err := change(2 + round)
		if err != nil {
			return err
		}
		began := time.Now()
		err = await(ctx, "a reload", func() (bool, error) {
			status, err := statusOf(ctx, sidecarAddress, entry)
			return status.Generation == generationOf(2+round), err
		})
		if err != nil {
			return err
		}
		e.reloads = append(e.reloads, time.Since(began))
	}
	slices.Sort(e.reloads)
	before, err := process.cpu()
	if err != nil {
		return err
	}
	for round := range otherReloads {
		if _, err := change(2 + timedReloads + round); err != nil {
			return err
		}
		time.Sleep(400 * time.Millisecond) // it looks every 250 ms
	}
	after, err := process.cpu()
	e.reloadCPU = (after - before) / otherReloads
	return err
}

// refusesNone fails unless the sidecar serves every entry.
func refusesNone(ctx context.Context, n int) error {
	response, err := ask(ctx, sidecarAddress, "/status")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var status config.ProcessStatus
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the sidecar answers %s", response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(&status); err != nil {
		return err
	}
	for name, entry := range status.Entries {
		if entry.Problem != "" {
			return fmt.Errorf("entry %s: %s", name, entry.Problem)
		}
	}
	if len(status.Entries) != n {
		return fmt.Errorf("the sidecar has %d entries of %d", len(status.Entries), n)
	}
	return nil
}

func entryName(i int) string { return fmt.Sprintf("shop-%04d", i) }

func generationOf(round int) string { return fmt.Sprintf("0123456789-%d", round) }

// usualDocument is of an endpoint with one pair of credentials in encrypted mode.
func usualDocument(i, round int) config.Document {
	return config.Document{
		Config: config.Config{
			Generation: generationOf(round), Endpoint: "bench/" + entryName(i), Platform: config.PlatformOfficialAccount, AppID: "wx5823bf96d3bd56c7",
			MessageMode: config.ModeEncrypted, Host: fmt.Sprintf("bench-%03d.example.com", i/perHost), Path: "/" + entryName(i), Freshness: config.Duration(5 * time.Minute),
			Backend: config.Backend{URL: "http://app.bench.svc:8080", Deadline: config.Duration(4 * time.Second)},
		},
		Credentials: config.Credentials{
			GatewayKey: make([]byte, 32),
			Pairs:      []config.Pair{{Generation: 1, Token: "BenchToken1", EncodingAESKey: strings.Repeat("a", 43)}},
		},
	}
}

// addDocument adds the file of an entry.
func addDocument(files map[string][]byte, i int, document config.Document) {
	text, err := json.Marshal(document)
	if err != nil {
		panic(err) // it has no part that could not be written
	}
	files[entryName(i)+config.DocumentSuffix] = text
}

// lookup is what the sidecar's benchmark says of a thousand entries.
var lookup = regexp.MustCompile(`BenchmarkLookup/1000\S*\s+\d+\s+([\d.]+) ns/op\s+\d+ B/op\s+(\d+) allocs/op`)

// measureLookups runs the sidecar's own benchmark: what it measures is not seen from outside of the process.
func measureLookups(ctx context.Context) error {
	said, err := exec.CommandContext(ctx, "go", "test", "-run=^$", "-bench=^BenchmarkLookup$/^1000$", "./sidecar").CombinedOutput()
	found := lookup.FindSubmatch(said)
	if err != nil || found == nil {
		return errors.Join(err, fmt.Errorf("the benchmark of a lookup says:\n%s", said))
	}
	fmt.Printf("bench: lookup-ns %s\n", found[1])
	fmt.Printf("bench: lookup-allocs %s\n", found[2])
	return nil
}
