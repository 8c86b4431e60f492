// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/backend"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// house is a running sidecar and what it logs.
type house struct {
	*Sidecar
	address string
	log     *lockedBuffer
	drain   context.CancelFunc
	ended   chan error
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// byBothDoors runs a test with a sidecar that reads usual callbacks itself, and with one where net/http does.
func byBothDoors(t *testing.T, test func(t *testing.T, h *house)) {
	t.Helper()
	for name, standard := range map[string]bool{"read strictly": false, "read by net/http": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &house{log: &lockedBuffer{}, ended: make(chan error, 1)}
			h.Sidecar = New(Options{
				ConfigDir: t.TempDir(), DrainDelay: time.Second, Grace: 10 * time.Second, Memory: minMemory, StandardHTTP: standard,
				Log: slog.New(slog.NewJSONHandler(h.log, nil)),
			})
			serveDocument(t, h.Sidecar, config.Document{Config: config.Config{
				Platform: config.PlatformOfficialAccount, MessageMode: config.ModePlaintext, AppID: "wx1", Path: "/weixin", Endpoint: "team-a/shop", Backend: config.Backend{URL: "http://127.0.0.1:9"},
			}, Credentials: config.Credentials{Pairs: []config.Pair{{Generation: 1, Token: "a-fine-token"}}}})
			public, ops := listenOnLoopback(t), listenOnLoopback(t)
			h.address = public.Addr().String()
			ctx, drain := context.WithCancel(context.Background())
			h.drain = drain
			go func() { h.ended <- h.Serve(ctx, public, ops) }()
			t.Cleanup(drain)
			test(t, h)
		})
	}
}

func (h *house) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", h.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// check is the text of a genuine URL check.
func (h *house) check(t *testing.T) string {
	t.Helper()
	request, err := (&caller.Sender{URL: "http://" + h.address + "/weixin", Token: "a-fine-token"}).NewURLCheck()
	if err != nil {
		t.Fatal(err)
	}
	return "GET " + request.URI() + " HTTP/1.1\r\nHost: a\r\n\r\n"
}

// head sends a request and returns the head of the answer, or nothing if the connection ends.
func head(t *testing.T, c net.Conn, request string) string {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	var text []byte
	for one := make([]byte, 1); !bytes.HasSuffix(text, []byte("\r\n\r\n")); text = append(text, one...) {
		if _, err := io.ReadFull(c, one); err != nil {
			return ""
		}
	}
	return string(text)
}

const nobodys = "GET /nobody HTTP/1.1\r\nHost: a\r\n\r\n"

// TestConnectionsOfStrangersEndWhereTheyAreScarce, and those that brought a genuine request stay.
func TestConnectionsOfStrangersEndWhereTheyAreScarce(t *testing.T) {
	t.Parallel()
	byBothDoors(t, func(t *testing.T, h *house) {
		genuine, stranger := h.dial(t), h.dial(t)
		if got := head(t, stranger, nobodys); !strings.HasPrefix(got, "HTTP/1.1 404 ") || strings.Contains(got, "Connection: close") {
			t.Errorf("where they are not, a stranger is answered %q", got)
		}
		for range h.bounds.connections * 3 / 4 {
			h.dial(t)
		}
		for deadline := time.Now().Add(20 * time.Second); !h.crowded(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it is not crowded")
			}
		}
		if got := head(t, genuine, h.check(t)); !strings.HasPrefix(got, "HTTP/1.1 200 ") || strings.Contains(got, "Connection: close") {
			t.Errorf("a genuine request is answered %q", got)
		}
		if got := head(t, stranger, nobodys); !strings.HasPrefix(got, "HTTP/1.1 404 ") || !strings.Contains(got, "Connection: close") {
			t.Errorf("a stranger is answered %q", got)
		}
		if got := head(t, stranger, ""); got != "" {
			t.Errorf("the stranger's connection goes on with %q", got)
		}
	})
}

// TestConnectionsEndWhileItDrains, with an answer that says so: the router opens its next one elsewhere. Idle ones are closed in the end.
func TestConnectionsEndWhileItDrains(t *testing.T) {
	t.Parallel()
	byBothDoors(t, func(t *testing.T, h *house) {
		idle, used := h.dial(t), h.dial(t)
		for _, c := range []net.Conn{idle, used} {
			if got := head(t, c, nobodys); !strings.HasPrefix(got, "HTTP/1.1 404 ") || strings.Contains(got, "Connection: close") {
				t.Fatalf("answered %q", got)
			}
		}
		h.drain()
		for deadline := time.Now().Add(20 * time.Second); !h.draining.Load(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it does not drain")
			}
		}
		if got := head(t, used, h.check(t)); !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(got, "Connection: close") {
			t.Errorf("answered %q", got)
		}
		if got := head(t, idle, ""); got != "" {
			t.Errorf("the idle connection brings %q", got)
		}
		if err := <-h.ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
}

// faulty is a memory that panics.
type faulty struct{ Memory }

func (faulty) Use(context.Context, memory.Use, time.Time) (memory.Bound, error) {
	panic("private words")
}

func (faulty) Claim(context.Context, memory.Key, time.Time, time.Time, func() *backend.Delivery) (*backend.Delivery, bool, error) {
	panic("private words")
}

// TestAFaultEndsOneConnection: it is logged where it was, without its text, and others are served.
func TestAFaultEndsOneConnection(t *testing.T) {
	t.Parallel()
	byBothDoors(t, func(t *testing.T, h *house) {
		endpoint := h.table.Load().only.endpoint
		endpoint.memory = faulty{endpoint.memory}
		if got := head(t, h.dial(t), h.check(t)); got != "" {
			t.Errorf("answered %q", got)
		}
		if got := head(t, h.dial(t), nobodys); !strings.HasPrefix(got, "HTTP/1.1 404 ") {
			t.Errorf("another is answered %q", got)
		}
		if log := h.log.String(); !strings.Contains(log, "fault of the sidecar's own") || !strings.Contains(log, "faulty.Use") || strings.Contains(log, "private words") {
			t.Errorf("the log says %s", log)
		}
	})
}
