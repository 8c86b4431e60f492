//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
)

// taps read the messages of the endpoint, as kubectl wechat listen --forward-to does.
type taps struct {
	open              sync.WaitGroup
	messages, dropped atomic.Uint64
	cancel            context.CancelFunc
}

// openTaps opens so many taps of the endpoint.
func openTaps(ctx context.Context, n int) (*taps, error) {
	t := new(taps)
	ctx, t.cancel = context.WithCancel(ctx)
	for range n {
		if err := t.openOne(ctx); err != nil {
			t.cancel()
			return nil, err
		}
	}
	return t, nil
}

func (t *taps) openOne(ctx context.Context) error {
	pod := netip.MustParseAddrPort(opsAddress)
	query := tap.Query{Endpoint: measured, Messages: true, Follow: true}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+opsAddress+tap.Path+"?"+query, nil)
	if err != nil {
		return err
	}
	proof := tap.Proof{At: time.Now(), To: pod.Addr()}
	_, _ = rand.Read(proof.Nonce[:]) // never fails, by its documentation
	asked := tap.Asked{Method: http.MethodGet, Path: tap.Path, RawQuery: query, Body: sha256.Sum256(nil)}
	request.Header.Set("Authorization", proof.Sign(tap.NewKey(make([]byte, config.GatewayKeySize)), asked))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("opening a tap: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("opening a tap: status %d", response.StatusCode)
	}
	t.open.Go(func() {
		defer response.Body.Close()
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			var line tap.Line
			if json.Unmarshal(lines.Bytes(), &line) != nil {
				continue // a beat
			}
			t.dropped.Add(line.Dropped)
			if line.Message != nil {
				t.messages.Add(1)
			}
		}
	})
	return nil
}

// close ends them, and tells what they have read.
func (t *taps) close(column string) {
	t.cancel()
	t.open.Wait()
	fmt.Fprintf(os.Stderr, "%s: the taps got %d messages, and %d were left out\n", column, t.messages.Load(), t.dropped.Load())
}
