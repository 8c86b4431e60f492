// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command example-app is an Official Account that says back what it is told: the app of the demo and of the end-to-end
// tests, and the least that an app behind a WeChatEndpoint has to be.
//
//	POST /weixin    a message of WeChat's; the passive reply is "you said: …"
//	GET  /seen      what came, as JSON
//	POST /behave    how to answer from now on: ?delay=6s&status=500&reply=success; without parameters as before
//	GET  /healthz   200
//
// It checks no signature and knows no token. The sidecar before it has verified whatever comes here, and the app's Service
// is published by nothing else. A second check could not even be made: the sidecar does not pass the query on, in which
// the signature was.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "example-app: %v\n", err)
		os.Exit(1)
	}
}

// run serves until ctx is done and the messages under way are answered.
func run(ctx context.Context) error {
	server := &http.Server{Addr: ":8080", Handler: newApp(), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(finish); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
