// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command try shows the main job of the sidecar without a cluster: it runs the sidecar and the example app as processes of this
// computer, and plays WeChat's server against the URL, correctly and otherwise. The sidecar reads the document that the operator writes for
// the demo's WeChatEndpoint.
//
// It is run by `make try`, which builds the programs beside it. It needs no root, listens on free ports of 127.0.0.1 alone, and leaves nothing
// behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/wechatendpoint/wechatendpoint/test/story"
)

const help = `try runs the sidecar before an app, without a cluster, and plays WeChat's server against it.

  -encrypted   an account in 安全模式, in place of one in 明文模式: messages and replies are sealed
  -app URL     your own app, such as http://127.0.0.1:3000/weixin, in place of the example. It must run, and gets
               what users write as plain POSTs
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		fmt.Print(help)
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "try: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("try", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	encrypted := flags.Bool("encrypted", false, "")
	app := flags.String("app", "", "")
	err := flags.Parse(args)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w\n\n%s", err, help)
	}
	t := &try{Story: story.New(os.Stdout), chosen: shop}
	if *encrypted {
		t.chosen = club
	}
	if *app != "" {
		t.own = true
		if t.app, err = parseApp(*app); err != nil {
			return err
		}
	}
	return t.play(ctx)
}
