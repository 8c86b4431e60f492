// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package urlcheck plays the console's URL check against an endpoint, until it is answered as WeChat wants it. The chart's test runs it in a pod
// that has no rights: it knows the endpoint's token, and nothing else of the cluster.
package urlcheck

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// pause is how long is waited between two checks.
const pause = time.Second

// Run checks the endpoint that the arguments name, and writes what happens. An error says what is wrong, and where to look.
func Run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("operator check", flag.ContinueOnError)
	flags.SetOutput(out)
	url := flags.String("url", "", "callback URL of the endpoint (required)")
	address := flags.String("address", "", "host:port to call in place of the URL's")
	tokenFile := flags.String("token-file", "", "file with the endpoint's token (required)")
	endpoint := flags.String("endpoint", "", "the endpoint, as NAMESPACE/NAME, for what is said when the check fails")
	within := flags.Duration("within", 2*time.Minute, "how long the endpoint may take until it answers")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *url == "" || *tokenFile == "" {
		return errors.New("--url and --token-file are required")
	}
	token, err := os.ReadFile(*tokenFile)
	if err != nil {
		return fmt.Errorf("reading the token: %w", err)
	}
	sender := &caller.Sender{URL: *url, Address: *address, Token: string(token)}
	ctx, cancel := context.WithTimeout(ctx, *within)
	defer cancel()
	if err := await(ctx, sender, out); err != nil {
		namespace, name, _ := strings.Cut(*endpoint, "/")
		return fmt.Errorf("%s does not take the URL check within %s: %w; look at: kubectl -n %s describe wechatendpoint %s", *url, *within, err, namespace, name)
	}
	fmt.Fprintln(out, "ok: the URL check is answered as WeChat wants it")
	if err := refuses(ctx, *sender); err != nil {
		return err
	}
	fmt.Fprintln(out, "ok: a forged one is refused")
	return nil
}

// await checks until the answer is right. What is wrong meanwhile is written when it changes.
func await(ctx context.Context, sender *caller.Sender, out io.Writer) error {
	said := ""
	for {
		refusal := diagnose.URLCheck(sender.URLCheck(ctx))
		if refusal == nil {
			return nil
		}
		if ctx.Err() == nil && refusal.Cause != said { // at its end, the last check is cut off
			said = refusal.Cause
			fmt.Fprintln(out, "not yet:", said)
		}
		select {
		case <-ctx.Done():
			return errors.New(said)
		case <-time.After(pause):
		}
	}
}

// refuses reports an endpoint that answers whoever does not know its token.
func refuses(ctx context.Context, forger caller.Sender) error {
	forger.Token = rand.Text()
	answer, err := forger.URLCheck(ctx)
	if err != nil {
		return fmt.Errorf("no answer to a forged URL check: %w", err)
	}
	if answer.Status != http.StatusForbidden {
		return fmt.Errorf("a forged URL check is answered with %d, not refused with %d: do not use this endpoint", answer.Status, http.StatusForbidden)
	}
	return nil
}
