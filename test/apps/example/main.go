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
// With --tls-dir it also serves all of that by HTTPS, on port 8443.
//
// It checks no signature and knows no token. The sidecar before it has verified whatever comes here, and the app's Service
// is published by nothing else. A second check could not even be made: the sidecar does not pass on the parameters in
// which the signature was.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "example-app: %v\n", err)
		os.Exit(1)
	}
}

// run serves until ctx is done and the messages under way are answered.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("example-app", flag.ContinueOnError)
	listen := flags.String("listen", ":8080", "address for plain HTTP")
	tlsDir := flags.String("tls-dir", "", "folder with tls.crt and tls.key; empty for plain HTTP alone")
	if err := flags.Parse(args); err != nil {
		return err
	}
	app := newApp()
	servers := []*http.Server{{Addr: *listen, Handler: app, ReadHeaderTimeout: 5 * time.Second}}
	failed := make(chan error, 2)
	go func() { failed <- servers[0].ListenAndServe() }()
	if *tlsDir != "" {
		secure := &http.Server{Addr: ":8443", Handler: app, ReadHeaderTimeout: 5 * time.Second}
		servers = append(servers, secure)
		go func() {
			failed <- secure.ListenAndServeTLS(filepath.Join(*tlsDir, "tls.crt"), filepath.Join(*tlsDir, "tls.key"))
		}()
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, server := range servers {
		if err := server.Shutdown(finish); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	return nil
}
