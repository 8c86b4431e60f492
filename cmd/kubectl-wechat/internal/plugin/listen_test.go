// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/listen"
	verify "github.com/wechatendpoint/wechatendpoint/docs/verify"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/sidecartest"
	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

var demoGatewayKey = bytes.Repeat([]byte("k"), config.GatewayKeySize)

func gatewayKeySecret(key []byte) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "demo-gateway-key"}, Data: map[string][]byte{v1alpha1.GatewayKeyKey: key}}
}

// listened is a real sidecar of the endpoint demo, in a pod of the fake cluster.
type listened struct {
	callbacks, ops string
	connect        Connect
	forward        Forward
	sender         caller.Sender
	app            *recorder
}

// recorder is an app, or a program on the laptop: what it saw, and how it answers.
type recorder struct {
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
	answer   http.HandlerFunc
}

func (a *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	a.requests, a.bodies = append(a.requests, r), append(a.bodies, string(body))
	answer := a.answer
	a.mu.Unlock()
	answer(w, r)
}

func (a *recorder) answerWith(answer http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

func (a *recorder) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.bodies)
}

func reply(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func newListened(t *testing.T, objects ...client.Object) *listened {
	t.Helper()
	l := &listened{app: &recorder{answer: reply("success")}}
	server := httptest.NewServer(l.app)
	t.Cleanup(server.Close)
	l.callbacks, l.ops = sidecartest.Run(t, config.Document{
		Config: config.Config{
			Generation: "g-1", Endpoint: "shop/demo", Platform: config.PlatformOfficialAccount, AppID: "wx1", MessageMode: config.ModePlaintext,
			Path: "/weixin", Freshness: config.Duration(5 * time.Minute), Backend: config.Backend{URL: server.URL, Deadline: config.Duration(4 * time.Second)},
		},
		Credentials: config.Credentials{GatewayKey: demoGatewayKey, Pairs: []config.Pair{{Generation: 1, Token: token}}},
	})
	pod := servingPod("demo-sidecar-a", true, ofDemo)
	pod.Status.PodIP, pod.Status.Phase = "127.0.0.1", corev1.PodRunning
	if objects == nil {
		objects = []client.Object{demo(), gatewayKeySecret(demoGatewayKey), pod}
	}
	l.connect = cluster(t, objects...)
	l.forward = func(*genericclioptions.ConfigFlags, string) (listen.Dial, error) {
		return func(ctx context.Context, _ listen.Pod) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", l.ops)
		}, nil
	}
	l.sender = caller.Sender{URL: "http://" + l.callbacks + "/weixin", Token: token}
	return l
}

// out is what a run writes, while it does.
type out struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *out) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *out) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *out) await(t *testing.T, words string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(o.String(), words); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %q:\n%s", words, o)
		}
	}
}

// running is kubectl wechat listen while it listens.
type running struct {
	out, errout *out
	end         func() int // presses Ctrl-C and returns the exit status
}

func (l *listened) listen(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{out: &out{}, errout: &out{}}
	status := make(chan int, 1)
	go func() {
		status <- Plugin{Connect: l.connect, Forward: l.forward, Stdin: strings.NewReader(""), Stdout: r.out, Stderr: r.errout}.Run(ctx, append([]string{"listen"}, args...))
	}()
	r.end = func() int { cancel(); got := <-status; status <- got; return got }
	t.Cleanup(func() { r.end() })
	r.errout.await(t, "listening to pod demo-sidecar-a until ")
	return r
}

func (l *listened) send(t *testing.T, from, words string) caller.Answer {
	t.Helper()
	answer, err := l.sender.Text(t.Context(), from, words)
	if err != nil || answer.Status != http.StatusOK {
		t.Fatalf("answered %d, %v", answer.Status, err)
	}
	return answer
}

func TestListenShowsMessagesAsTheyCome(t *testing.T) {
	l := newListened(t)
	r := l.listen(t)
	l.send(t, "oUser", "hello")
	r.out.await(t, "  text  ")
	for _, words := range []string{"  oUser  ", "  answered  200  ", "  demo-sidecar-a\n"} {
		if !strings.Contains(strings.Join(strings.Fields(r.out.String()), "  ")+"\n", words) {
			t.Errorf("%q is missing:\n%s", words, r.out)
		}
	}
	if strings.Contains(r.out.String(), "hello") {
		t.Errorf("what the user wrote is shown:\n%s", r.out)
	}
	if status := r.end(); status != StatusOK {
		t.Errorf("exit status %d:\n%s", status, r.errout)
	}
}

func TestListenChooses(t *testing.T) {
	l := newListened(t)
	one, other, wide := l.listen(t, "demo", "--user", "oOne"), l.listen(t, "demo", "--type", "event"), l.listen(t, "demo", "-o", "wide")
	l.send(t, "oTwo", "of the second user")
	l.send(t, "oOne", "of the first user")
	one.out.await(t, "oOne")
	wide.out.await(t, "of the first user")
	if strings.Contains(one.out.String(), "oTwo") || strings.Count(one.out.String(), "\n") != 1 {
		t.Errorf("of one user:\n%s", one.out)
	}
	if other.out.String() != "" {
		t.Errorf("events:\n%s", other.out)
	}
}

// TestListenTellsPrograms all that the app gets, a line of JSON for each.
func TestListenTellsPrograms(t *testing.T) {
	l := newListened(t)
	r := l.listen(t, "-o", "json")
	l.send(t, "oUser", "hello")
	r.out.await(t, `"verdict"`)
	decoder := json.NewDecoder(strings.NewReader(r.out.String()))
	var m tap.Message
	for {
		var line struct {
			Pod string
			tap.Line
		}
		if err := decoder.Decode(&line); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if line.Pod != "demo-sidecar-a" {
			t.Errorf("pod %q", line.Pod)
		}
		if line.Message != nil {
			m = *line.Message
		}
	}
	if !bytes.Contains(m.Body, []byte("hello")) || http.Header(m.Header).Get("X-Wechat-Open-Id") != "oUser" {
		t.Errorf("message %+v", m)
	}
}

// TestCopiesPassTheAppsOwnCheck, whatever the path of the URL is, and their answers decide nothing.
func TestCopiesPassTheAppsOwnCheck(t *testing.T) {
	l := newListened(t)
	program := &recorder{answer: reply("<xml><Content>of a copy</Content></xml>")}
	server := httptest.NewServer(program)
	t.Cleanup(server.Close)
	for path, want := range map[string]string{"": "/weixin", "/": "/weixin", "/other": "/other", "/other?a=b": "/other?a=b"} {
		program.requests, program.bodies = nil, nil
		r := l.listen(t, "--forward-to", server.URL+path)
		if answer := l.send(t, "oUser", "hello "+path); string(answer.Body) != "success" {
			t.Errorf("WeChat is answered %q", answer.Body)
		}
		r.errout.await(t, "status 200")
		r.end()
		program.mu.Lock()
		got, body := program.requests[0], program.bodies[0]
		program.mu.Unlock()
		if got.RequestURI != want || !verify.Verify(demoGatewayKey, got.Method, got.RequestURI, got.Header, []byte(body), time.Now()) {
			t.Errorf("%s: the program's check does not take %s %s with %v", path, got.Method, got.RequestURI, got.Header)
		}
		if !strings.Contains(body, "hello "+path) {
			t.Errorf("%s: the body is %q", path, body)
		}
	}
}

// TestAProgramAnswersForItsUser, and the app for others, and for him when the program is gone.
func TestAProgramAnswersForItsUser(t *testing.T) {
	l := newListened(t)
	program := &recorder{answer: reply("<xml><Content>from the laptop</Content></xml>")}
	server := httptest.NewServer(program)
	t.Cleanup(server.Close)
	r := l.listen(t, "--forward-to", server.URL, "--take-user", "oMine")
	if answer := l.send(t, "oMine", "first"); string(answer.Body) != "<xml><Content>from the laptop</Content></xml>" {
		t.Errorf("WeChat is answered %q", answer.Body)
	}
	r.out.await(t, "answered from here")
	if answer := l.send(t, "oOther", "of another"); string(answer.Body) != "success" || l.app.count() != 1 {
		t.Errorf("another user is answered %q, and the app has %d", answer.Body, l.app.count())
	}
	for name, answers := range map[string]http.HandlerFunc{
		"an error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"a page":   reply("<html>"),
	} {
		before := l.app.count()
		program.answerWith(answers)
		if answer := l.send(t, "oMine", "with "+name); string(answer.Body) != "success" || l.app.count() != before+1 {
			t.Errorf("%s: WeChat is answered %q, and the app has %d more", name, answer.Body, l.app.count()-before)
		}
	}
	server.Close()
	before := l.app.count()
	if answer := l.send(t, "oMine", "second"); string(answer.Body) != "success" || l.app.count() != before+1 {
		t.Errorf("without the program, WeChat is answered %q, and the app has %d more", answer.Body, l.app.count()-before)
	}
	r.errout.await(t, "did not answer message")
	r.end()
	if answer := l.send(t, "oMine", "third"); string(answer.Body) != "success" || l.app.count() != before+2 {
		t.Errorf("without anybody who listens, WeChat is answered %q", answer.Body)
	}
}

// TestReplay sends what was kept, with a signature and a deadline of now.
func TestReplay(t *testing.T) {
	l := newListened(t)
	program := &recorder{answer: reply("success")}
	server := httptest.NewServer(program)
	t.Cleanup(server.Close)
	replay := func(id string) result {
		var stdout, stderr bytes.Buffer
		status := Plugin{Connect: l.connect, Forward: l.forward, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr}.Run(t.Context(), []string{"replay", id, "--to", server.URL})
		return result{status, stdout.String(), stderr.String()}
	}
	absent := strings.Repeat("0", 32)
	replay(absent).check(t, StatusUsage, "the pods keep no messages: kubectl wechat listen demo -n shop --keep 30m")
	r := l.listen(t, "-o", "json", "--keep", "30m")
	l.send(t, "oUser", "hello")
	r.out.await(t, `"verdict"`)
	r.end()
	id := l.app.requests[0].Header.Get("X-Wechat-Delivery-Id")
	replay(id).check(t, StatusOK, "message   "+id, "ok: WeChat would take this answer")
	got, body := program.requests[0], program.bodies[0]
	if body != l.app.bodies[0] || !verify.Verify(demoGatewayKey, got.Method, got.RequestURI, got.Header, []byte(body), time.Now()) {
		t.Errorf("sent %q with %v", body, got.Header)
	}
	if deadline, err := time.Parse(time.RFC3339, got.Header.Get("X-Wechat-Deadline")); err != nil || time.Until(deadline) <= 0 {
		t.Errorf("the deadline is %v, %v", deadline, err)
	}
	if l.app.count() != 1 {
		t.Error("the app got it again")
	}
	replay(absent).check(t, StatusUsage, "no pod keeps message "+absent)
	program.answerWith(reply("<html>"))
	replay(id).check(t, StatusRefused, "the reply is neither empty, nor success, nor a passive reply")
	server.Close()
	replay(id).check(t, StatusRefused, "did not answer: is the program running")
}

// TestWhyNobodyListens: each cause is named, with what to do next.
func TestWhyNobodyListens(t *testing.T) {
	pod := servingPod("demo-sidecar-a", true, ofDemo)
	pod.Status.PodIP, pod.Status.Phase = "127.0.0.1", corev1.PodRunning
	second := demo(func(e *v1alpha1.WeChatEndpoint) { e.Name = "pay" })
	forbids := func(kind string) Connect {
		scheme, err := newScheme()
		if err != nil {
			t.Fatal(err)
		}
		refuse := func(resource string) error {
			return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "demo", errors.New("no"))
		}
		reader := fake.NewClientBuilder().WithScheme(scheme).WithObjects(demo(), gatewayKeySecret(demoGatewayKey), pod.DeepCopy()).WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
				if _, is := object.(*corev1.Secret); is && kind == "secrets" {
					return refuse("secrets")
				}
				return c.Get(ctx, key, object, options...)
			},
			List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
				if _, is := list.(*corev1.PodList); is && kind == "pods" {
					return refuse("pods")
				}
				return c.List(ctx, list, options...)
			},
		}).Build()
		return func(*genericclioptions.ConfigFlags) (client.Client, string, error) { return reader, "shop", nil }
	}
	for name, row := range map[string]struct {
		connect Connect
		args    []string
		want    string
	}{
		"a wrong name":               {cluster(t, demo()), []string{"dmeo"}, "did you mean demo?"},
		"no endpoint":                {cluster(t), nil, "kubectl wechat init makes one"},
		"several endpoints":          {cluster(t, demo(), second), nil, "namespace shop has several endpoints: name one of demo, pay"},
		"no gateway key yet":         {cluster(t, demo()), nil, "has no gateway key yet (Secret shop/demo-gateway-key)"},
		"a gateway key that is none": {cluster(t, demo(), gatewayKeySecret([]byte("short"))), nil, "has no key of 32 bytes"},
		"no right to the key":        {forbids("secrets"), nil, "you may not get Secret shop/demo-gateway-key"},
		"no right to the pods":       {forbids("pods"), nil, "you may not list pods in namespace shop"},
		"no pod":                     {cluster(t, demo(), gatewayKeySecret(demoGatewayKey)), nil, "no pod serves the endpoint: see kubectl wechat status demo -n shop"},
		"a user without a program":   {noCluster(t), []string{"--take-user", "oUser"}, "--take-user lets a URL answer"},
		"another computer in clear":  {noCluster(t), []string{"--forward-to", "http://192.0.2.1:3000"}, "by https only"},
		"no URL":                     {noCluster(t), []string{"--forward-to", "localhost:3000"}, "must be like http://localhost:3000/path"},
		"more than an hour":          {noCluster(t), []string{"--for", "2h"}, "1h at most"},
		"YAML":                       {noCluster(t), []string{"-o", "yaml"}, "--output must be json or wide"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, row.connect, "", append([]string{"listen"}, row.args...)...).check(t, StatusUsage, row.want)
		})
	}
	for want, args := range map[string][]string{
		"name the message by its delivery id":      {"--to", "http://localhost:3000"},
		"a delivery id has 32 hexadecimal digits":  {"shop", "--to", "http://localhost:3000"},
		"say where the message is to be sent":      {strings.Repeat("0", 32)},
		"more than one endpoint is named":          {strings.Repeat("0", 32), "demo", "pay", "--to", "http://localhost:3000"},
		"messages go to another computer by https": {strings.Repeat("0", 32), "demo", "--to", "http://example.com"},
	} {
		run(t, noCluster(t), "", append([]string{"replay"}, args...)...).check(t, StatusUsage, want)
	}
}

// openPort takes connections, and says nothing.
func openPort(t *testing.T) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestAPodThatIsNotListenedToIsTold, and the exit status says that something was missed, or that nobody will ever be listened to.
func TestAPodThatIsNotListenedToIsTold(t *testing.T) {
	older := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(older.Close)
	gone, silent := openPort(t), openPort(t)
	gone.Close()
	l := newListened(t)
	for name, row := range map[string]struct {
		address string
		key     []byte
		status  int
		want    string
	}{
		"an older sidecar":     {older.Listener.Addr().String(), demoGatewayKey, StatusUsage, "the sidecar of the pod is older than this command"},
		"another key":          {l.ops, bytes.Repeat([]byte("x"), config.GatewayKeySize), StatusUsage, "the pod does not know this gateway key"},
		"a pod that is gone":   {gone.Addr().String(), demoGatewayKey, StatusRefused, "connection refused"},
		"a pod that is silent": {silent.Addr().String(), demoGatewayKey, StatusRefused, "it did not answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := servingPod("demo-sidecar-a", true, ofDemo)
			pod.Status.PodIP, pod.Status.Phase = "127.0.0.1", corev1.PodRunning
			var stdout, stderr bytes.Buffer
			status := Plugin{Connect: cluster(t, demo(), gatewayKeySecret(row.key), pod), Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
				Forward: func(*genericclioptions.ConfigFlags, string) (listen.Dial, error) {
					return func(ctx context.Context, _ listen.Pod) (net.Conn, error) {
						return new(net.Dialer).DialContext(ctx, "tcp", row.address)
					}, nil
				}}.Run(t.Context(), []string{"listen", "--for", "4s"})
			result{status, stdout.String(), stderr.String()}.check(t, row.status, "pod demo-sidecar-a is not listened to: ", row.want)
		})
	}
}

// TestWhyAPodRefusesIsToldInBothLanguages.
func TestWhyAPodRefusesIsToldInBothLanguages(t *testing.T) {
	for reason, want := range map[tap.Refusal]string{
		tap.Forbidden: "gateway key", tap.Stale: "clocks", tap.OtherPod: "another pod", tap.Full: "as many look", tap.Ended: "the pod ends", tap.Malformed: "different versions",
	} {
		err := listen.Explain(fmt.Errorf("of a pod: %w", &listen.Refused{Reason: reason}))
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", reason, err)
		}
	}
}
