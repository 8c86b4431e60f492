// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command ledger-app is the app of the chaos tests. It counts numbered messages, and forgets none when one of its pods ends.
//
// Without flags it keeps the ledger. With --keeper it is an app: it has each message noted by the keeper before it answers.
//
//	POST /weixin    to the app: a message of WeChat's; the passive reply is "noted: …"
//	POST /note      to the keeper: a text, which is counted
//	GET  /seen      to the keeper: what was counted, as JSON
//	GET  /healthz   200
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/wechatendpoint/wechatendpoint/test/chaos"
)

// The ledger's bounds: 4 MiB.
const (
	loads   = 256
	numbers = 16 << 10
)

// maxText bounds a text that is noted. Bytes.
const maxText = 4 << 10

// patience is how long the keeper may take to note a text. A pod whose network is cut waits for it to come back.
const patience = 20 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "ledger-app: %v\n", err)
		os.Exit(1)
	}
}

// run serves until ctx is done and the messages under way are answered.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("ledger-app", flag.ContinueOnError)
	listen := flags.String("listen", ":8080", "address")
	keeper := flags.String("keeper", "", "http://host:port of the keeper, which makes this an app; empty keeps the ledger")
	if err := flags.Parse(args); err != nil {
		return err
	}
	handler := newKeeper(chaos.NewLedger(loads, numbers))
	if *keeper != "" {
		handler = newApp(*keeper)
	}
	server := &http.Server{Addr: *listen, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
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

func healthy(http.ResponseWriter, *http.Request) {}

// newKeeper serves the ledger.
func newKeeper(ledger *chaos.Ledger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthy)
	mux.HandleFunc("POST /note", func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxText))
		if err != nil {
			http.Error(w, "the text cannot be read", http.StatusBadRequest)
			return
		}
		ledger.Note(string(text))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /seen", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(ledger.Seen()) // a client that hung up wants no answer
	})
	return mux
}

// newApp serves the app. The path is the endpoint's.
func newApp(keeper string) http.Handler {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthy)
	mux.HandleFunc("POST /weixin", chaos.App(func(ctx context.Context, text string) error {
		// What was begun is noted, although whoever called may have hung up: the app has the message.
		request, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, keeper+"/note", strings.NewReader(text[:min(len(text), maxText)]))
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusNoContent {
			return fmt.Errorf("the keeper answers %s", response.Status)
		}
		return nil
	}))
	return mux
}
