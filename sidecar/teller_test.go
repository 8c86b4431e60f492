// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/peers"
)

// newAloof returns a sidecar that knows another pod, and tells it nothing.
func newAloof(t *testing.T) *Sidecar {
	t.Helper()
	own, other := netip.MustParseAddr("127.0.8.1"), netip.MustParseAddr("127.0.8.2")
	s := New(Options{ConfigDir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Peers: Peers{
		Host: "peers.test", Port: 8081, Lookup: func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{own, other}, nil },
	}})
	go s.peers.Watch(t.Context(), []netip.Addr{own})
	for range 500 {
		if s.peers.Others() == 1 {
			return s
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it does not find the other pod")
	return nil
}

// TestNoCallbackWaitsForOtherPods: bindings that find no room among those that wait are dropped, and counted.
func TestNoCallbackWaitsForOtherPods(t *testing.T) {
	s := newAloof(t)
	dropped := 0
	s.teller.sent = func(result peers.Result, n int) {
		if result == peers.Dropped {
			dropped += n
		}
	}
	for range s.bounds.bindings + 3 {
		s.teller.offer("team-a/shop", memory.Binding{})
	}
	if dropped != 3 {
		t.Errorf("%d were dropped, want 3", dropped)
	}
}

// TestAPodTakesNoMoreThanItsPart: whoever tells faster than the bound waits, and then is told that there is no room.
func TestAPodTakesNoMoreThanItsPart(t *testing.T) {
	s := newAloof(t)
	gatewayKey := bytes.Repeat([]byte("k"), config.GatewayKeySize)
	serveDocument(t, s, config.Document{
		Config: config.Config{
			Platform: config.PlatformOfficialAccount, MessageMode: config.ModePlaintext, AppID: "wx1", Path: "/weixin", Endpoint: "team-a/shop",
			Backend: config.Backend{URL: "http://127.0.0.1:9"},
		},
		Credentials: config.Credentials{GatewayKey: gatewayKey, Pairs: []config.Pair{{Generation: 1, Token: "a-fine-token"}}},
	})
	s.teller.taking = rate.NewLimiter(1, 2)
	batch := peers.Batch{Endpoint: "team-a/shop", To: netip.MustParseAddrPort("127.0.8.1:8081"), Bindings: make([]byte, 2*memory.BindingSize)}
	var got []int
	for range 2 {
		got = append(got, s.teller.take(t.Context(), batch.Sign(peers.NewKey(gatewayKey))))
	}
	if got[0] != statusTaken || got[1] != peers.StatusFull {
		t.Errorf("answered %v", got)
	}
}
