//go:build limits

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package limits runs the sidecar's own program in a memory cgroup of the size that its pods have, floods it with the worst that
// strangers, apps and WeChat itself can send, and holds that it is never killed and that no message of others is lost.
package limits

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/test/cgroup"
	"github.com/wechatendpoint/wechatendpoint/test/ports"
)

const (
	token     = "LimitsToken1"
	aesKey    = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
	reception = "wx5823bf96d3bd56c7"
)

var binary string

// limit is that of a pod's memory: the default, or LIMITS_MEMORY, in MiB.
var limit = memoryLimit()

func memoryLimit() int64 {
	if mebibytes, err := strconv.ParseInt(os.Getenv("LIMITS_MEMORY"), 10, 64); err == nil {
		return mebibytes << 20
	}
	return 64 << 20
}

// long tries everything, and each for longer: LIMITS=long. Without, the worst is tried.
var long = os.Getenv("LIMITS") == "long"

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "limits")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "sidecar")
	if other := os.Getenv("LIMITS_SIDECAR"); other != "" { // to see how another one fares
		binary = other
		os.Exit(m.Run())
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "../../cmd/sidecar")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the sidecar: %v\n%s", err, out)
		os.Exit(1)
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil {
		files.Cur = files.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files) // 1,024 may be enough
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// pod is a running sidecar before an app.
type pod struct {
	group       *cgroup.Group
	public, ops string
	url         string
	process     *os.Process
	ended       atomic.Bool
	log         *os.File
}

// startPod starts the sidecar in a memory cgroup of its own, with an endpoint and its neighbours. It traces every message, and its collector
// takes connections and nothing else, or all that it is told where the pod has neighbours.
func startPod(t *testing.T, edit func(*config.Config), neighbours int, app http.HandlerFunc) *pod {
	t.Helper()
	dir := writeDocuments(t, edit, neighbours, app)
	p := newPod(t, ports.Free(), ports.Free())
	arguments := []string{"-config-dir", dir, "-listen", p.public, "-ops-listen", p.ops, "-drain-delay", "0s", "-grace", "1s"}
	if os.Getenv("LIMITS_SIDECAR") == "" {
		arguments = append(arguments, "-tracing-endpoint", collector(t, neighbours > 0))
	}
	p.start(t, p.group.Command(context.Background(), binary, arguments...))
	return p
}

// writeDocuments starts an app, and returns the folder of what its sidecars serve.
func writeDocuments(t *testing.T, edit func(*config.Config), neighbours int, app http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(app)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	c := config.Config{
		Generation: "g", Endpoint: "team-a/shop", Platform: config.PlatformOfficialAccount, MessageMode: config.ModeEncrypted, AppID: reception,
		Path: "/weixin", Backend: config.Backend{URL: server.URL},
	}
	if edit != nil {
		edit(&c)
	}
	dir := t.TempDir()
	writeDocument(t, dir, config.Entry, c)
	for i := range neighbours {
		c.Endpoint, c.Path = fmt.Sprint("team-a/neighbour-", i), fmt.Sprint("/weixin/", i)
		writeDocument(t, dir, fmt.Sprint("neighbour-", i), c)
	}
	return dir
}

// newPod is a pod that does not run yet.
func newPod(t *testing.T, public, ops string) *pod {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	return &pod{group: cgroup.New(t, limit), public: public, ops: ops, url: "http://" + public + "/weixin", log: log}
}

// start starts the sidecar, and returns once it is ready.
func (p *pod) start(t *testing.T, command *exec.Cmd) {
	t.Helper()
	command.Stdout, command.Stderr = p.log, p.log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p.process = command.Process
	go func() {
		_ = command.Wait()
		p.ended.Store(true)
	}()
	t.Cleanup(func() {
		if p.ended.Load() && !t.Failed() {
			t.Error("the sidecar has ended")
		}
		if t.Failed() {
			text, _ := os.ReadFile(p.log.Name())
			t.Logf("its log ends with:\n%s", text[max(0, len(text)-2000):])
		}
		_ = p.process.Kill()
	})
	for deadline := time.Now().Add(20 * time.Second); !p.ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) || p.ended.Load() {
			t.Fatal("the sidecar does not get ready")
		}
	}
}

func writeDocument(t *testing.T, dir, entry string, c config.Config) {
	t.Helper()
	text, err := json.Marshal(config.Document{
		Config: c,
		Credentials: config.Credentials{GatewayKey: []byte(strings.Repeat("k", config.GatewayKeySize)), Pairs: []config.Pair{
			{Generation: 1, Token: token, EncodingAESKey: aesKey},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, entry+config.DocumentSuffix), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// collector is where traces are sent.
func collector(t *testing.T, takes bool) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	if takes {
		server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })}
		go func() { _ = server.Serve(listener) }()
	}
	return "http://" + listener.Addr().String()
}

func (p *pod) ready() bool {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + p.ops + "/readyz")
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func (p *pod) sender() *caller.Sender {
	return &caller.Sender{URL: p.url, Token: token, EncodingAESKey: aesKey, ReceiverID: reception}
}

// cpu is the time that the process has had so far.
func (p *pod) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	var user, system int64
	_, _ = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	return time.Duration(user+system) * 10 * time.Millisecond // ticks of 1/100 s
}

// traffic are valid messages, sent by WeChat at a steady pace, each from a connection of its own and three times at most.
type traffic struct {
	sent, lost, again atomic.Int64
	mu                sync.Mutex
	times             []time.Duration
	failures          map[string]int // of attempts
}

// flow sends messages until ctx is done, and waits for the last answer.
func (f *traffic) flow(ctx context.Context, sender *caller.Sender, every time.Duration) {
	var group sync.WaitGroup
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			group.Go(func() { f.one(sender, fmt.Sprintf("message %d", n)) })
		}
	}
	group.Wait()
}

func (f *traffic) one(sender *caller.Sender, content string) {
	request, err := sender.NewText("oUser", content)
	if err != nil {
		panic(err)
	}
	f.sent.Add(1)
	attempts := sender.Deliver(context.Background(), request)
	last := attempts[len(attempts)-1]
	if len(attempts) > 1 {
		f.again.Add(1)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, attempt := range attempts {
		if why := failure(attempt); why != "" {
			if f.failures == nil {
				f.failures = map[string]int{}
			}
			f.failures[why]++
		}
	}
	if failure(last) != "" {
		f.lost.Add(1)
		return
	}
	f.times = append(f.times, last.Answer.Elapsed)
}

// failure says why an attempt was not answered; empty if it was.
func failure(attempt caller.Attempt) string {
	var system syscall.Errno
	switch {
	case errors.As(attempt.Err, &system):
		return system.Error()
	case attempt.Err != nil:
		return attempt.Err.Error()
	case attempt.Answer.Status != http.StatusOK:
		return http.StatusText(attempt.Answer.Status)
	}
	return ""
}

func (f *traffic) p99() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.times) == 0 {
		return 0
	}
	slices.Sort(f.times)
	return f.times[len(f.times)*99/100]
}
