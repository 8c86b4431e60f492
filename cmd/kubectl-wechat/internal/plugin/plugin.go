// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plugin is kubectl wechat. A token or key comes from the Secret of an endpoint, a file or standard input, never
// from an argument, and is in no line of the output but where rotate --show asks for the new ones.
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
	// StatusOK: WeChat would accept the URL, or take the reply; what was captured is opened; new values are served.
	StatusOK = 0
	// StatusRefused: WeChat would refuse it; what was captured fails a check; what leaked may still be accepted.
	StatusRefused = 1
	// StatusUsage: nothing is known, because the arguments, the endpoint or its token allow no call, or it was interrupted.
	StatusUsage = 2
)

var errInterrupted = errors.New("interrupted before an answer came")

// Plugin is the command with what it reads and writes.
type Plugin struct {
	// Version is the plugin's own, for kubectl wechat version.
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
	case commandVerify:
		return p.command(ctx, verifyHelp, args, p.verify)
	case commandSend:
		return p.command(ctx, sendHelp, args, p.send)
	case commandOpen:
		return p.command(ctx, openHelp, args, p.open)
	case commandRotate:
		return p.command(ctx, rotateHelp, args, p.rotate)
	case commandVersion:
		return p.command(ctx, versionHelp, args, p.version)
	case "help", "-h", "-help", "--help":
		fmt.Fprint(p.Stdout, help)
		return StatusOK
	default:
		fmt.Fprint(p.Stderr, "kubectl wechat: unknown command\n\n", help)
		return StatusUsage
	}
}

// The commands that take flags.
const (
	commandVerify  = "verify"
	commandSend    = "send"
	commandOpen    = "open"
	commandRotate  = "rotate"
	commandVersion = "version"
)

// command parses the flags of args[0] and runs it. An error of run means that nothing is known.
func (p Plugin) command(ctx context.Context, help string, args []string, run func(context.Context, options) (int, error)) int {
	o, err := parseOptions(args[0], args[1:])
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(p.Stdout, help)
		return StatusOK
	}
	var status int
	if err == nil {
		status, err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintf(p.Stderr, "kubectl wechat %s: %v\n", args[0], err)
		return StatusUsage
	}
	return status
}
