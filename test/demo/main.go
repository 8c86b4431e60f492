// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo shows the main job of the operator on a real cluster, as a reader of the quickstart would do it: helm
// installs the operator, kubectl applies an app, a Secret and a WeChatEndpoint, and then the program plays WeChat's server
// against the URL, through the ingress controller, correctly and otherwise. At last two accounts share a WeChatGateway.
//
// It is run by `make demo`. A second run goes on with what the first one made; `demo -down` removes it.
//
//	KUBECONFIG       the cluster
//	CLUSTER          local (default): the cluster of test/cluster; current: any other
//	HELM, KUBECTL    the programs; default: those on the PATH
//	IMAGE_PREFIX     registry and folder of the images, default ghcr.io/wechatendpoint
//	IMAGE_TAG        their tag, default dev
//	INGRESS_CLASS    default traefik
//	INGRESS_ADDRESS  host:port of the ingress controller's plain HTTP; default: the node's port 80 on the local cluster, the
//	                 address in the status of the Ingress on another
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	remove := flag.Bool("down", false, "remove what the demo made")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *remove)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, remove bool) error {
	d, err := newDemo()
	if err != nil {
		return err
	}
	if remove {
		return d.down(ctx)
	}
	return d.play(ctx)
}
