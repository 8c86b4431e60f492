// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/test/ports"
)

// sidecarPath is the sidecar that is tried, as it runs in the cluster.
var sidecarPath string

func build(path string) error {
	command := exec.Command("go", "build", "-trimpath", "-o", path, "./cmd/sidecar")
	command.Dir = filepath.Join("..", "..")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("building the sidecar: %w\n%s", err, out)
	}
	return nil
}

// running is a sidecar that serves an account before an app.
type running struct {
	url      string // of messages
	checkURL string // that the console asks
}

var generations int

// start runs the sidecar, from files as the operator writes them, until the test ends.
func start(t *testing.T, a account, appURL, payload string, pair config.Pair) *running {
	t.Helper()
	return startWith(t, a, config.Backend{URL: appURL, Payload: payload, Path: "/app"}, config.Credentials{Pairs: []config.Pair{pair}})
}

// startWith runs it before an app, with all that is accepted.
func startWith(t *testing.T, a account, backend config.Backend, credentials config.Credentials) *running {
	t.Helper()
	path := a.path
	if path == "" {
		path = "/weixin"
	}
	generations++
	generation := "g-" + strconv.Itoa(generations)
	backend.Deadline = config.Duration(4 * time.Second)
	c := config.Config{
		Generation: generation, Endpoint: "interop/account", Platform: a.platform, AppID: appID, ReceiverIDs: a.receivers, MessageMode: a.mode, Path: path,
		Backend: backend,
	}
	credentials.Pairs[0].Generation = 1
	dir := t.TempDir()
	text, err := json.Marshal(config.Document{Config: c, Credentials: credentials})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, config.File), text, 0o600); err != nil {
		t.Fatal(err)
	}
	address := spawn(t, dir, generation)
	return &running{url: "http://" + address + a.calledFor(a.receiver()), checkURL: "http://" + address + a.calledFor(a.checkReceiver())}
}

// spawn starts the binary and returns its address for callbacks. The binary tells nobody which port it was given, so
// two are chosen before; should another process take one in between, two others are.
func spawn(t *testing.T, dir, generation string) string {
	t.Helper()
	for range 3 {
		public, ops := ports.Free(), ports.Free()
		if p := startProcess(t, dir, public, ops); p.serves(t, "http://"+ops+"/status?entry=endpoint", generation) {
			t.Cleanup(func() { p.stop(t) })
			return public
		}
	}
	t.Fatal("the sidecar does not start")
	return ""
}

// process is one sidecar.
type process struct {
	command *exec.Cmd
	log     *lockedBuffer
	ended   chan error
}

func startProcess(t *testing.T, dir, public, ops string) *process {
	t.Helper()
	p := &process{log: &lockedBuffer{}, ended: make(chan error, 1)}
	p.command = exec.Command(sidecarPath, "--config-dir", dir, "--listen", public, "--ops-listen", ops, "--drain-delay", "0s", "--grace", "2s")
	p.command.Stderr = p.log
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.command.Wait() }()
	return p
}

// serves waits until this process, and not somebody else's on that port, says that it is ready.
func (p *process) serves(t *testing.T, status, generation string) bool {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		select {
		case err := <-p.ended:
			t.Logf("the sidecar ended: %v\n%s", err, p.log)
			return false
		default:
		}
		var said struct {
			Generation string `json:"generation"`
			Ready      bool   `json:"ready"`
		}
		response, err := http.Get(status)
		if err != nil {
			continue
		}
		err = json.NewDecoder(response.Body).Decode(&said)
		response.Body.Close()
		if err == nil && said.Ready && said.Generation == generation {
			return true
		}
	}
	_ = p.command.Process.Kill()
	t.Logf("the sidecar is not ready: %v\n%s", <-p.ended, p.log)
	return false
}

// stop ends the process as Kubernetes does. What it logged must hold nothing that is secret.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	select {
	case err := <-p.ended:
		if err != nil {
			t.Errorf("the sidecar ended: %v", err)
		}
	case <-time.After(10 * time.Second):
		_ = p.command.Process.Kill()
		t.Errorf("the sidecar does not end: %v", <-p.ended)
	}
	log := p.log.String()
	for _, secret := range []string{token, aesKey, apiV3Key, strings.Fields(secretContent)[0]} {
		if strings.Contains(log, secret) {
			t.Errorf("the sidecar's log holds a secret or a message")
		}
	}
	if t.Failed() {
		t.Logf("the sidecar's log:\n%s", log)
	}
}

type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
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

// call sends one request, as WeChat does: no redirect is followed.
func call(t *testing.T, method, target string, query url.Values, header map[string]string, body string) (int, string) {
	t.Helper()
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	client := http.Client{Timeout: 6 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// expectRefused holds that a sidecar gave a request no answer but 403.
func expectRefused(t *testing.T, what string, status int, body string) {
	t.Helper()
	if status != http.StatusForbidden || body != "" {
		t.Errorf("%s is answered %d %q", what, status, body)
	}
}
