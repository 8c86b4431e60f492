// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/backend"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// away is a memory that cannot be asked.
type away struct{}

var errAway = errors.New("the memory is away")

func (away) Use(context.Context, memory.Use, time.Time) (memory.Bound, error) {
	return memory.BoundOtherwise, errAway
}

func (away) Claim(context.Context, memory.Key, time.Time, time.Time, func() *backend.Delivery) (*backend.Delivery, bool, error) {
	return nil, false, errAway
}

func (away) Claimed(memory.Key, time.Time) bool                 { return false }
func (away) Used(string, time.Time) bool                        { return false }
func (away) Keep(memory.Key, *backend.Delivery, int, time.Time) {}
func (away) Forget(memory.Key)                                  {}
func (away) Told(memory.Use, time.Time) memory.Bound            { return memory.BoundOtherwise }
func (away) Settle(memory.Use, bool, time.Time)                 {}
func (away) Known(int) []memory.Use                             { return nil }
func (away) Close()                                             {}

// TestARepeatThatWaitsHoldsNoBody, which nobody would count: the first one's is held for the app.
func TestARepeatThatWaitsHoldsNoBody(t *testing.T) {
	const token, key, repeats = "a-fine-token", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C", 8 // for which there is room before they are verified
	large := "<xml><FromUserName>" + strings.Repeat("o", 100<<10) + "</FromUserName><MsgType>text</MsgType></xml>"
	for name, test := range map[string]struct {
		mode   string
		sender caller.Sender
	}{
		"in plaintext mode": {config.ModePlaintext, caller.Sender{}},
		"in encrypted mode": {config.ModeEncrypted, caller.Sender{EncodingAESKey: key, ReceiverID: "wx1"}},
	} {
		t.Run(name, func(t *testing.T) {
			answer := make(chan bool)
			app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				<-answer
				_, _ = io.WriteString(w, "<xml><MsgType>text</MsgType></xml>")
			}))
			t.Cleanup(app.Close)
			s := New(Options{ConfigDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
			serveDocument(t, s, config.Document{Config: config.Config{
				Platform: config.PlatformOfficialAccount, MessageMode: test.mode, AppID: "wx1", Path: "/weixin", Endpoint: "team-a/shop",
				Backend: config.Backend{URL: app.URL, Deadline: config.Duration(time.Minute)},
			}, Credentials: config.Credentials{Pairs: []config.Pair{{Generation: 1, Token: token, EncodingAESKey: key}}}})
			account := s.table.Load().only
			test.sender.URL, test.sender.Token = "http://wx.example.com/weixin", token
			request, err := test.sender.NewPost([]byte(large))
			if err != nil {
				t.Fatal(err)
			}
			var group sync.WaitGroup
			send := func() {
				group.Go(func() {
					answer := account.Serve(t.Context(), &gate.Request{
						Method: request.Method, Path: request.Path, RawQuery: request.Query,
						Stream: bytes.NewReader(request.Body), Length: int64(len(request.Body)), Arrived: time.Now(),
					})
					if err := answer.Write(io.Discard); answer.Status != statusTaken || answer.Len() == 0 || err != nil {
						t.Errorf("answered %d with %d bytes, %v", answer.Status, answer.Len(), err)
					}
					answer.Free()
				})
			}
			holds := func() int64 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				return int64(m.HeapAlloc)
			}
			send()
			for s.backend.Pending() == 0 {
				time.Sleep(time.Millisecond)
			}
			before := holds()
			for range repeats {
				send()
			}
			for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				var counted dto.Metric
				if err := account.endpoint.metrics.Repeats.Write(&counted); err != nil {
					t.Fatal(err)
				}
				waiting, held := counted.GetCounter().GetValue(), holds()-before
				if waiting == repeats && held < repeats*int64(len(large))/2 {
					break
				}
				if time.Now().After(deadline) {
					t.Errorf("%v repeats wait, and hold %d bytes", waiting, held)
					break
				}
			}
			close(answer)
			group.Wait()
		})
	}
}

// TestWithoutMemory: what only the memory can tell from a forgery is told to come again, and everything else reaches its app, each time.
func TestWithoutMemory(t *testing.T) {
	const token, key = "a-fine-token", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
	for name, test := range map[string]struct {
		mode   string
		sender caller.Sender
		status int
		calls  int64
	}{
		"in plaintext mode": {config.ModePlaintext, caller.Sender{}, statusAgain, 0},
		"in encrypted mode": {config.ModeEncrypted, caller.Sender{EncodingAESKey: key, ReceiverID: "wx1"}, statusTaken, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
			t.Cleanup(app.Close)
			s := New(Options{ConfigDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
			serveDocument(t, s, config.Document{Config: config.Config{
				Platform: config.PlatformOfficialAccount, MessageMode: test.mode, AppID: "wx1", Path: "/weixin", Endpoint: "team-a/shop",
				Backend: config.Backend{URL: app.URL},
			}, Credentials: config.Credentials{Pairs: []config.Pair{{Generation: 1, Token: token, EncodingAESKey: key}}}})
			account := s.table.Load().only
			account.endpoint.memory = away{}

			test.sender.URL, test.sender.Token = "http://wx.example.com/weixin", token
			request, err := test.sender.NewPost([]byte("<xml><MsgType>text</MsgType></xml>"))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				answer := account.Serve(t.Context(), &gate.Request{
					Method: request.Method, Path: request.Path, RawQuery: request.Query,
					Stream: bytes.NewReader(request.Body), Length: int64(len(request.Body)), Arrived: time.Now(),
				})
				if err := answer.Write(io.Discard); answer.Status != test.status || err != nil {
					t.Errorf("answered %d, want %d, %v", answer.Status, test.status, err)
				}
				answer.Free()
			}
			if calls.Load() != test.calls {
				t.Errorf("the app was called %d times, want %d", calls.Load(), test.calls)
			}
		})
	}
}
