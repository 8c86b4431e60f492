// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// programs are the processes of a run. Their binaries stand beside this one.
type programs struct {
	folder  string
	running []*process
}

// process is one of them. Once ended is closed, err says how.
type process struct {
	*exec.Cmd
	ended chan struct{}
	err   error
}

// program is what is started: its name and arguments, and what a GET of a URL answers once it serves.
type program struct {
	name      string
	arguments []string
	ready     string
	serves    func(answer []byte) bool
}

// find looks for the binaries before the story begins.
func find(names ...string) (*programs, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &programs{folder: filepath.Dir(self)}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(p.folder, name)); err != nil {
			return nil, fmt.Errorf("%s is missing in %s: `make try` builds it", name, p.folder)
		}
	}
	return p, nil
}

// start waits until the program serves, and returns its log. It listens where nobody does; should another process take that address first, the
// next one is tried.
func (p *programs) start(ctx context.Context, next func() program) (log *lines, err error) {
	for range 3 {
		if log, err = p.run(ctx, next()); err == nil || ctx.Err() != nil {
			break
		}
	}
	return log, err
}

func (p *programs) run(ctx context.Context, started program) (*lines, error) {
	log := &lines{}
	c := &process{Cmd: exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(p.folder, started.name), started.arguments...), ended: make(chan struct{})}
	c.Stderr = log
	if err := c.Start(); err != nil {
		return nil, err
	}
	go func() { c.err = c.Wait(); close(c.ended) }()
	for limit := time.After(15 * time.Second); ; {
		select {
		case <-c.ended:
			return nil, fmt.Errorf("%s ended: %w: %s", started.name, c.err, log.last())
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), c.end())
		case <-limit:
			return nil, errors.Join(fmt.Errorf("%s does not serve after 15 s: %s", started.name, log.last()), c.end())
		case <-time.After(10 * time.Millisecond):
		}
		if answer, err := get(ctx, started.ready); err == nil && started.serves(answer) {
			p.running = append(p.running, c)
			return log, nil
		}
	}
}

// stop ends all, the last one first.
func (p *programs) stop() error {
	var problems []error
	for i := len(p.running) - 1; i >= 0; i-- {
		problems = append(problems, p.running[i].end())
	}
	p.running = nil
	return errors.Join(problems...)
}

// end is what Kubernetes does to a container: it asks, and in the end it does not ask.
func (c *process) end() error {
	_ = c.Process.Signal(syscall.SIGTERM) // one that has ended already says so below
	select {
	case <-c.ended:
	case <-time.After(5 * time.Second):
		_ = c.Process.Kill()
		<-c.ended
	}
	if c.err != nil {
		return fmt.Errorf("ending %s: %w", filepath.Base(c.Path), c.err)
	}
	return nil
}

func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", url, response.Status)
	}
	return io.ReadAll(response.Body)
}

// lines are a log in memory.
type lines struct {
	mu   sync.Mutex
	text []byte
}

func (l *lines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, text...)
	return len(text), nil
}

// last is the newest line that is whole.
func (l *lines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	whole := l.text[:bytes.LastIndexByte(l.text, '\n')+1]
	whole = bytes.TrimRight(whole, "\n")
	return string(whole[bytes.LastIndexByte(whole, '\n')+1:])
}
