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
	"sync/atomic"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/backend"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// away is a memory that cannot be asked.
type away struct{}

var errAway = errors.New("the memory is away")

func (away) Use(context.Context, string, string, []byte, time.Time, time.Time) (bool, error) {
	return true, errAway
}

func (away) Claim(context.Context, memory.Key, time.Time, time.Time, func() *backend.Delivery) (*backend.Delivery, bool, error) {
	return nil, false, errAway
}

func (away) Claimed(memory.Key, time.Time) bool                 { return false }
func (away) Used(string, time.Time) bool                        { return false }
func (away) Keep(memory.Key, *backend.Delivery, int, time.Time) {}
func (away) Forget(memory.Key)                                  {}
func (away) Close()                                             {}

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
				answer := account.Serve(t.Context(), gate.Request{
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
