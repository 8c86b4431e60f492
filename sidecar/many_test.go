// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// gateway is a running sidecar that serves many endpoints.
type gateway struct {
	dir, url, ops string
	log           *syncBuffer
}

// tenant is one of its endpoints, and its app.
type tenant struct {
	name   string
	app    *app
	config config.Config
	token  string
	sender caller.Sender
}

func newGateway(t *testing.T, memory int64) *gateway {
	t.Helper()
	g := &gateway{dir: t.TempDir(), log: &syncBuffer{}}
	g.list(t)
	public, ops := listen(t), listen(t)
	g.url, g.ops = "http://"+public.Addr().String(), "http://"+ops.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	s := sidecar.New(sidecar.Options{ConfigDir: g.dir, Grace: 10 * time.Second, Memory: memory, Log: slog.New(slog.NewJSONHandler(g.log, nil))})
	go func() { ended <- s.Serve(ctx, public, ops) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return g
}

// list writes which entries there are.
func (g *gateway) list(t *testing.T, entries ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, "0"+config.ListSuffix), []byte(strings.Join(entries, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (g *gateway) newTenant(t *testing.T, name string) *tenant {
	t.Helper()
	tn := &tenant{name: name, app: &app{}, token: "token-of-" + name}
	server := httptest.NewServer(tn.app)
	t.Cleanup(server.Close)
	tn.app.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "success") })
	tn.config = config.Config{
		Generation: "g-1", Endpoint: "team-a/" + name, Platform: config.PlatformOfficialAccount, AppID: "wx-" + name, MessageMode: config.ModePlaintext,
		Path: "/weixin/" + name, Freshness: config.Duration(5 * time.Minute),
		Backend: config.Backend{URL: server.URL, Deadline: config.Duration(4 * time.Second)},
	}
	tn.sender = caller.Sender{URL: g.url + tn.config.Path, Token: tn.token}
	return tn
}

// write writes the tenant's document.
func (g *gateway) write(t *testing.T, tn *tenant) {
	t.Helper()
	text, err := json.Marshal(config.Document{Config: tn.config, Credentials: config.Credentials{Pairs: []config.Pair{{Generation: 1, Token: tn.token}}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(g.dir, tn.name+".next")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	g.take(t, path, tn.name)
}

// take puts a file into the folder as the document of a tenant.
func (g *gateway) take(t *testing.T, path, name string) {
	t.Helper()
	if err := os.Rename(path, filepath.Join(g.dir, name+config.DocumentSuffix)); err != nil {
		t.Fatal(err)
	}
}

func (g *gateway) get(t *testing.T, path string) (code int, body string) {
	t.Helper()
	s := &stage{ops: g.ops}
	return s.get(t, path)
}

func (g *gateway) status(t *testing.T) (status config.ProcessStatus) {
	t.Helper()
	_, text := g.get(t, "/status")
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		t.Fatal(err)
	}
	return status
}

func (g *gateway) await(t *testing.T, what string, holds func(config.ProcessStatus) bool) {
	t.Helper()
	eventually(t, what, func() bool { return holds(g.status(t)) })
}

// deliver sends a message, and says why it was not answered.
func (tn *tenant) deliver(ctx context.Context, content string) error {
	answer, err := tn.sender.Text(ctx, "oUser", content)
	if _, refusal := diagnose.Message(answer, err); refusal != nil {
		return fmt.Errorf("%s: %v", tn.name, refusal)
	}
	return nil
}

// load sends messages to the tenants until stop is called, and fails the test if one was not answered. It returns when each tenant
// has had its first.
func load(t *testing.T, tenants ...*tenant) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var senders, begun sync.WaitGroup
	begun.Add(len(tenants))
	for _, tn := range tenants {
		senders.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := tn.deliver(context.WithoutCancel(ctx), fmt.Sprint("message ", n)); err != nil {
					t.Error(err)
				}
				if n == 0 {
					begun.Done()
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	begun.Wait()
	return func() {
		cancel()
		senders.Wait()
	}
}

// TestEntriesComeAndGo while others serve: nothing of theirs is lost, and each is served, refused and ended by itself.
func TestEntriesComeAndGo(t *testing.T) {
	t.Parallel()
	g := newGateway(t, 0)
	if code, body := g.get(t, "/readyz"); code != http.StatusOK {
		t.Errorf("without any entry it is not ready: %d %s", code, body)
	}
	a, b, c := g.newTenant(t, "a"), g.newTenant(t, "b"), g.newTenant(t, "c")
	if err := a.deliver(t.Context(), "early"); err == nil {
		t.Error("a message was taken before its entry")
	}
	g.list(t, "a", "b")
	g.write(t, a)
	g.write(t, b)
	g.await(t, "both are served", func(s config.ProcessStatus) bool { return s.Entries["a"].Ready && s.Entries["b"].Ready })
	stop := load(t, a, b)

	g.list(t, "a", "b", "c")
	g.write(t, c)
	g.await(t, "the third is served", func(s config.ProcessStatus) bool { return s.Entries["c"].Ready })
	if err := c.deliver(t.Context(), "hi"); err != nil {
		t.Error(err)
	}
	if _, text := g.get(t, "/metrics"); !strings.Contains(text, `wechat_sidecar_callbacks_total{outcome="answered",wechat_endpoint="team-a/c"} 1`+"\n") {
		t.Error("its message is not counted as its own")
	}

	c.config.Path = "/weixin/a" // which is another's
	c.config.Generation = "g-2"
	g.write(t, c)
	g.await(t, "the URL of another is told", func(s config.ProcessStatus) bool {
		return s.Entries["c"].Generation == "g-1" && strings.Contains(s.Entries["c"].Problem, "entry a")
	})
	if err := c.deliver(t.Context(), "again"); err != nil {
		t.Errorf("what it served is not served on: %v", err)
	}
	if _, text := g.get(t, "/status?entry=c"); !strings.Contains(text, `"generation":"g-1","problem":"the URL is that of entry a"`) {
		t.Errorf("its status is %s", text)
	}
	if _, text := g.get(t, "/metrics"); !strings.Contains(text, "wechat_sidecar_config_stale 1\n") {
		t.Error("no metric tells of it")
	}

	if err := os.Remove(filepath.Join(g.dir, "c"+config.DocumentSuffix)); err != nil {
		t.Fatal(err)
	}
	g.await(t, "the lost document is told", func(s config.ProcessStatus) bool { return strings.Contains(s.Entries["c"].Problem, "gone") })
	if err := c.deliver(t.Context(), "still"); err != nil {
		t.Errorf("a document that is lost stops its endpoint: %v", err)
	}
	g.list(t, "a", "b")
	g.await(t, "the third has ended", func(s config.ProcessStatus) bool { return len(s.Entries) == 2 })
	answer, err := c.sender.Text(t.Context(), "oUser", "late")
	if must(t, answer, err); answer.Status != http.StatusNotFound {
		t.Errorf("a message to it is answered with %d", answer.Status)
	}
	_, text := g.get(t, "/metrics")
	if strings.Contains(text, "team-a/c") {
		t.Error("its metrics go on")
	}
	if !strings.Contains(text, `wechat_sidecar_refused_total{reason="unknown_url",wechat_endpoint=""} 1`+"\n") {
		t.Error("what is nobody's is not counted")
	}
	stop()
}

// TestAnEndpointIsVerifiedByItsOwnToken, however many others are served beside it.
func TestAnEndpointIsVerifiedByItsOwnToken(t *testing.T) {
	t.Parallel()
	g := newGateway(t, 0)
	a, b := g.newTenant(t, "a"), g.newTenant(t, "b")
	g.list(t, "a", "b")
	g.write(t, a)
	g.write(t, b)
	g.await(t, "both are served", func(s config.ProcessStatus) bool { return s.Entries["a"].Ready && s.Entries["b"].Ready })
	stolen := a.sender
	stolen.Token = b.token
	answer, err := stolen.Text(t.Context(), "oUser", "hi")
	if must(t, answer, err); answer.Status != http.StatusForbidden || a.app.count() != 0 {
		t.Errorf("a message that a neighbour's token signed is answered with %d", answer.Status)
	}
	request, err := a.sender.NewText("oUser", "hi")
	if err != nil {
		t.Fatal(err)
	}
	request.Path = b.config.Path
	answer, err = b.sender.Send(t.Context(), request)
	if must(t, answer, err); answer.Status != http.StatusForbidden || b.app.count() != 0 {
		t.Errorf("a neighbour's message is answered with %d", answer.Status)
	}
}

// TestALoudNeighbour has an app that takes everything and answers nothing, and gets all that it can be sent. The others are answered.
func TestALoudNeighbour(t *testing.T) {
	t.Parallel()
	g := newGateway(t, 24<<20) // 96 calls at once
	loud, quiet, other := g.newTenant(t, "loud"), g.newTenant(t, "quiet"), g.newTenant(t, "other")
	frozen := make(chan struct{})
	loud.app.answers(func(http.ResponseWriter, *http.Request) { <-frozen })
	t.Cleanup(func() { close(frozen) })
	g.list(t, "loud", "quiet", "other")
	for _, tn := range []*tenant{loud, quiet, other} {
		g.write(t, tn)
	}
	g.await(t, "all are served", func(s config.ProcessStatus) bool { return len(s.Entries) == 3 && s.Entries["loud"].Ready })
	var senders sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer senders.Wait()
	defer cancel()
	for sender := range 100 {
		senders.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := loud.deliver(ctx, fmt.Sprint(sender, " ", n)); err != nil { // some find no place
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	eventually(t, "the loud one has all that it can have", func() bool {
		_, text := g.get(t, "/metrics")
		return strings.Contains(text, `wechat_sidecar_callbacks_total{outcome="overloaded",wechat_endpoint="team-a/loud"}`) && loud.app.count() > 40
	})
	for n := range 50 {
		for _, tn := range []*tenant{quiet, other} {
			if err := tn.deliver(t.Context(), fmt.Sprint("message ", n)); err != nil {
				t.Error(err)
			}
		}
	}
}
