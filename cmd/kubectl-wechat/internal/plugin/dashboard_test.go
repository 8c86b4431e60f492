// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/dashboard"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/listen"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

var refOfDemo = dashboard.Ref{Kind: dashboard.KindEndpoint, Namespace: "shop", Name: "demo"}

// shows is what the dashboard shows of a cluster with these objects.
func shows(t *testing.T, objects ...client.Object) shownCluster {
	t.Helper()
	return shownCluster{plugin: Plugin{Forward: noForward}, cluster: fakeOf(t, objects...), namespace: "shop"}
}

func noForward(*genericclioptions.ConfigFlags, string) (listen.Dial, error) {
	return func(context.Context, listen.Pod) (net.Conn, error) { return nil, errors.New("no pod is there") }, nil
}

// forbid is a cluster in which the caller may not read these kinds.
func (c shownCluster) forbid(kinds ...string) shownCluster {
	return c.failing(func(kind string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: kind}, "", errors.New("not you"))
	}, kinds...)
}

// failing is the cluster where some kinds cannot be read.
func (c shownCluster) failing(because func(kind string) error, kinds ...string) shownCluster {
	refuse := func(object any) error {
		for _, kind := range kinds {
			if strings.TrimSuffix(reflect.TypeOf(object).Elem().Name(), "List") == kind {
				return because(kind)
			}
		}
		return nil
	}
	c.cluster = interceptor.NewClient(c.cluster.(client.WithWatch), interceptor.Funcs{
		Get: func(ctx context.Context, inner client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			if err := refuse(object); err != nil {
				return err
			}
			return inner.Get(ctx, key, object, options...)
		},
		List: func(ctx context.Context, inner client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if err := refuse(list); err != nil {
				return err
			}
			return inner.List(ctx, list, options...)
		},
	})
	return c
}

func TestTheDashboardRunsUntilItIsInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	lines, stdout := io.Pipe()
	var stderr bytes.Buffer
	p := Plugin{Connect: cluster(t, demo(seen), secret(token)), Forward: noForward, Stdin: strings.NewReader(""), Stdout: stdout, Stderr: &stderr}
	ended := make(chan int, 1)
	go func() { ended <- p.Run(ctx, []string{"dashboard"}) }()
	url, err := bufio.NewReader(lines).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	origin, key, found := strings.Cut(strings.TrimSpace(url), "/#token=")
	if !found || !strings.HasPrefix(origin, "http://127.0.0.1:") {
		t.Fatalf("the URL is %s", url)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, origin+"/api/objects", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Dashboard-Token", key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(body), `"name":"demo"`) {
		t.Errorf("%s %v", body, err)
	}
	interrupt()
	if status := <-ended; status != StatusOK {
		t.Errorf("exit status %d: %s", status, stderr.String())
	}
	if strings.Contains(stderr.String(), key) {
		t.Error("the key to the page is in standard error, where a log may keep it")
	}
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	run(t, cluster(t), "", "dashboard", "--port", port).check(t, StatusUsage, "port "+port+" of this computer cannot be taken: choose another --port")
	run(t, noCluster(t), "", "dashboard", "demo").check(t, StatusUsage, "it takes no name of an endpoint")
	run(t, noCluster(t), "", "dashboard", "--address", "host").check(t, StatusUsage, "--address must be HOST:PORT")
	run(t, noCluster(t), "", "dashboard", "--port", "70000").check(t, StatusUsage, "the value of flag --port is not of type uint16")
}

func TestTheDashboardListsWhatTheCallerMay(t *testing.T) {
	elsewhere := demo(func(e *v1alpha1.WeChatEndpoint) { e.Namespace = "pay" })
	there := shows(t, demo(seen), elsewhere, wxg(false))
	all := there
	all.namespace = ""
	for name, test := range map[string]struct {
		cluster shownCluster
		objects int
		unread  []string
	}{
		"of one namespace":               {there, 2, []string{}},
		"of all namespaces":              {all, 3, []string{}},
		"without the right to gateways":  {there.forbid("WeChatGateway"), 1, []string{"you may not list wechatgateways in namespace shop: ask for that right, or choose another -n"}},
		"without the right to endpoints": {there.forbid("WeChatEndpoint"), 1, []string{"you may not list wechatendpoints in namespace shop: ask for that right, or choose another -n"}},
		"in one namespace only":          {all.forbid("WeChatGateway"), 2, []string{"you may not list wechatgateways in all namespaces: ask for that right, or leave -A out"}},
		"of an operator that has no gateways": {
			there.failing(func(kind string) error { return &meta.NoKindMatchError{GroupKind: schema.GroupKind{Kind: kind}} }, "WeChatGateway"),
			1, []string{"wechatgateways could not be listed: this cluster has no WeChatGateway resource: install the operator, or choose another --context"},
		},
	} {
		list := test.cluster.List(t.Context(), text.English)
		if diff := cmp.Diff(test.unread, list.Unread); diff != "" || len(list.Objects) != test.objects {
			t.Errorf("%s: %d objects, want %d; %s", name, len(list.Objects), test.objects, diff)
		}
	}
}

// TestTheDashboardShowsNoSecret: where it stands, and the command that prints it.
func TestTheDashboardShowsNoSecret(t *testing.T) {
	endpoint := demo(seen, encrypted(v1alpha1.PlatformOfficialAccount, v1alpha1.MessageModeEncrypted))
	there := shows(t, endpoint, labelled(encryptedSecret()), servingPod("demo-1", true, ofDemo))
	for _, lang := range []text.Language{text.English, text.Chinese} {
		object, err := there.Show(t.Context(), lang, refOfDemo)
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range []string{token, aesKey} {
			if bytes.Contains(data, []byte(value)) {
				t.Errorf("a value of the Secret is shown: %s", data)
			}
		}
		var fields []string
		for _, step := range object.Console.Steps {
			if step.Command != "" && (step.Value != "" || !strings.Contains(step.Where, "demo-token")) {
				t.Errorf("%+v", step)
			}
			fields = append(fields, step.Field)
		}
		if diff := cmp.Diff([]string{"", "", "AppID", "URL", "Token", "EncodingAESKey", "消息加解密方式"}, fields); diff != "" {
			t.Error(diff)
		}
	}
}

func TestTheDashboardShowsWhatStatusAndConsoleSay(t *testing.T) {
	early := demo(seen, condition(v1alpha1.ConditionVerified, metav1.ConditionFalse, v1alpha1.ReasonNotVerified, "pod demo-1 does not answer"))
	early.Status.Credentials.Lost = []int64{0}
	there := shows(t, early, servingPod("demo-1", true, ofDemo), wxg(false))
	object, err := there.Show(t.Context(), text.English, refOfDemo)
	if err != nil {
		t.Fatal(err)
	}
	if object.Console.Ready || !strings.Contains(object.Console.Verdict, "do not press 提交 yet: the endpoint is not ready: Verified: pod demo-1 does not answer") || object.Console.Do != "kubectl wechat doctor demo -n shop" {
		t.Errorf("%+v", object.Console)
	}
	want := []dashboard.Generation{{Number: 2, Newest: true}, {Number: 1, LastUsed: "2026-11-28T08:00:00Z"}, {Lost: true}}
	if diff := cmp.Diff(want, object.Credentials); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{scenarioText}, object.Scenarios); diff != "" {
		t.Error(diff)
	}
	gateway, err := there.Show(t.Context(), text.English, dashboard.Ref{Kind: dashboard.KindGateway, Namespace: "shop", Name: "front"})
	if err != nil || gateway.Console != nil || len(gateway.Scenarios) != 0 {
		t.Errorf("%+v %v", gateway, err)
	}
	_, err = there.Show(t.Context(), text.Chinese, dashboard.Ref{Kind: dashboard.KindEndpoint, Namespace: "shop", Name: "dem"})
	if err == nil || !strings.Contains(text.Chinese.Error(err), "你是指 demo 吗") {
		t.Error(err)
	}
}

func TestWhatCanBeSentFromThePage(t *testing.T) {
	for platform, want := range map[v1alpha1.Platform][]string{
		v1alpha1.PlatformOpenPlatform: {scenarioTicket, "authorized", "updateauthorized", "unauthorized", scenarioText},
		v1alpha1.PlatformPay:          {scenarioSignTest}, v1alpha1.PlatformShop: {scenarioOrder},
	} {
		if diff := cmp.Diff(want, playable(demo(encrypted(platform, "")))); diff != "" {
			t.Errorf("%s: %s", platform, diff)
		}
	}
	if got := playable(demo(func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Path = "/$APPID$" })); len(got) != 0 {
		t.Errorf("to a URL with a placeholder, %v", got)
	}
}

func TestATestMessageOfThePage(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		message dashboard.Message
		want    dashboard.Trip
		err     string
	}{
		"is answered":                         {correct, dashboard.Message{Text: "你好"}, dashboard.Trip{Taken: true, Reply: "you said 你好", Verdict: "WeChat would take this reply"}, ""},
		"without a text":                      {correct, dashboard.Message{Scenario: scenarioText}, dashboard.Trip{Taken: true, Reply: "you said hello", Verdict: "WeChat would take this reply"}, ""},
		"of an app that betrays its token":    {leak, dashboard.Message{}, dashboard.Trip{Verdict: "the reply is", Do: "answer with"}, ""},
		"of another token":                    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, dashboard.Message{}, dashboard.Trip{Verdict: "403 Forbidden", Do: "see the reason in the sidecar's log"}, ""},
		"of a scenario that needs more":       {correct, dashboard.Message{Scenario: scenarioPayment}, dashboard.Trip{}, "the dashboard does not send that to an account of platform OfficialAccount"},
		"of a scenario that nobody has heard": {correct, dashboard.Message{Scenario: "../x"}, dashboard.Trip{}, "the dashboard does not send that"},
	} {
		t.Run(name, func(t *testing.T) {
			there := shows(t, demo(), secret(token))
			there.options.address = serve(t, test.handler)
			got, err := there.Send(t.Context(), text.English, refOfDemo, test.message)
			if err != nil || test.err != "" {
				if err == nil || test.err == "" || !strings.Contains(err.Error(), test.err) {
					t.Errorf("%v, want %q", err, test.err)
				}
				return
			}
			if got.Taken != test.want.Taken || !strings.Contains(got.Reply, test.want.Reply) || !strings.Contains(got.Verdict, test.want.Verdict) || !strings.Contains(got.Do, test.want.Do) {
				t.Errorf("%+v", got)
			}
			data, _ := json.Marshal(got)
			if bytes.Contains(data, []byte(token)) || strings.Contains(got.URL, "?") {
				t.Errorf("a secret is shown: %s", data)
			}
		})
	}
}

func TestWhatTheCallerMayNotReadIsSaid(t *testing.T) {
	there := shows(t, demo(seen), secret(token), servingPod("demo-1", true, ofDemo))
	pods := there.forbid("Pod")
	if _, err := pods.Pods(t.Context(), refOfDemo); err == nil || err.Error() != "you may not list pods in namespace shop: ask for that right" {
		t.Error(err)
	}
	object, err := pods.Show(t.Context(), text.English, refOfDemo)
	if err != nil || object.Summary.(Summary).PodsUnknown != "you may not list them" {
		t.Errorf("%+v %v", object, err)
	}
	secrets := there.forbid("Secret")
	if _, err := secrets.Send(t.Context(), text.English, refOfDemo, dashboard.Message{}); err == nil || !strings.Contains(err.Error(), "reading the token from Secret shop/demo-token") {
		t.Error(err)
	}
	if err := secrets.Tail(t.Context(), text.English, refOfDemo, nil); err == nil || !strings.Contains(err.Error(), "you may not get Secret shop/demo-gateway-key") {
		t.Error(err)
	}
}

func TestThePodsWhoseMetricsAreRead(t *testing.T) {
	gone := servingPod("demo-2", false, ofDemo)
	named := servingPod("demo-3", true, ofDemo)
	for i := range named.Spec.Containers {
		named.Spec.Containers[i].Ports = []corev1.ContainerPort{{Name: "ops", ContainerPort: 9000}}
	}
	got, err := shows(t, demo(seen), servingPod("demo-1", true, ofDemo), gone, named).Pods(t.Context(), refOfDemo)
	if diff := cmp.Diff([]dashboard.Pod{{Namespace: "shop", Name: "demo-1", Port: 8081}, {Namespace: "shop", Name: "demo-3", Port: 9000}}, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}

// TestTheKeyToThePageIsNoArgument: the arguments of the browser's process are there for every user of the computer to read.
func TestTheKeyToThePageIsNoArgument(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the browser is started by a program of another name")
	}
	folder := t.TempDir()
	script := "#!/bin/sh\nprintf '%s\\n' \"$@\" > " + folder + "/arguments\nstat -c '%a' \"$1\" > " + folder + "/mode\ncat \"$1\" > " + folder + "/page\n"
	if err := os.WriteFile(filepath.Join(folder, "xdg-open"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	done, err := openPage(t.Context(), "http://127.0.0.1:8090/#token=SECRET")
	if err != nil {
		t.Fatal(err)
	}
	var page []byte
	for range 500 { // until the program has ended
		if page, _ = os.ReadFile(filepath.Join(folder, "page")); len(page) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	arguments, _ := os.ReadFile(filepath.Join(folder, "arguments"))
	mode, _ := os.ReadFile(filepath.Join(folder, "mode"))
	if strings.Contains(string(arguments), "SECRET") || strings.TrimSpace(string(mode)) != "600" || !strings.Contains(string(page), "url=http://127.0.0.1:8090/#token=SECRET") {
		t.Errorf("arguments %s, mode %s, page %s", arguments, mode, page)
	}
	done()
	if _, err := os.Stat(strings.TrimSpace(string(arguments))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
}
