// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command release makes container images, and whole releases, without a container engine.
//
//	release image -binary bin/sidecar -tag ghcr.io/wechatendpoint/sidecar:dev -out sidecar.tar
//	release make -version 0.2.0 -out dist/0.2.0
//	release push -from dist/0.2.0 -registry registry.example.com/you
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `release makes container images and releases.

  image   make the image of one binary, as a tarball or in a registry
  make    make everything that a release consists of, from the commit that is checked out
  push    push the images and the chart of a release to a registry

release COMMAND -h tells its flags.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "release: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("needs a command\n\n%s", usage)
	}
	switch command, rest := args[0], args[1:]; command {
	case "image":
		return runImage(rest, stdout)
	case "make":
		return runMake(ctx, rest, stdout)
	case "push":
		return runPush(ctx, rest, stdout)
	default:
		return fmt.Errorf("there is no command %q\n\n%s", command, usage)
	}
}
