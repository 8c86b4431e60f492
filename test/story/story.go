// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package story tells what `make demo` shows on a cluster and `make try` without one: step after step, with every request and answer.
//
// A Story is told to somebody who reads. An Account is played against: WeChat calls its URL, and so do others.
package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Patience is how long a state is waited for.
const Patience = 2 * time.Minute

// Story is told to Out, and counts its steps.
type Story struct {
	Out io.Writer
	// Patient readers are told that a step is under way: those at a terminal.
	Patient bool

	number, passed, failed int
}

// New is a story for whoever reads the file.
func New(out *os.File) *Story {
	info, err := out.Stat()
	return &Story{Out: out, Patient: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// Printf prints what belongs to no step.
func (s *Story) Printf(format string, values ...any) { fmt.Fprintf(s.Out, format, values...) }

// Show prints lines that belong to a step.
func (s *Story) Show(format string, values ...any) {
	text := strings.TrimRight(fmt.Sprintf(format, values...), "\n")
	for line := range strings.Lines(text) {
		s.Printf("      %s\n", strings.TrimRight(line, "\n"))
	}
}

// Perform tells one step, and reports whether it passed. Run returns what was shown by it, or why it was not.
func (s *Story) Perform(ctx context.Context, title string, run func(context.Context) (string, error)) bool {
	if ctx.Err() != nil {
		return false
	}
	s.number++
	s.Printf("\n%2d  %s\n", s.number, title)
	began := time.Now()
	stop := s.StillAtIt()
	shown, err := run(ctx)
	stop()
	if err != nil {
		s.failed++
		s.Printf("    FAIL  %v\n", err)
		return false
	}
	s.passed++
	s.Printf("    PASS  %s (%v)\n", shown, rounded(time.Since(began)))
	return true
}

// rounded is a duration for people.
func rounded(took time.Duration) time.Duration {
	if took < 100*time.Millisecond {
		return took.Round(time.Millisecond)
	}
	return took.Round(100 * time.Millisecond)
}

// signOfLife is how often a step says that it is under way. There is no spinner.
const signOfLife = 15 * time.Second

// StillAtIt says now and then that something is waited for, until the function that it returns is called.
func (s *Story) StillAtIt() (stop func()) {
	if !s.Patient {
		return func() {}
	}
	began, done := time.Now(), make(chan struct{})
	ticker := time.NewTicker(signOfLife)
	go func() {
		for {
			select {
			case <-done:
				return
			case now := <-ticker.C:
				s.Show("… still at it, after %v", now.Sub(began).Round(time.Second))
			}
		}
	}()
	return func() { ticker.Stop(); close(done) }
}

// End says how it went. Its error leads to what tells more.
func (s *Story) End(name, more string) error {
	s.Printf("\n%s: %d passed, %d failed\n", name, s.passed, s.failed)
	if s.failed > 0 {
		return errors.New("not everything passed; " + more)
	}
	return nil
}

// Until asks again, twice a second, until there is no error or Patience is at its end; then the error is the last one.
func Until(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("waited in vain for %v", Patience), err)
		case <-tick.C:
		}
	}
}

// Quoted writes a command's words such that they can be copied into a shell.
func Quoted(words []string) string {
	written := make([]string, len(words))
	for i, word := range words {
		if written[i] = word; strings.ContainsAny(word, ` "'\$*?[]{}<>&|;`) {
			written[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return strings.Join(written, " ")
}
