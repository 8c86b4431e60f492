// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/sidecartest"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// BenchmarkCallbacks measures whole callbacks, from the first byte of the request on a kept connection to the last of the answer,
// with an app in the same process that answers success.
func BenchmarkCallbacks(b *testing.B) {
	sender := &caller.Sender{URL: "http://wx.example.com/weixin", Token: token, EncodingAESKey: aesKey, ReceiverID: "wx1"}
	message := func(n int) (*caller.Request, error) {
		return sender.NewPost(fmt.Appendf(nil, "<xml><FromUserName>oUser</FromUserName><MsgType>text</MsgType><Content>%d</Content></xml>", n))
	}
	collector := sidecartest.NewCollector(b)
	collector.Answers(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	traces := collector.Traces()
	for _, row := range []struct {
		name       string
		newRequest func(n int) (*caller.Request, error)
		traces     config.Tracing
		handed     bool // over to another pod
	}{
		{"a URL check", func(int) (*caller.Request, error) { return sender.NewURLCheck() }, config.Tracing{}, false},
		{"a forgery", func(n int) (*caller.Request, error) {
			return sender.NewPost(fmt.Appendf(nil, "<xml>%d</xml>", n), wechattest.WithToken("forged-token"))
		}, config.Tracing{}, false},
		{"a message", message, config.Tracing{}, false},
		{"a message, handed over", message, config.Tracing{}, true},
		{"a message, not in the sample", message, config.Tracing{Endpoint: traces.Endpoint, SamplingRatePerMillion: new(1)}, false},
		{"a message, traced", message, traces, false},
		{"a repeat", func(int) (*caller.Request, error) { return message(0) }, config.Tracing{}, false},
		{"a repeat, handed over", func(int) (*caller.Request, error) { return message(0) }, config.Tracing{}, true},
		{"a repeat, traced", func(int) (*caller.Request, error) { return message(0) }, traces, false},
	} {
		b.Run(row.name, func(b *testing.B) {
			requests := make([]string, b.N)
			for n := range requests {
				request, err := row.newRequest(n)
				if err != nil {
					b.Fatal(err)
				}
				requests[n] = rawOf(request).sized().String()
			}
			connection, err := new(net.Dialer).DialContext(b.Context(), "tcp", serveForBenchmark(b, row.traces, row.handed))
			if err != nil {
				b.Fatal(err)
			}
			defer connection.Close()
			reader := bufio.NewReader(connection)
			b.ReportAllocs()
			b.ResetTimer()
			for _, request := range requests {
				_, _ = io.WriteString(connection, request) // the read tells
				if err := skipOne(reader); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// serveForBenchmark starts a sidecar and an app, and returns the address of the public port. Another pod owns every message that is to be
// handed over.
func serveForBenchmark(b *testing.B, traces config.Tracing, handed bool) string {
	b.Helper()
	c := config.Config{
		Generation: "g-1", Endpoint: "team-a/shop", Platform: config.PlatformOfficialAccount, AppID: "wx1", MessageMode: config.ModeEncrypted,
		Path: "/weixin", Backend: config.Backend{URL: "http://" + serveSuccess(b)},
	}
	document := config.Document{Config: c, Credentials: config.Credentials{
		GatewayKey: make([]byte, config.GatewayKeySize), Pairs: []config.Pair{{Generation: 1, Token: token, EncodingAESKey: aesKey}},
	}}
	options := sidecar.Options{Tracing: traces}
	if handed {
		second, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.7.1:0")
		if err != nil {
			b.Fatal(err)
		}
		owner := netip.MustParseAddrPort(second.Addr().String())
		options.Peers = sidecar.Peers{Host: "peers.test", Port: owner.Port(), Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{owner.Addr()}, nil
		}}
		sidecartest.RunWith(b, document, listenOnAnyPort(b), second, options)
	}
	public := listenOnAnyPort(b)
	sidecartest.RunWith(b, document, public, listenOnAnyPort(b), options)
	if handed {
		time.Sleep(200 * time.Millisecond) // until it has looked
	}
	return public.Addr().String()
}

// serveSuccess is an app that takes as little of the measured time as it can.
func serveSuccess(b *testing.B) string {
	b.Helper()
	listener := listenOnAnyPort(b)
	b.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				for reader := bufio.NewReader(connection); skipOne(reader) == nil; {
					_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsuccess") // the next read tells
				}
			}()
		}
	}()
	return listener.Addr().String()
}

func listenOnAnyPort(b *testing.B) net.Listener {
	b.Helper()
	listener, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	return listener
}

// skipOne reads a request or an answer with a Content-Length to its end, and looks at nothing else of it.
func skipOne(reader *bufio.Reader) error {
	length := 0
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == 2 {
			_, err := reader.Discard(length)
			return err
		}
		if name := "Content-Length"; len(line) > len(name) && strings.EqualFold(string(line[:len(name)]), name) {
			for _, digit := range line[len(name):] {
				if digit >= '0' && digit <= '9' {
					length = 10*length + int(digit-'0')
				}
			}
		}
	}
}
