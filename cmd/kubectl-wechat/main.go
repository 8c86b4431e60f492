// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command kubectl-wechat is a kubectl plugin. It makes endpoints and shows what is missing (init, status, console, logs), plays WeChat's
// server against a callback URL (verify, send), tells why WeChat would refuse it (doctor), decrypts what was
// captured (open), and shows messages as they come (listen, replay).
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // the ways in which a kubeconfig can log in

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/plugin"
	"github.com/wechatendpoint/wechatendpoint/sidecar/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	command := plugin.Plugin{
		Version: version.Get().String(), Connect: plugin.Kubeconfig, PodLog: plugin.KubernetesLog, Forward: plugin.KubernetesForward, Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
	status := command.Run(ctx, arguments(os.Args))
	stop()
	os.Exit(status)
}

// arguments are those of the plugin. Under the name that kubectl looks for to complete them, the program completes them.
func arguments(args []string) []string {
	if strings.TrimSuffix(filepath.Base(args[0]), ".exe") == plugin.CompleterName {
		return append([]string{cobra.ShellCompRequestCmd}, args[1:]...)
	}
	return args[1:]
}
