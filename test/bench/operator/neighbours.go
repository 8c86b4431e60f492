// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// Endpoints of one sidecar. The first has an app that never answers; the second gets forged messages; the others are quiet.
const (
	neighbours    = 30
	frozen        = 0
	forged        = 1
	firstQuiet    = 2
	gatewayMemory = 192 << 20             // the default of a gateway's pods
	quietInterval = 10 * time.Millisecond // between messages of all quiet ones together
	flooders      = 64
)

// flood is how many clients send at once, each as fast as it is answered.
type flood struct {
	name           string
	frozen, forged int
}

var floods = []flood{
	{name: "alone"},
	{name: "frozen", frozen: flooders},
	{name: "forged", forged: flooders},
	{name: "both", frozen: flooders / 2, forged: flooders / 2},
}

// measureNeighbours measures what quiet endpoints of a sidecar lose while others of it are flooded.
func measureNeighbours(ctx context.Context, s settings) (err error) {
	folder, err := os.MkdirTemp(memory(), "bench-sidecar-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	answering, err := serveApp(ctx, func(http.ResponseWriter, *http.Request) {})
	if err != nil {
		return err
	}
	defer answering.Close()
	silent, err := serveApp(ctx, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	if err != nil {
		return err
	}
	defer silent.Close()
	files, names := map[string][]byte{}, []string{}
	for i := range neighbours {
		document := usualDocument(i, 1)
		document.Backend.URL = "http://" + answering.Addr
		if i == frozen {
			document.Backend.URL = "http://" + silent.Addr
		}
		addDocument(files, i, document)
		names = append(names, entryName(i))
	}
	files["shard-0"+config.ListSuffix] = []byte(strings.Join(names, "\n"))
	v := &volume{dir: filepath.Join(folder, "volume")}
	if err := v.write(files); err != nil {
		return err
	}
	process, err := startSidecar(ctx, s.sidecar, v.dir, sidecarAddress, gatewayMemory, filepath.Join(folder, "log"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, process.stop()) }()
	if err := awaitSidecar(ctx, process, sidecarAddress); err != nil {
		return err
	}
	for _, f := range floods {
		if err := f.measure(ctx, process, s.floodTime); err != nil {
			return err
		}
	}
	return nil
}

// serveApp serves on a port of its own.
func serveApp(ctx context.Context, handle http.HandlerFunc) (*http.Server, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Addr: listener.Addr().String(), Handler: handle, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }() // until it is closed
	return server, nil
}

// measure sends the messages of the quiet endpoints for a time, beside the flood.
func (f flood) measure(ctx context.Context, process *running, during time.Duration) error {
	cpuBefore, err := process.cpu()
	if err != nil {
		return err
	}
	flooding, stop := context.WithCancel(ctx)
	defer stop()
	var flood sync.WaitGroup
	var sent [firstQuiet]atomic.Int64
	for i := range f.frozen + f.forged {
		target, mutations := frozen, []caller.Mutation(nil)
		if i < f.forged {
			target, mutations = forged, []caller.Mutation{wechattest.WithToken("GuessedToken")}
		}
		flood.Go(func() {
			sender := senderTo(target)
			for flooding.Err() == nil {
				_, _ = sender.Text(flooding, openID, "noise", mutations...) // whatever becomes of it
				sent[target].Add(1)
			}
		})
	}
	var quiet deliveries
	quiet.send(ctx, during)
	stop()
	flood.Wait()
	cpuAfter, err := process.cpu()
	if err != nil {
		return err
	}
	peak, err := process.peak()
	if err != nil {
		return err
	}
	column := "bench: neighbours-" + f.name
	fmt.Printf("%s-flood frozen %d, forged %d\n", column, sent[frozen].Load(), sent[forged].Load())
	fmt.Printf("%s-sent %d\n", column, len(quiet.took)+quiet.lost)
	fmt.Printf("%s-lost %d\n", column, quiet.lost)
	fmt.Printf("%s-p50-ms %d\n", column, percentile(quiet.took, 50).Milliseconds())
	fmt.Printf("%s-p99-ms %d\n", column, percentile(quiet.took, 99).Milliseconds())
	fmt.Printf("%s-cpu-s %.1f\n", column, (cpuAfter - cpuBefore).Seconds())
	fmt.Printf("%s-rss-peak-mib %.0f\n", column, peak)
	return process.alive()
}

// deliveries are what became of messages that were sent as WeChat does, with its further tries.
type deliveries struct {
	mu   sync.Mutex
	took []time.Duration // of those that were taken, until then; sorted at the end
	lost int
}

// send sends to each of the quiet endpoints in turn, at a steady pace, and waits for the last answer.
func (d *deliveries) send(ctx context.Context, during time.Duration) {
	var all sync.WaitGroup
	pace, end := time.NewTicker(quietInterval), time.After(during)
	defer pace.Stop()
	for i := firstQuiet; ; i++ {
		select {
		case <-ctx.Done():
		case <-end:
		case <-pace.C:
			all.Go(func() { d.one(ctx, firstQuiet+i%(neighbours-firstQuiet)) })
			continue
		}
		break
	}
	all.Wait()
	slices.Sort(d.took)
}

func (d *deliveries) one(ctx context.Context, i int) {
	sender, began := senderTo(i), time.Now()
	request, err := sender.NewText(openID, "words")
	taken := false
	if err == nil {
		attempts := sender.Deliver(ctx, request)
		last := attempts[len(attempts)-1]
		taken = last.Err == nil && last.Answer.Status == http.StatusOK
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if taken {
		d.took = append(d.took, time.Since(began))
	} else {
		d.lost++
	}
}

const openID = "oIl9xuBench"

// senderTo plays WeChat for the endpoint of an entry.
func senderTo(i int) *caller.Sender {
	document := usualDocument(i, 1)
	pair := document.Credentials.Pairs[0]
	return &caller.Sender{
		URL: "http://" + document.Host + document.Path, Address: net.JoinHostPort(sidecarAddress, "8080"),
		Token: pair.Token, EncodingAESKey: pair.EncodingAESKey, ReceiverID: document.AppID,
	}
}
