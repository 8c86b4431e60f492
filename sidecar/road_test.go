// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// roadMessage has 500 bytes, as most of WeChat's.
const roadMessage = "<xml><ToUserName><![CDATA[gh_7f083739789a]]></ToUserName><FromUserName><![CDATA[oABCDEFGHIJKLMNOPQRSTUVWXYZa]]></FromUserName>" +
	"<CreateTime>1785628800</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[%s]]></Content><MsgId>%d</MsgId></xml>"

// BenchmarkRoad measures the way of a message from the request that was read to the answer that can be written: through Serve of the endpoint,
// to an app in another process and back. It tells also the CPU time of this process and how often it read and wrote (on Linux).
func BenchmarkRoad(b *testing.B) {
	const token, key = "a-fine-token", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
	for _, row := range []struct {
		name, mode string
		sender     caller.Sender
		at         int // messages at once
		taps       int // that are open, and read
	}{
		{"plaintext, one at a time", config.ModePlaintext, caller.Sender{}, 1, 0},
		{"plaintext, one at a time, a tap is open", config.ModePlaintext, caller.Sender{}, 1, 1},
		{"plaintext, 32 at once", config.ModePlaintext, caller.Sender{}, 32, 0},
		{"plaintext, 32 at once, a tap is open", config.ModePlaintext, caller.Sender{}, 32, 1},
		{"encrypted, 32 at once", config.ModeEncrypted, caller.Sender{EncodingAESKey: key, ReceiverID: "wx1"}, 32, 0},
		{"encrypted, 32 at once, a tap is open", config.ModeEncrypted, caller.Sender{EncodingAESKey: key, ReceiverID: "wx1"}, 32, 1},
	} {
		b.Run(row.name, func(b *testing.B) {
			s := New(Options{ConfigDir: b.TempDir(), Log: slog.New(slog.DiscardHandler)})
			serveDocument(b, s, config.Document{Config: config.Config{
				Platform: config.PlatformOfficialAccount, MessageMode: row.mode, AppID: "wx1", Path: "/weixin", Endpoint: "team-a/shop",
				Backend: config.Backend{URL: "http://" + startRoadApp(b)},
			}, Credentials: config.Credentials{GatewayKey: bytes.Repeat([]byte("k"), 32), Pairs: []config.Pair{{Generation: 1, Token: token, EncodingAESKey: key}}}})
			account := s.table.Load().only
			for range row.taps {
				readTap(b, s)
			}
			nonces := 0
			row.sender.URL, row.sender.Token = "http://wx.example.com/weixin", token
			row.sender.Nonce = func() string { nonces++; return fmt.Sprint(1<<40 + nonces) } // of random ones two may be the same, and are refused
			queries, bodies := make([]string, b.N), make([][]byte, b.N)
			for n := range b.N {
				request, err := row.sender.NewPost(fmt.Appendf(nil, roadMessage, strings.Repeat("words ", 40), 1<<40+n))
				if err != nil {
					b.Fatal(err)
				}
				queries[n], bodies[n] = request.Query, request.Body
			}
			var next atomic.Int64
			var group sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			before := usage(b)
			for range row.at {
				group.Go(func() {
					stream := new(bytes.Reader)
					for n := next.Add(1) - 1; n < int64(b.N); n = next.Add(1) - 1 {
						stream.Reset(bodies[n])
						answer := account.Serve(context.Background(), &gate.Request{
							Method: "POST", Host: "wx.example.com", Path: "/weixin", RawQuery: queries[n],
							Stream: stream, Length: int64(len(bodies[n])), Arrived: time.Now(),
						})
						if answer.Status != statusTaken {
							b.Errorf("answered %d", answer.Status)
						}
						answer.Free()
					}
				})
			}
			group.Wait()
			used := usage(b)
			b.ReportMetric(float64(used.cpu-before.cpu)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(used.calls-before.calls)/float64(b.N), "reads+writes/op")
		})
	}
}

// readTap opens a tap, and reads what it tells until the benchmark ends.
func readTap(b *testing.B, s *Sidecar) {
	b.Helper()
	own := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	s.own.Store(&own)
	asked := tap.Asked{Method: "GET", Path: tap.Path, RawQuery: tap.Query{Endpoint: "team-a/shop", Messages: true, Follow: true}.Encode()}
	proof := tap.Proof{At: time.Now(), To: own[0]}
	_, _ = rand.Read(proof.Nonce[:])
	opened, refusal := s.openTap(asked, []string{proof.Sign(tap.NewKey(bytes.Repeat([]byte("k"), 32)), asked)})
	if refusal != "" {
		b.Fatal(refusal)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var group sync.WaitGroup
	group.Go(func() {
		defer opened.Close()
		for lines := json.NewEncoder(io.Discard); ; {
			line, more := opened.Next(ctx)
			if !more {
				return
			}
			_ = lines.Encode(line) // it takes everything
		}
	})
	b.Cleanup(func() { cancel(); group.Wait() })
}

// used is what a process has used so far.
type used struct {
	cpu   time.Duration
	calls int64 // of read and write and their like
}

func usage(b *testing.B) (u used) {
	b.Helper()
	var self syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
		b.Fatal(err)
	}
	u.cpu = time.Duration(self.Utime.Nano() + self.Stime.Nano())
	text, _ := os.ReadFile("/proc/self/io") // elsewhere there is none
	for line := range strings.Lines(string(text)) {
		var calls int64
		if _, err := fmt.Sscanf(line, "syscr: %d", &calls); err == nil {
			u.calls += calls
		}
		if _, err := fmt.Sscanf(line, "syscw: %d", &calls); err == nil {
			u.calls += calls
		}
	}
	return u
}

// roadApp makes this program the app of BenchmarkRoad, and nothing else.
const roadApp = "SIDECAR_ROAD_APP"

func init() {
	if os.Getenv(roadApp) != "" {
		serveRoadApp()
		os.Exit(0)
	}
}

// startRoadApp starts the app and returns its address.
func startRoadApp(b *testing.B) string {
	b.Helper()
	app := exec.CommandContext(b.Context(), os.Args[0])
	app.Env = append(os.Environ(), roadApp+"=1")
	out, err := app.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := app.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = app.Process.Kill(); _ = app.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// serveRoadApp answers success to whatever comes in one piece.
func serveRoadApp() {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return
	}
	fmt.Println(listener.Addr())
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer connection.Close()
			request := make([]byte, 16<<10)
			for length := 0; ; {
				n, err := connection.Read(request[length:])
				if err != nil {
					return
				}
				if length += n; roadRequestIsWhole(request[:length]) {
					_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\nsuccess") // the next read tells
					length = 0
				}
			}
		}()
	}
}

func roadRequestIsWhole(request []byte) bool {
	head, body, found := bytes.Cut(request, []byte("\r\n\r\n"))
	_, length, announced := bytes.Cut(head, []byte("\r\nContent-Length: "))
	var want int
	_, err := fmt.Sscanf(string(length), "%d", &want)
	return found && announced && err == nil && len(body) >= want
}
