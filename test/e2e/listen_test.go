//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	verify "github.com/wechatendpoint/wechatendpoint/docs/verify"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// running is the plugin at work.
type running struct {
	command *exec.Cmd
	mu      sync.Mutex
	told    bytes.Buffer
}

func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told.Write(p)
}

func (r *running) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told.String()
}

// start runs the plugin until the test ends.
func start(t *testing.T, arguments ...string) *running {
	t.Helper()
	r := &running{command: exec.CommandContext(t.Context(), plugin, arguments...)}
	r.command.Stdout, r.command.Stderr = r, r
	if err := r.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.command.Process.Kill(); _ = r.command.Wait() })
	return r
}

// await waits until words were told so many times.
func (r *running) await(t *testing.T, words string, times int) {
	t.Helper()
	for deadline := time.Now().Add(patience); strings.Count(r.String(), words) < times; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q is not told %d times:\n%s", words, times, r)
		}
	}
}

// listens runs the plugin until it listens to so many pods.
func (s *stage) listens(t *testing.T, pods int, flags ...string) *running {
	t.Helper()
	r := start(t, append([]string{"listen", s.name, "-n", s.namespace}, flags...)...)
	r.await(t, "listening to pod", pods)
	return r
}

// TestMessagesOnALaptop: a program on this computer gets copies that its own check takes, answers for one user, and dies; then the app
// answers. New pods are listened to, too.
func TestMessagesOnALaptop(t *testing.T) {
	t.Parallel()
	s := newStage(t, "listen")
	s.create(t, s.secret(), s.endpoint(withReplicas(2)))
	s.awaitReady(t)
	s.awaitPublished(t)
	labels := client.MatchingLabels{v1alpha1.LabelEndpoint: s.name}
	s.awaitFleet(t, labels, 2)
	var secret corev1.Secret
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: s.name + "-gateway-key"}, &secret); err != nil {
		t.Fatal(err)
	}
	var copies, unsigned atomic.Int64
	program := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		copies.Add(1)
		if err != nil || !verify.Verify(secret.Data[v1alpha1.GatewayKeyKey], r.Method, r.RequestURI, r.Header, body, time.Now()) {
			unsigned.Add(1)
		}
		_, _ = io.WriteString(w, "<xml><ToUserName>"+openID+"</ToUserName><FromUserName>gh_laptop</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><Content>from the laptop</Content></xml>")
	}))
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	program.Listener = listener
	program.Start()
	t.Cleanup(program.Close)

	// late is how many messages were taken by two pods, because one did not answer the other in time: on a computer that is busy.
	late := func() (times int) {
		t.Helper()
		pods, err := s.metric(t.Context(), t, labels, "wechat_sidecar_handovers_total", "late")
		if err != nil {
			t.Fatal(err)
		}
		for _, counted := range pods {
			times += int(counted)
		}
		return times
	}
	expect := func(what string, got, want int) {
		t.Helper()
		if most := want + late(); got < want || got > most {
			t.Errorf("%s %d messages, want %d to %d", what, got, want, most)
		}
	}

	l := s.listens(t, 2, "--forward-to", program.URL+"/laptop", "--take-user", openID)
	before := s.seen(t).Count
	answered := func(want string) {
		t.Helper()
		reply, refusal := diagnose.Message(s.sender().Send(t.Context(), s.text(t, "hello")))
		if refusal != nil || reply.Content != want {
			t.Errorf("answered %+v, %v, want %q\n%s", reply, refusal, want, l)
		}
	}
	for range 10 {
		answered("from the laptop")
	}
	expect("the app got", s.seen(t).Count-before, 0)
	expect("the program got", int(copies.Load()), 10)
	if unsigned.Load() != 0 {
		t.Errorf("the program's check refuses %d messages", unsigned.Load())
	}
	l.await(t, "answered from here", 10)

	program.Close()
	answered("you said: hello")
	expect("once the program was gone, the app got", s.seen(t).Count-before, 1)

	s.change(t, withReplicas(3))
	s.awaitFleet(t, labels, 3)
	l.await(t, "listening to pod", 3)

	if err := l.command.Process.Kill(); err != nil { // in the middle of all
		t.Fatal(err)
	}
	for range 5 {
		answered("you said: hello")
	}
	expect("once nobody listened, the app got", s.seen(t).Count-before, 6)
}
