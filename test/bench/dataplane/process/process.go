//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Program is what is started.
type Program struct {
	Path      string
	Arguments []string
	// Environment is all of it.
	Environment []string
}

// Group is running programs with their children, all on one core.
type Group struct {
	commands []*exec.Cmd
	ended    []chan struct{}
	pids     []int
	log      *os.File
}

// Start starts programs on a core. What they write goes to a file in the folder, which is their working directory.
func Start(ctx context.Context, core int, folder string, programs ...Program) (_ *Group, err error) {
	g := &Group{}
	if g.log, err = os.OpenFile(filepath.Join(folder, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644); err != nil {
		return nil, err
	}
	for _, p := range programs {
		command := exec.CommandContext(context.WithoutCancel(ctx), "taskset", append([]string{"-c", strconv.Itoa(core), p.Path}, p.Arguments...)...)
		command.Dir, command.Env, command.Stdout, command.Stderr = folder, p.Environment, g.log, g.log
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := command.Start(); err != nil {
			return nil, errors.Join(fmt.Errorf("starting %s: %w", p.Path, err), g.Stop())
		}
		ended := make(chan struct{})
		go func() { _ = command.Wait(); close(ended) }()
		g.commands, g.ended = append(g.commands, command), append(g.ended, ended)
	}
	return g, nil
}

// Find looks for the children. It is called once all have started, and before Usage and Memory.
func (g *Group) Find() error {
	stats, err := all()
	if err != nil {
		return err
	}
	var roots []int
	for _, command := range g.commands {
		roots = append(roots, command.Process.Pid)
	}
	g.pids = Descendants(stats, roots...)
	return nil
}

// Usage is what they have cost so far.
func (g *Group) Usage() (Usage, error) { return usage(g.pids) }

// Memory is their resident set now, and the sum of the most that each has had. Bytes.
func (g *Group) Memory() (now, most int64, err error) { return memory(g.pids) }

// PID is that of the first program.
func (g *Group) PID() int { return g.commands[0].Process.Pid }

// Ended reports whether one of the programs has ended.
func (g *Group) Ended() bool {
	for _, ended := range g.ended {
		select {
		case <-ended:
			return true
		default:
		}
	}
	return false
}

// Log is the end of what they wrote.
func (g *Group) Log() string {
	text, _ := os.ReadFile(g.log.Name()) // without it, there is nothing to tell
	return string(text[max(0, len(text)-2000):])
}

// Stop ends all of them.
func (g *Group) Stop() error {
	for i, command := range g.commands {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGTERM) // it may have ended
		select {
		case <-g.ended[i]:
		case <-time.After(300 * time.Millisecond): // some wait for connections to end
		}
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		<-g.ended[i]
	}
	return g.log.Close()
}
