// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plugin is kubectl wechat. A token comes from the Secret of an endpoint, a file or standard input, never from
// an argument, and is in no line of the output.
package plugin

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
)

// Exit statuses of Run.
const (
	// StatusOK: WeChat would accept the URL, or take the reply.
	StatusOK = 0
	// StatusRefused: WeChat would refuse it.
	StatusRefused = 1
	// StatusUsage: nothing is known, because the arguments, the endpoint or its token allow no call, or it was interrupted.
	StatusUsage = 2
)

var errInterrupted = errors.New("interrupted before an answer came")

// Plugin is the command with what it reads and writes.
type Plugin struct {
	// Version is printed by kubectl wechat version.
	Version string
	// Connect reaches the cluster; Kubeconfig does it like kubectl.
	Connect Connect
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
}

// Run does what the arguments say, without the name of the program, and returns the exit status.
func (p Plugin) Run(ctx context.Context, args []string) int {
	if len(args) == 0 {
		fmt.Fprint(p.Stderr, help)
		return StatusUsage
	}
	switch args[0] {
	case "verify":
		return p.command(ctx, verifyHelp, "verify", args[1:], p.verify)
	case "send":
		return p.command(ctx, sendHelp, "send", args[1:], p.send)
	case "version":
		fmt.Fprintln(p.Stdout, "kubectl-wechat", p.Version)
		return StatusOK
	case "help", "-h", "-help", "--help":
		fmt.Fprint(p.Stdout, help)
		return StatusOK
	default:
		fmt.Fprint(p.Stderr, "kubectl wechat: unknown command\n\n", help)
		return StatusUsage
	}
}

// command parses the flags of one command, finds what it is to call, and runs it. An error of run means that nothing is known.
func (p Plugin) command(ctx context.Context, help, name string, args []string, run func(context.Context, options, target) (int, error)) int {
	o, err := parseOptions(name, args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(p.Stdout, help, commonHelp)
		return StatusOK
	}
	var t target
	if err == nil {
		t, err = p.target(ctx, o)
	}
	var status int
	if err == nil {
		status, err = run(ctx, o, t)
	}
	if err != nil {
		fmt.Fprintf(p.Stderr, "kubectl wechat %s: %v\n", name, err)
		return StatusUsage
	}
	return status
}
