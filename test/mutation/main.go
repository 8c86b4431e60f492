// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command mutation proves that the tests guard the security decisions: it weakens one check after the other, as the text
// files beside it say, and fails unless a test notices each of them. The sources stay as they are: the compiler is given
// the weakened file by go's -overlay.
//
//	go run ./test/mutation [-run REGEXP]
//
// It is run from the root of the repository. Besides a mutation that no test notices, one whose text is no longer in its
// file and one that does not compile are failures: both prove nothing.
//
// What only takes another time (a comparison that is not constant) cannot be noticed by a test, and is not here.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"
)

// workers is how many mutations are tried at once. The tests wait more than they compute.
const workers = 2

func main() {
	run := flag.String("run", "", "try only the mutations whose names match")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := tryAll(ctx, *run)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "mutation: %v\n", err)
		os.Exit(1)
	}
}

func tryAll(ctx context.Context, pattern string) error {
	mutations, err := read("test/mutation/*.txt", pattern)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "mutation")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	began := time.Now()
	if without := test(ctx, "", packages(mutations), firstPatience); without.result != survived {
		return fmt.Errorf("the tests fail without any mutation: %s %s", without.result, without.by)
	}

	patience := patienceAfter(time.Since(began))
	var mu sync.Mutex
	var group sync.WaitGroup
	counts := map[result]int{}
	queue := make(chan int)
	for range workers {
		group.Go(func() {
			for i := range queue {
				v := try(ctx, mutations[i], filepath.Join(scratch, fmt.Sprint(i)), patience)
				mu.Lock()
				counts[v.result]++
				fmt.Printf("%-8s  %s (%s)\n", v.result, mutations[i].name, v.by)
				mu.Unlock()
			}
		})
	}
	for i := range mutations {
		queue <- i
	}
	close(queue)
	group.Wait()
	fmt.Printf("mutation: %d killed, %d survived\n", counts[killed], counts[survived])
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if counts[killed] != len(mutations) {
		return fmt.Errorf("%d survived: a test is missing, or the check is needless; %d prove nothing", counts[survived], counts[stale]+counts[broken])
	}
	return nil
}

// read returns the mutations of the files whose names match the pattern.
func read(files, pattern string) ([]mutation, error) {
	wanted, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	paths, err := filepath.Glob(files)
	if err != nil {
		return nil, err
	}
	var all []mutation
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		mutations, err := parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, mutations...)
	}
	all = slices.DeleteFunc(all, func(m mutation) bool { return !wanted.MatchString(m.name) })
	if len(all) == 0 {
		return nil, errors.New("there is no such mutation")
	}
	return all, nil
}

// packages are those whose tests some mutation needs, each once.
func packages(mutations []mutation) []string {
	var all []string
	for _, m := range mutations {
		all = append(all, m.packages...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
