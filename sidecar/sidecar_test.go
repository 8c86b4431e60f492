// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/version"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

const token = "a-fine-token"

// stage is a running sidecar before an app.
type stage struct {
	dir, url, ops string
	config        config.Config
	app           *app
	log           *syncBuffer
	stop          context.CancelFunc
	ended         chan error
}

// app is what the sidecar forwards to. It records what it sees and answers as it is told.
type app struct {
	mu     sync.Mutex
	seen   []*http.Request
	bodies []string
	answer http.HandlerFunc
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	a.mu.Lock()
	if err == nil {
		a.seen, a.bodies = append(a.seen, r), append(a.bodies, string(body))
	}
	answer := a.answer
	a.mu.Unlock()
	if answer != nil {
		answer(w, r)
	}
}

// answers tells the app how to answer from now on.
func (a *app) answers(answer http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

func (a *app) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.seen)
}

type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// secrets are parts of tokens, keys, queries, OpenIDs and messages of the tests: none may stand in a log.
var secrets = []string{token, aesKey, olderKey, apiV3Key, "private words", "oUser", "oForged", "signature=", "nonce=", "openid=", "echostr=", "gh_1", "<xml", "MsgType"}

// newStage starts a sidecar; edit changes its configuration before. When the test ends, its log must not hold the token, a query or
// what users wrote.
func newStage(t *testing.T, edit func(*config.Config)) *stage {
	t.Helper()
	return newTracedStage(t, edit, config.Tracing{})
}

func newTracedStage(t *testing.T, edit func(*config.Config), traces config.Tracing) *stage {
	t.Helper()
	s := &stage{dir: t.TempDir(), app: &app{}, log: &syncBuffer{}, ended: make(chan error, 1)}
	server := httptest.NewServer(s.app)
	t.Cleanup(server.Close)
	s.config = config.Config{
		Generation: "g-1", Endpoint: "team-a/shop", Platform: config.PlatformOfficialAccount, AppID: "wx1", MessageMode: config.ModePlaintext,
		Path: "/weixin", Freshness: config.Duration(5 * time.Minute),
		Backend: config.Backend{URL: server.URL, Deadline: config.Duration(2 * time.Second)},
	}
	if edit != nil {
		edit(&s.config)
	}
	s.write(t, s.config, token)
	s.start(t, sidecar.Options{Tracing: traces})
	t.Cleanup(func() {
		s.stop()
		for _, secret := range secrets {
			if log := s.log.String(); strings.Contains(log, secret) {
				t.Errorf("the log holds %q:\n%s", secret, log)
			}
		}
	})
	return s
}

// start starts the sidecar, with what differs from the usual options.
func (s *stage) start(t *testing.T, options sidecar.Options) {
	t.Helper()
	public, ops := listen(t), listen(t)
	s.url, s.ops = "http://"+public.Addr().String()+"/weixin", "http://"+ops.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	options.ConfigDir, options.DrainDelay, options.Grace = s.dir, 200*time.Millisecond, 10*time.Second
	options.Log = slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	gateway := sidecar.New(options)
	go func() { s.ended <- gateway.Serve(ctx, public, ops) }()
}

// beside starts another sidecar of the same documents before the same app, where net/http reads every callback.
func (s *stage) beside(t *testing.T) *stage {
	t.Helper()
	other := *s
	other.ended = make(chan error, 1)
	other.start(t, sidecar.Options{StandardHTTP: true})
	t.Cleanup(other.stop)
	return &other
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// write puts a document with one token there.
func (s *stage) write(t *testing.T, c config.Config, token string) {
	t.Helper()
	s.writeDocument(t, c, config.Credentials{Pairs: []config.Pair{{Generation: 1, Token: token}}})
}

func (s *stage) writeDocument(t *testing.T, c config.Config, credentials config.Credentials) {
	t.Helper()
	text, err := json.Marshal(config.Document{Config: c, Credentials: credentials})
	if err != nil {
		t.Fatal(err)
	}
	temporary := filepath.Join(s.dir, config.File+".new")
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, filepath.Join(s.dir, config.File)); err != nil {
		t.Fatal(err)
	}
}

func (s *stage) sender() *caller.Sender { return &caller.Sender{URL: s.url, Token: token} }

func (s *stage) get(t *testing.T, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.ops+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("waited in vain until %s", what)
}

func must(t *testing.T, answer caller.Answer, err error) caller.Answer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestURLCheckIsAnsweredToTheByte(t *testing.T) {
	s := newStage(t, nil)
	answer, err := s.sender().URLCheck(t.Context(), wechattest.WithEchostr("<script>+/=5921731"))
	if refusal := diagnose.URLCheck(answer, err); refusal != nil {
		t.Fatal(refusal)
	}
	answer.Header.Del("Date")
	want := http.Header{
		"Content-Type": {"text/plain; charset=utf-8"}, "X-Content-Type-Options": {"nosniff"},
		"Content-Length": {"18"}, "Cache-Control": {"no-store"},
	}
	delete(answer.Header, "Connection")
	if diff := cmp.Diff(want, answer.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if s.app.count() != 0 {
		t.Error("the app was called for a URL check")
	}
}

func TestMessageReachesTheAppAsDocumented(t *testing.T) {
	s := newStage(t, nil)
	reply := "<xml><Content>ok</Content></xml>"
	s.app.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, reply) })
	request, err := s.sender().NewText("oUser", "private words",
		wechattest.WithHeader("X-Wechat-Verified", "forged"), wechattest.WithHeader("X-WeChat-Endpoint", "other/one"),
		wechattest.WithHeader("Connection", "X-Wechat-App-Id"), wechattest.WithHeader("Upgrade", "h2c"), wechattest.WithHeader("Cookie", "a=b"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.sender().Send(t.Context(), request)
	if must(t, answer, err); answer.Status != http.StatusOK || string(answer.Body) != reply {
		t.Fatalf("answered %d %q", answer.Status, answer.Body)
	}
	got := s.app.seen[0]
	if s.app.bodies[0] != string(request.Body) || got.Method != http.MethodPost || got.RequestURI != "/weixin" {
		t.Errorf("the app saw %s %s %q", got.Method, got.RequestURI, s.app.bodies[0])
	}
	header := got.Header.Clone()
	for _, varying := range []string{"X-Wechat-Delivery-Id", "X-Wechat-Deadline", "Content-Length"} {
		if header.Get(varying) == "" {
			t.Errorf("%s is missing", varying)
		}
		header.Del(varying)
	}
	want := http.Header{
		"Content-Type": {"text/xml; charset=utf-8"}, "User-Agent": {"wechatendpoint"}, "X-Wechat-Verified": {"true"},
		"X-Wechat-Endpoint": {"team-a/shop"}, "X-Wechat-Platform": {"OfficialAccount"}, "X-Wechat-App-Id": {"wx1"},
		"X-Wechat-Open-Id": {"oUser"}, "X-Wechat-Message-Type": {"text"},
	}
	if diff := cmp.Diff(want, header); diff != "" {
		t.Errorf("header to the app (-want +got):\n%s", diff)
	}
}

// TestRefusalsAreAllAlike compares the whole answers: a difference would tell a forger which check he failed.
func TestRefusalsAreAllAlike(t *testing.T) {
	s := newStage(t, nil)
	var first *caller.Answer
	for name, mutations := range map[string][]caller.Mutation{
		"a forged signature":   {wechattest.WithToken("forged-token")},
		"a stale timestamp":    {wechattest.WithTime(time.Now().Add(-time.Hour))},
		"a doubled parameter":  {wechattest.WithDuplicate("nonce", "1")},
		"no signature":         {wechattest.WithoutParameter("signature")},
		"an encrypted message": {wechattest.WithParameter("encrypt_type", "aes"), wechattest.WithBody([]byte("<xml><ToUserName>a</ToUserName><Encrypt>b</Encrypt></xml>"))},
		"another method":       {wechattest.WithMethod("PUT")},
		"an oversize body":     {wechattest.WithContentLength(sidecar.MaxBodySize + 1)},
		"an oversize stream":   {wechattest.WithBody(bytes.Repeat([]byte("x"), sidecar.MaxBodySize+1)), wechattest.WithChunks()},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := s.sender().Text(t.Context(), "oUser", "private words", mutations...)
			must(t, answer, err)
			for _, name := range []string{"Date", "Connection"} {
				answer.Header.Del(name)
			}
			if answer.Status != http.StatusForbidden || len(answer.Body) != 0 {
				t.Errorf("answered %d %q", answer.Status, answer.Body)
			}
			if first == nil {
				first = &answer
			}
			if diff := cmp.Diff(first.Header, answer.Header); diff != "" {
				t.Errorf("answered otherwise than the others:\n%s", diff)
			}
		})
	}
	if s.app.count() != 0 {
		t.Error("the app saw a refused message")
	}
}

func TestAQueryIsGoodForItsFirstBodyOnly(t *testing.T) {
	s := newStage(t, nil)
	request, err := s.sender().NewText("oUser", "genuine")
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		request *caller.Request
		status  int
	}{
		{request, http.StatusOK},
		{request.WithBody([]byte("<xml>forged</xml>")), http.StatusForbidden},
		{request, http.StatusOK}, // WeChat's own repeat
	} {
		answer, err := s.sender().Send(t.Context(), step.request)
		if must(t, answer, err); answer.Status != step.status {
			t.Errorf("step %d: %d, want %d", i, answer.Status, step.status)
		}
	}
	if got := s.app.count(); got != 1 {
		t.Errorf("the app saw a message and its repeat %d times, want once", got)
	}
}

func TestTheAppsAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		status int
		body   string
	}{
		"nothing":      {func(http.ResponseWriter, *http.Request) {}, http.StatusOK, ""},
		"success":      {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "success") }, http.StatusOK, "success"},
		"no content":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, http.StatusOK, ""},
		"an error":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, http.StatusBadGateway, ""},
		"a redirect":   {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, http.StatusBadGateway, ""},
		"JSON":         {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"ok":1}`) }, http.StatusBadGateway, ""},
		"compressed":   {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "gzip") }, http.StatusBadGateway, ""},
		"far too much": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) }, http.StatusBadGateway, ""},
		"a cut connection": {func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}, http.StatusBadGateway, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, nil)
			s.app.answers(test.answer)
			answer, err := s.sender().Text(t.Context(), "oUser", "private words")
			if must(t, answer, err); answer.Status != test.status || string(answer.Body) != test.body {
				t.Errorf("WeChat got %d %q", answer.Status, answer.Body)
			}
			if s.app.count() != 1 {
				t.Errorf("the app was called %d times", s.app.count())
			}
		})
	}
}

func TestASlowAppIsAcknowledgedAndMayFinish(t *testing.T) {
	s := newStage(t, func(c *config.Config) { c.Backend.Deadline = config.Duration(150 * time.Millisecond) })
	release, finished := make(chan struct{}), make(chan error, 1)
	s.app.answers(func(_ http.ResponseWriter, r *http.Request) {
		<-release
		finished <- r.Context().Err()
	})
	answer, err := s.sender().Text(t.Context(), "oUser", "private words")
	if must(t, answer, err); answer.Status != http.StatusOK || string(answer.Body) != "success" {
		t.Errorf("WeChat got %d %q", answer.Status, answer.Body)
	}
	close(release)
	if err := <-finished; err != nil {
		t.Errorf("the app's work was ended: %v", err)
	}
}

func TestAnAppThatIsDownIsTriedUntilTheDeadline(t *testing.T) {
	listener := listen(t)
	address := listener.Addr().String()
	listener.Close()
	s := newStage(t, func(c *config.Config) {
		c.Backend = config.Backend{URL: "http://" + address, Deadline: config.Duration(3 * time.Second)}
	})
	short := s.config
	short.Generation, short.Backend.Deadline = "g-2", config.Duration(200*time.Millisecond)
	s.write(t, short, token)
	s.awaitGeneration(t, "g-2")
	request, err := s.sender().NewText("oUser", "private words")
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.sender().Send(t.Context(), request)
	if must(t, answer, err); answer.Status != http.StatusServiceUnavailable {
		t.Errorf("WeChat got %d, want 503", answer.Status)
	}
	if said := s.status(t).Unreached; said == nil || said.Cause != string(outcome.Refused) {
		t.Errorf("the status says of the app that is down: %+v", said)
	}
	s.config.Generation = "g-3"
	s.write(t, s.config, token)
	s.awaitGeneration(t, "g-3")
	started := make(chan struct{})
	go func() {
		<-started
		revived, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
		if err == nil {
			server := &http.Server{Handler: s.app, ReadHeaderTimeout: time.Second}
			t.Cleanup(func() { server.Close() })
			_ = server.Serve(revived)
		}
	}()
	time.AfterFunc(300*time.Millisecond, func() { close(started) })
	answer, err = s.sender().Send(t.Context(), request)
	if must(t, answer, err); answer.Status != http.StatusOK || s.app.count() != 1 {
		t.Errorf("WeChat got %d and the app %d messages, want 200 and 1 when the app is back in time", answer.Status, s.app.count())
	}
	if said := s.status(t).Unreached; said != nil {
		t.Errorf("the status says of the app that is back: %+v", said)
	}
}

func (s *stage) awaitGeneration(t *testing.T, generation string) {
	t.Helper()
	eventually(t, "generation "+generation+" is served", func() bool {
		_, body := s.get(t, "/status")
		return strings.Contains(body, `"generation":"`+generation+`"`) && !strings.Contains(body, "problem")
	})
}

func TestReloadTakesWholeDocumentsOnlyAndSaysSo(t *testing.T) {
	s := newStage(t, nil)
	next := s.config
	next.Generation = "g-2"
	s.writeDocument(t, next, config.Credentials{})
	eventually(t, "a document without credentials is told", func() bool {
		_, status := s.get(t, "/status")
		_, metrics := s.get(t, "/metrics")
		return strings.Contains(status, `"generation":"g-1","problem":"`) && strings.Contains(metrics, "wechat_sidecar_config_stale 1")
	})
	answer, err := s.sender().URLCheck(t.Context())
	if refusal := diagnose.URLCheck(answer, err); refusal != nil {
		t.Errorf("the last good configuration does not serve: %v", refusal)
	}
	s.write(t, next, "another-token")
	s.awaitGeneration(t, "g-2")
	answer, err = s.sender().URLCheck(t.Context(), wechattest.WithToken("another-token"))
	if refusal := diagnose.URLCheck(answer, err); refusal != nil {
		t.Errorf("the new token is refused: %v", refusal)
	}
	answer, err = s.sender().URLCheck(t.Context())
	if must(t, answer, err); answer.Status != http.StatusForbidden {
		t.Errorf("the old token is answered with %d", answer.Status)
	}
	if err := os.WriteFile(filepath.Join(s.dir, config.File), []byte(`{"credentials":{"pairs":[{"token":`), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broken file is told", func() bool {
		_, status := s.get(t, "/status")
		return strings.Contains(status, "not valid JSON")
	})
	if code, _ := s.get(t, "/readyz"); code != http.StatusOK {
		t.Errorf("a broken file made the sidecar unready: %d", code)
	}
}

func TestWithoutFilesItIsNotReadyAndSaysWhy(t *testing.T) {
	s := newStage(t, nil)
	empty := sidecar.New(sidecar.Options{ConfigDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	public, ops := listen(t), listen(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { _ = empty.Serve(ctx, public, ops) }()
	s.ops, s.url = "http://"+ops.Addr().String(), "http://"+public.Addr().String()+"/weixin"
	if code, body := s.get(t, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "holds no file *.json") {
		t.Errorf("readiness %d %s", code, body)
	}
	answer, err := s.sender().URLCheck(t.Context())
	if must(t, answer, err); answer.Status != http.StatusServiceUnavailable {
		t.Errorf("a URL check was answered with %d", answer.Status)
	}
}

// TestShutdownLosesNothing stops the sidecar while messages come in all the time: each one that was accepted is answered, and
// none is refused before the drain delay is over.
func TestShutdownLosesNothing(t *testing.T) {
	s := newStage(t, nil)
	s.app.answers(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(20 * time.Millisecond)
		_, _ = io.WriteString(w, "success")
	})
	slow, err := s.sender().NewText("oUser", "under way")
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 64)
	send := func(request *caller.Request) {
		answer, err := s.sender().Send(context.Background(), request)
		if err == nil && (answer.Status != http.StatusOK || string(answer.Body) != "success") {
			err = fmt.Errorf("answered %d %q", answer.Status, answer.Body)
		}
		results <- err
	}
	go send(slow)
	eventually(t, "the message is under way", func() bool { return s.app.count() > 0 })
	s.stop()
	eventually(t, "it is not ready", func() bool {
		code, _ := s.get(t, "/readyz")
		return code == http.StatusServiceUnavailable
	})
	late, err := s.sender().NewText("oUser", "late")
	if err != nil {
		t.Fatal(err)
	}
	go send(late)
	for range 2 {
		if err := <-results; err != nil {
			t.Errorf("a message was lost: %v", err)
		}
	}
	if err := <-s.ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	if _, err := s.sender().URLCheck(t.Context()); err == nil {
		t.Error("it still accepts callbacks")
	}
}

func TestOddClientsAreServedOrCut(t *testing.T) {
	s := newStage(t, nil)
	answer, err := s.sender().URLCheck(t.Context(), wechattest.WithHTTP10())
	if refusal := diagnose.URLCheck(answer, err); refusal != nil {
		t.Errorf("HTTP/1.0: %v", refusal)
	}
	answer, err = s.sender().Text(t.Context(), "oUser", "in chunks", wechattest.WithChunks())
	if must(t, answer, err); answer.Status != http.StatusOK {
		t.Errorf("chunks: %d", answer.Status)
	}
	answer, err = s.sender().URLCheck(t.Context(), wechattest.WithPath("/weixin//"))
	if must(t, answer, err); answer.Status != http.StatusNotFound || len(answer.Body) != 0 {
		t.Errorf("another path: %d %q", answer.Status, answer.Body)
	}
	if testing.Short() {
		t.Skip("a slow client is cut after some seconds")
	}
	connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/weixin"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, "GET /weixin HTTP/1.1\r\nHost: a\r\nX: "); err != nil {
		t.Fatal(err)
	}
	if err := connection.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(connection); err != nil {
		t.Errorf("a client that never ends its head was not cut: %v", err)
	}
}

func TestMetricsAreThereFromTheStart(t *testing.T) {
	s := newStage(t, nil)
	_, metrics := s.get(t, "/metrics")
	for _, series := range []string{
		`wechat_sidecar_callbacks_total{outcome="answered"}`, `wechat_sidecar_callbacks_total{outcome="overloaded"}`,
		`wechat_sidecar_refused_total{reason="bad_signature"}`, `wechat_sidecar_refused_total{reason="replayed"}`,
		"wechat_sidecar_config_stale", "wechat_sidecar_bindings",
	} {
		if !strings.Contains(metrics, ofEndpoint(series)+" 0\n") {
			t.Errorf("there is no %s", series)
		}
	}
	build := version.Get()
	info := fmt.Sprintf("wechat_sidecar_build_info{goversion=%q,revision=%q,version=%q} 1\n", build.Go, build.Commit, build.Version)
	if !strings.Contains(metrics, info) {
		t.Errorf("there is no %s", info)
	}
}
