// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plugin is kubectl wechat. A token or key comes from the Secret of an endpoint, a file or standard input, never
// from an argument, and is in no line of the output but where somebody asks for it: rotate --show, console --reveal.
package plugin

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
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

var errInterrupted = text.Errorf("interrupted before an answer came")

// Plugin is the command with what it reads and writes.
type Plugin struct {
	// Version is the plugin's own, for kubectl wechat version.
	Version string
	// Connect reaches the cluster; Kubeconfig does it like kubectl.
	Connect Connect
	// PodLog reads the log of a pod; KubernetesLog does it like kubectl logs.
	PodLog PodLog
	// Forward reaches ports of pods; KubernetesForward does it like kubectl port-forward.
	Forward Forward
	// Getenv reads the environment, for the language and colours. Nil reads nothing.
	Getenv func(string) string
	// RootCAs are trusted for https; nil is the computer's own set.
	RootCAs *x509.CertPool
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer

	lang     text.Language
	terminal func(io.Writer) bool // nil asks the operating system
}

// CompleterName is the name under which kubectl looks for what completes the arguments of this plugin. The program is that, too.
const CompleterName = "kubectl_complete-wechat"

// Run does what the arguments say, without the name of the program, and returns the exit status.
func (p Plugin) Run(ctx context.Context, args []string) int {
	if p.Getenv == nil {
		p.Getenv = func(string) string { return "" }
	}
	var err error
	if p.lang, err = text.Choose(askedLanguage(args), p.Getenv); err != nil {
		return p.fail("kubectl wechat", err)
	}
	if holdsSecret(args) {
		return p.fail("kubectl wechat", errToken)
	}
	root, status := p.commands()
	root.SetArgs(append([]string{}, args...))
	command, err := root.ExecuteContextC(ctx)
	if err != nil {
		return p.fail(command.CommandPath(), err)
	}
	return *status
}

// fail says why nothing is known.
func (p Plugin) fail(command string, err error) int {
	fmt.Fprintf(p.Stderr, "%s: %s\n", command, p.lang.Error(err))
	return StatusUsage
}

// askedLanguage is the value of --lang. It is needed before the arguments are parsed: the help and their errors have a language.
func askedLanguage(args []string) string {
	for i, arg := range args {
		switch value, assigned := strings.CutPrefix(arg, "--lang="); {
		case arg == "--":
			return ""
		case assigned:
			return value
		case arg == "--lang" && i+1 < len(args):
			return args[i+1]
		}
	}
	return ""
}

var errToken = text.Errorf("a token or key is never taken as an argument, where the shell's history and every user of this computer can read it: " +
	"use --token-file FILE, --encoding-aes-key-file FILE or --api-v3-key-file FILE, or - in place of FILE to read standard input")

// secretFlag is what somebody would write who passes a token or key. No such flag is defined, and the errors of flags that are not
// defined could quote its value.
var secretFlag = regexp.MustCompile(`^--?(token|encoding-aes-key|api-v3-key)(=|$)`)

func holdsSecret(args []string) bool {
	for _, arg := range args {
		if arg == "--" {
			return false
		}
		if secretFlag.MatchString(arg) {
			return true
		}
	}
	return false
}
