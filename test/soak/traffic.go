//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/test/chaos"
	"github.com/wechatendpoint/wechatendpoint/test/hostile"
)

const (
	token   = "SoakToken1"
	key     = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
	appID   = "wx5823bf96d3bd56c7"
	openID  = "oSoakUser0000000000000000000"
	pending = 60 * time.Second // for what an app that never answers is given
)

// kind is a kind of account.
type kind struct {
	platform, mode string
	sender         caller.Sender
}

// kinds are one account of each mode.
var kinds = map[string]kind{
	"plaintext":  {config.PlatformOfficialAccount, config.ModePlaintext, caller.Sender{}},
	"compatible": {config.PlatformOfficialAccount, config.ModeCompatible, caller.Sender{EncodingAESKey: key, ReceiverID: appID, Cleartext: true}},
	"encrypted":  {config.PlatformOfficialAccount, config.ModeEncrypted, caller.Sender{EncodingAESKey: key, ReceiverID: appID}},
	"json":       {config.PlatformMiniProgram, config.ModeEncrypted, caller.Sender{EncodingAESKey: key, ReceiverID: appID, Form: wechat.FormJSON}},
	"wecom":      {config.PlatformWeCom, "", caller.Sender{EncodingAESKey: key, ReceiverID: appID, WeCom: true, Account: appID}},
}

// document is an endpoint of that kind, at the path of its name.
func (k kind) document(name, app string) config.Document {
	return config.Document{
		Config: config.Config{
			Generation: "1", Endpoint: "soak/" + name, Platform: k.platform, MessageMode: k.mode, AppID: appID, Path: "/" + name,
			Backend: config.Backend{URL: app, OnDeadline: config.OnDeadlineAcknowledge},
		},
		Credentials: config.Credentials{
			GatewayKey: []byte(strings.Repeat("k", config.GatewayKeySize)), Pairs: []config.Pair{{Generation: 1, Token: token, EncodingAESKey: key}},
		},
	}
}

// senderTo plays WeChat for the endpoint of that name.
func (k kind) senderTo(name, address string) *caller.Sender {
	sender := k.sender
	sender.URL, sender.Token = "http://"+address+"/"+name, token
	return &sender
}

// serve serves an app on a port of its own, and returns its origin.
func serve(ctx context.Context, handle http.HandlerFunc) (origin string, end func(), err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: handle, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }() // until it is closed
	return "http://" + listener.Addr().String(), func() { server.Close() }, nil
}

// moodyApp is an app that notes messages. While it is slow, one of eight of them takes it from 2 s to 6 s: some of those are late.
func moodyApp(ledger *chaos.Ledger, slow *atomic.Bool) http.HandlerFunc {
	return chaos.App(func(_ context.Context, text string) error {
		if slow.Load() && rand.N(8) == 0 {
			time.Sleep(2*time.Second + rand.N(4*time.Second))
		}
		ledger.Note(text)
		return nil
	})
}

// silentApp takes messages and does not answer.
func silentApp(_ http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-time.After(pending):
	}
}

// What strangers send to a path, with the numbers of a flood. The signatures are stale after five minutes, and then cost less to refuse.
func slowClients(path string, n int) []hostile.Flood {
	begun := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\n", hostile.ForgedURI(path), hostile.Host)
	return []hostile.Flood{
		{Connections: n, Way: hostile.Trickled, Text: begun},
		{Connections: n, Way: hostile.Kept, Text: begun + fmt.Sprintf("Content-Length: %d\r\n\r\n", 200<<10) + strings.Repeat("x", 5000)},
		{Connections: n, Way: hostile.Kept},
	}
}

// oversize are bodies that are as long as may be, and longer.
func oversize(path string, n int) []hostile.Flood {
	endless := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", hostile.ForgedURI(path), hostile.Host, 1<<40)
	return []hostile.Flood{
		{Connections: n, Way: hostile.Answered, Text: hostile.Post(path, strings.Repeat("x", hostile.Largest))},
		{Connections: n, Way: hostile.Answered, Text: hostile.Post(path, strings.Repeat("x", 2<<20))},
		{Connections: n, Way: hostile.Kept, Text: endless + strings.Repeat("x", 64<<10)},
	}
}

// forged are messages with a signature that is guessed, and requests for no endpoint's URL.
func forged(path string, n int) []hostile.Flood {
	return []hostile.Flood{
		{Connections: n, Way: hostile.Answered, Text: hostile.Post(path, "<xml><ToUserName>a</ToUserName><Encrypt>QUFB</Encrypt></xml>")},
		{Connections: max(1, n/8), Way: hostile.Answered, Text: fmt.Sprintf("GET %s/other HTTP/1.1\r\nHost: %s\r\n\r\n", path, hostile.Host)},
	}
}

// burst lets so many clients send signed messages to an endpoint until ctx is done, each a new one, and returns how many they sent.
func (k kind) burst(ctx context.Context, name, address string, clients int) int64 {
	var sent atomic.Int64
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for sender := k.senderTo(name, address); ctx.Err() == nil; sent.Add(1) {
				_, _ = sender.Text(ctx, openID, "noise") // whatever becomes of it
			}
		})
	}
	group.Wait()
	return sent.Load()
}
