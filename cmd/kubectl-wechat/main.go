// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command kubectl-wechat is a kubectl plugin that plays WeChat's server against a callback URL: kubectl wechat verify
// does the URL check of the console, kubectl wechat send posts what WeChat posts to each kind of account, kubectl wechat
// open decrypts what was captured.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	_ "k8s.io/client-go/plugin/pkg/client/auth" // the ways in which a kubeconfig can log in

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/plugin"
	"github.com/wechatendpoint/wechatendpoint/sidecar/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	command := plugin.Plugin{Version: version.Get().String(), Connect: plugin.Kubeconfig, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	status := command.Run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}
