// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/listen"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

const (
	token = "q7RkZt0mWc5xVb2nLs9dYh4gJf8aPe3u"
	wxURL = "http://wx.example.com/weixin"
)

// result is what a run left behind.
type result struct {
	status      int
	out, errout string
}

// run runs the plugin in this process, and fails the test if a part of the token or a key, or a signature, is shown.
func run(t *testing.T, connect Connect, stdin string, args ...string) result {
	t.Helper()
	var out, errout bytes.Buffer
	status := Plugin{Version: "v1.2.3", Connect: connect, Forward: noPods, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errout}.Run(t.Context(), args)
	shown := out.String() + errout.String()
	if strings.Contains(shown, token) || strings.Contains(shown, token[:12]) {
		t.Errorf("the token is shown:\n%s", shown)
	}
	for _, key := range []string{aesKey, apiV3Key} {
		if strings.Contains(shown, key[:20]) {
			t.Errorf("a key is shown:\n%s", shown)
		}
	}
	for _, word := range strings.FieldsFunc(shown, func(c rune) bool { return !strings.ContainsRune("0123456789abcdef", c) }) {
		if len(word) == wechat.SignatureSize {
			t.Errorf("a signature is shown:\n%s", shown)
		}
	}
	return result{status, out.String(), errout.String()}
}

// noPods reaches no pod.
func noPods(*genericclioptions.ConfigFlags, string) (listen.Dial, error) {
	return func(context.Context, listen.Pod) (net.Conn, error) { return nil, errors.New("no pod can be reached") }, nil
}

func (o result) check(t *testing.T, status int, words ...string) {
	t.Helper()
	if o.status != status {
		t.Errorf("exit status %d, want %d", o.status, status)
	}
	for _, word := range words {
		if !strings.Contains(o.out+o.errout, word) {
			t.Errorf("%q is missing", word)
		}
	}
	if t.Failed() {
		t.Logf("standard output:\n%s\nstandard error:\n%s", o.out, o.errout)
	}
}

// noCluster fails the test if the cluster is asked.

// TestASpecThatCannotBeReadIsNamed: a command says what it would need, and goes on where it needs nothing of it.
func TestASpecThatCannotBeReadIsNamed(t *testing.T) {
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	for spec, want := range map[string]string{
		`{"platform":"Shop","appID":"wx1","url":{"host":5,"path":"/weixin"}}`:                                                                              "WeChatEndpoint team-a/shop: spec.url.host is no text: correct it first with kubectl edit",
		`{"platform":"Shop","appID":"wx1","url":{"host":"wx.example.com","path":"/weixin"},"credentials":{"secretName":"shop-wechat","overlap":"1d"}}`:     "spec.credentials.overlap is no duration such as 24h or 4500ms",
		`{"platform":"Shop","appID":"wx1","url":{"host":"wx.example.com","path":"/weixin"},"sidecar":{"resources":{"limits":{"memory":"1e1.5"}}}}`:         "reading the token from Secret team-a/",
		`{"platform":"Shop","appID":"wx1","url":{"host":"wx.example.com","path":"/weixin"},"backend":{"deadline":"1d"},"rules":[{"match":{"msgType":1}}]}`: "reading the token from Secret team-a/",
	} {
		reader := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
				if endpoint, ok := object.(*v1alpha1.WeChatEndpoint); ok {
					return json.Unmarshal([]byte(`{"metadata":{"namespace":"team-a","name":"shop"},"spec":`+spec+`}`), endpoint)
				}
				return c.Get(ctx, key, object, options...)
			},
		}).Build()
		connect := func(*genericclioptions.ConfigFlags) (client.Client, string, error) { return reader, "team-a", nil }
		outcome := run(t, connect, "", "verify", "shop")
		if outcome.status == StatusOK || !strings.Contains(outcome.errout, want) {
			t.Errorf("%s: exit status %d, standard error %q, want %q", spec, outcome.status, outcome.errout, want)
		}
	}
}

func noCluster(t *testing.T) Connect {
	return func(*genericclioptions.ConfigFlags) (client.Client, string, error) {
		t.Error("the cluster is asked")
		return nil, "", errors.New("no cluster")
	}
}

// cluster has the objects, and the namespace shop in its context.
func cluster(t *testing.T, objects ...client.Object) Connect {
	t.Helper()
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	reader := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
	return func(*genericclioptions.ConfigFlags) (client.Client, string, error) { return reader, "shop", nil }
}

func demo(change ...func(*v1alpha1.WeChatEndpoint)) *v1alpha1.WeChatEndpoint {
	endpoint := &v1alpha1.WeChatEndpoint{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "demo"},
		Spec: v1alpha1.WeChatEndpointSpec{
			Platform:    v1alpha1.PlatformOfficialAccount,
			AppID:       "wx1",
			MessageMode: v1alpha1.MessageModePlaintext,
			Credentials: v1alpha1.CredentialsReference{SecretName: "demo-token"},
			URL:         v1alpha1.CallbackURL{Host: "wx.example.com", Path: "/weixin"},
			Backend:     v1alpha1.Backend{Service: v1alpha1.ServiceReference{Name: "app", Port: intstr.FromInt32(8080)}},
		},
		Status: v1alpha1.WeChatEndpointStatus{Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}}},
	}
	for _, f := range change {
		f(endpoint)
	}
	return endpoint
}

func secret(value string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "demo-token"},
		Data:       map[string][]byte{v1alpha1.KeyToken: []byte(value)},
	}
}

// serve runs an app and returns its address.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// correct verifies the token, answers a URL check, and says back what a user says.
func correct(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if !wechat.Verify(q.Get("signature"), token, q.Get("timestamp"), q.Get("nonce")) || r.Host != "wx.example.com" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, q.Get("echostr"))
		return
	}
	var message struct{ ToUserName, FromUserName, Content string }
	_ = xml.NewDecoder(r.Body).Decode(&message)
	fmt.Fprintf(w, "<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType>"+
		"<Content>you said %s</Content></xml>", message.FromUserName, message.ToUserName, message.Content)
}

func answer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		_, _ = io.WriteString(w, body)
	}
}

// leak answers with all that an app could betray.
func leak(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; token="+token)
	_, _ = io.WriteString(w, token+" "+r.URL.RawQuery)
}

func TestVerifyAnEndpoint(t *testing.T) {
	address := serve(t, correct)
	result := run(t, cluster(t, demo(), secret(token)), "", "verify", "demo", "--address", address)
	result.check(t, StatusOK,
		"endpoint  shop/demo\n", "sent      GET http://wx.example.com/weixin?signature=…&echostr=", "to        "+address+"\n",
		"received  200 OK, text/plain, 19 bytes\n", "elapsed   ", "\nok: WeChat would accept this URL, if the console holds the token of Secret shop/demo-token\n")
	if strings.Contains(result.out, "note") || result.errout != "" {
		t.Errorf("more is said than there is to say:\n%s%s", result.out, result.errout)
	}
}

func TestVerifySaysWhyAndWhatToDo(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		words   []string
	}{
		"a wrong token": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) },
			[]string{"received  403 Forbidden, no Content-Type, 0 bytes", "refused: the server answered 403 Forbidden, most likely because it has another token", "do: compare the token"}},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://wx.example.com/weixin?"+r.URL.RawQuery, http.StatusPermanentRedirect)
		}, []string{`refused: the server answered 308 Permanent Redirect to "https://wx.example.com/weixin", and WeChat follows no redirect`, "do: enter the https URL"}},
		"nothing":    {answer(""), []string{"refused: the body is empty"}},
		"a leak":     {leak, []string{"refused: the body has more in it", "text/plain; token=…", `"… signature=…&`}},
		"JSON":       {answer(`{"a":1}`), []string{`refused: the body is JSON: "{\"a\":1}"`}},
		"a long one": {answer(strings.Repeat("x", 70000)), []string{"more than 65536 bytes"}},
		"a slow one": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			[]string{"received  no answer", "refused: no answer came within", "do: answer at once"}},
	} {
		t.Run(name, func(t *testing.T) {
			address := serve(t, test.handler)
			run(t, noCluster(t), token, "verify", "--url", wxURL, "--token-file", "-", "--address", address, "--timeout", "300ms").
				check(t, StatusRefused, test.words...)
		})
	}
}

func TestVerifyRefusesAURLThatTheConsoleWouldNotTake(t *testing.T) {
	called := false
	address := serve(t, func(http.ResponseWriter, *http.Request) { called = true })
	run(t, noCluster(t), token, "verify", "--url", "http://"+address+"/weixin", "--token-file", "-").
		check(t, StatusRefused, "refused: the URL has port", "do: publish the URL on port 80", "with --address HOST:PORT\n")
	if called {
		t.Error("the server was called")
	}
}

func TestVerifySpeaksOfTheEndpointsReadiness(t *testing.T) {
	ready := func(change func(*v1alpha1.WeChatEndpoint, *metav1.Condition)) *v1alpha1.WeChatEndpoint {
		return demo(func(e *v1alpha1.WeChatEndpoint) { change(e, &e.Status.Conditions[0]) })
	}
	for name, test := range map[string]struct {
		endpoint *v1alpha1.WeChatEndpoint
		words    string
	}{
		"not ready": {ready(func(_ *v1alpha1.WeChatEndpoint, c *metav1.Condition) {
			c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonServiceNotFound, "there is no Service app"
		}), "note      the endpoint is not Ready: ServiceNotFound: there is no Service app\n"},
		"unseen": {demo(func(e *v1alpha1.WeChatEndpoint) {
			e.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonNotObserved}}
		}), "note      no operator has looked at the endpoint yet: wait some seconds; if it lasts, see whether the operator runs"},
		"of an older definition": {demo(func(e *v1alpha1.WeChatEndpoint) { e.Status.Conditions = nil }), "note      no operator has looked at the endpoint yet: wait some seconds; if it lasts, see whether the operator runs"},
		"older":                  {ready(func(e *v1alpha1.WeChatEndpoint, _ *metav1.Condition) { e.Generation = 2 }), "before its spec changed"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, cluster(t, test.endpoint, secret(token)), "", "verify", "demo", "--address", serve(t, correct)).check(t, StatusOK, test.words)
		})
	}
}

// TestWhatNobodyServesLeadsToTheEndpointsURL: letters need not be compared where both URLs are known.
func TestWhatNobodyServesLeadsToTheEndpointsURL(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	for args, words := range map[string]string{
		"verify demo --url http://wx.example.com/wechat":  "do: enter the endpoint's own URL in the console: " + wxURL + "\n",
		"send demo --url http://wx.example.com/wechat":    "do: enter the endpoint's own URL in the console: " + wxURL + "\n",
		"verify demo --url https://wx.example.com/weixin": "do: enter the endpoint's own URL in the console: " + wxURL + "\n",
		"verify demo": "do: compare host and path",
	} {
		run(t, cluster(t, demo(), secret(token)), "", append(strings.Fields(args), "--address", address)...).check(t, StatusRefused, words)
	}
	page := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "<html>")
	})
	run(t, cluster(t, demo(), secret(token)), "", "verify", "demo", "--url", "http://wx.example.com/wechat", "--address", page).
		check(t, StatusRefused, "refused: another web server answers", "do: enter the endpoint's own URL in the console: "+wxURL+"\n")
	unseen := demo(func(e *v1alpha1.WeChatEndpoint) { e.Status.Conditions = nil })
	run(t, cluster(t, unseen, secret(token)), "", "verify", "demo", "--address", address).check(t, StatusRefused, "do: wait some seconds; if it lasts, see whether the operator runs, and")
	secure := httptest.NewTLSServer(http.NotFoundHandler()) // with a certificate for *.example.com
	t.Cleanup(secure.Close)
	named := demo(func(e *v1alpha1.WeChatEndpoint) {
		e.Spec.URL.Host, e.Spec.URL.Ingress = "wx.example.org", &v1alpha1.IngressExposure{TLSSecretName: "wx-tls"}
	})
	run(t, cluster(t, named, secret(token)), "", "verify", "demo", "--address", secure.Listener.Addr().String()).
		check(t, StatusRefused, "do: see whether Secret shop/wx-tls is there and holds a certificate for wx.example.org")
}

func TestVerifyNotesAPrivateAddress(t *testing.T) {
	// Without --address the URL's port is dialled, so that only send can call a test server.
	run(t, noCluster(t), token, "send", "--token-file", "-", "--url", "http://"+serve(t, answer("success"))+"/weixin").
		check(t, StatusOK, "private address, which WeChat cannot reach", "note      the URL has port")
}

func TestTheURLOfAnEndpoint(t *testing.T) {
	for want, endpoint := range map[string]*v1alpha1.WeChatEndpoint{
		"http://wx.example.com/weixin": demo(),
		"https://wx.example.com/weixin": demo(func(e *v1alpha1.WeChatEndpoint) {
			e.Spec.URL.Ingress = &v1alpha1.IngressExposure{TLSSecretName: "tls"}
		}),
		"http://wx.example.com:8443/?id=5": demo(func(e *v1alpha1.WeChatEndpoint) {
			e.Spec.URL.Path, e.Spec.URL.Query, e.Spec.URL.Port = "/", "id=5", 8443
		}),
		"https://said.example.com/by-the-operator": demo(func(e *v1alpha1.WeChatEndpoint) {
			e.Status.URL = "https://said.example.com/by-the-operator"
		}),
		"": demo(func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Host = "" }),
	} {
		if got := endpointURL(endpoint); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAnEndpointWithoutAHostNeedsAURL(t *testing.T) {
	bare := cluster(t, demo(func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Host = "" }), secret(token))
	run(t, bare, "", "verify", "demo").check(t, StatusUsage, "pass the URL with --url")
	run(t, bare, "", "verify", "demo", "--url", wxURL, "--address", serve(t, correct)).check(t, StatusOK, "ok:")
}

func TestNamespaceKubeconfigAndContext(t *testing.T) {
	elsewhere, theirs := demo(), secret(token)
	elsewhere.Namespace, theirs.Namespace = "other", "other"
	inner := cluster(t, elsewhere, theirs)
	connect := func(flags *genericclioptions.ConfigFlags) (client.Client, string, error) {
		if *flags.KubeConfig != "/k" || *flags.Context != "c" {
			t.Errorf("kubeconfig %q, context %q", *flags.KubeConfig, *flags.Context)
		}
		return inner(flags)
	}
	address := serve(t, correct)
	for _, flag := range []string{"-n", "--namespace"} {
		run(t, connect, "", "verify", flag, "other", "demo", "--kubeconfig=/k", "--context", "c", "--address", address).
			check(t, StatusOK, "endpoint  other/demo")
	}
	run(t, connect, "", "verify", "demo", "--kubeconfig=/k", "--context", "c").check(t, StatusUsage, "no WeChatEndpoint demo in namespace shop")
}

func TestTheTokenOfAFile(t *testing.T) {
	address := serve(t, correct)
	verify := func(content string) result {
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		// The Secret holds another token: the file comes first, and the Secret is not needed.
		return run(t, cluster(t, demo()), "", "verify", "demo", "--address", address, "--token-file", file)
	}
	for _, content := range []string{token, token + "\n", token + "\r\n"} {
		verify(content).check(t, StatusOK, "ok:")
	}
	for _, content := range []string{token + "\n\n", " " + token, token + token, "", "\n", "ab"} {
		verify(content).check(t, StatusUsage, "the token in the token file")
	}
	run(t, noCluster(t), "", "verify", "--url", wxURL, "--token-file", token).check(t, StatusUsage, "reading the token file: no such file")
	run(t, noCluster(t), "", "verify", "--url", wxURL, "--token-file", "/").check(t, StatusUsage, "is a directory")
	run(t, noCluster(t), strings.Repeat(token, 1000), "verify", "--url", wxURL, "--token-file", "-").check(t, StatusUsage, "reading standard input: it has more than")
}

func TestTheTokenOfASecret(t *testing.T) {
	empty := secret(token)
	empty.Data = nil
	for name, test := range map[string]struct {
		objects []client.Object
		words   string
	}{
		"no Secret":      {[]client.Object{demo()}, "reading the token from Secret shop/demo-token (--token-file reads it from elsewhere): it does not exist: create it, or correct spec.credentials.secretName"},
		"no key":         {[]client.Object{demo(), empty}, "Secret shop/demo-token has no key token"},
		"with a newline": {[]client.Object{demo(), secret(token + "\n")}, "the token in the key token of Secret shop/demo-token begins or ends with white space"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, cluster(t, test.objects...), "", "verify", "demo").check(t, StatusUsage, test.words)
		})
	}
}

func TestATokenIsNotTakenAsAnArgument(t *testing.T) {
	for _, args := range [][]string{
		{"--token", token}, {"--token=" + token}, {"-token=" + token}, {"--token"}, {"demo", "--token", token}, {"demo", "--token=" + token, "-n", "x"},
	} {
		for _, command := range []string{"verify", "send"} {
			run(t, noCluster(t), "", append([]string{command}, args...)...).check(t, StatusUsage, "never taken as an argument", "--token-file")
		}
	}
}

func TestWrongArguments(t *testing.T) {
	for words, args := range map[string][]string{
		"Usage:":                             {},
		"unknown command":                    {"check"},
		"name an endpoint":                   {"verify"},
		"more than one endpoint":             {"verify", "demo", token},
		"needs --token-file":                 {"verify", "--url", wxURL},
		"--timeout must be longer":           {"verify", "demo", "--timeout", "0s"},
		"--address must be HOST:PORT":        {"verify", "demo", "--address", "203.0.113.7"},
		"there is no flag --text (see kube":  {"verify", "demo", "--text", "hi"},
		"flag --namespace needs an argument": {"send", "demo", "-n"},
		"the URL does not begin with http":   {"send", "--url", "wx.example.com", "--token-file", "-"},
	} {
		t.Run(words, func(t *testing.T) {
			result := run(t, noCluster(t), token, args...)
			result.check(t, StatusUsage, words)
			if result.out != "" {
				t.Errorf("standard output: %s", result.out)
			}
		})
	}
}

func TestTheClusterSaysNo(t *testing.T) {
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	failing := func(err error) Connect {
		reader := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
			Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
				return err
			},
		}).Build()
		return func(*genericclioptions.ConfigFlags) (client.Client, string, error) { return reader, "shop", nil }
	}
	none := func(*genericclioptions.ConfigFlags) (client.Client, string, error) {
		return nil, "", errors.New("no kubeconfig")
	}
	run(t, none, "", "verify", "demo").check(t, StatusUsage, "kubectl wechat verify: no kubeconfig")
	run(t, failing(errors.New("weather")), "", "verify", "demo").check(t, StatusUsage, "reading WeChatEndpoint shop/demo: weather")
	run(t, failing(&meta.NoKindMatchError{GroupKind: schema.GroupKind{Kind: "WeChatEndpoint"}}), "", "verify", "demo").
		check(t, StatusUsage, "install the operator")
}

func TestSendShowsTheReply(t *testing.T) {
	address := serve(t, correct)
	run(t, cluster(t, demo(), secret(token)), "", "send", "demo", "--address", address, "--text", "你好", "--from", "oSomebody").check(t, StatusOK,
		"sent      POST http://wx.example.com/weixin?signature=…&timestamp=", "&openid=oSomebody\n", "text      你好\n",
		"reply     you said 你好\n", "ok: WeChat would take this reply\n")
}

func TestSendSaysWhatTheUserWouldSee(t *testing.T) {
	xmlReply := func(kind, content string) string {
		return "<xml><ToUserName>" + defaultFrom + "</ToUserName><FromUserName>gh</FromUserName><CreateTime>1</CreateTime><MsgType>" + kind +
			"</MsgType><Content>" + content + "</Content></xml>"
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		status  int
		words   []string
	}{
		"nothing":       {answer(""), StatusOK, []string{"reply     empty, the user is shown nothing"}},
		"success":       {answer("success"), StatusOK, []string{"reply     success, the user is shown nothing"}},
		"two lines":     {answer(xmlReply("text", "one\ntwo")), StatusOK, []string{"reply     one\n          two\n"}},
		"an image":      {answer(xmlReply("image", "")), StatusOK, []string{"reply     <xml><ToUserName>"}},
		"an escape":     {answer(xmlReply("text", "\u009b2J\u202egnp")), StatusOK, []string{`reply     \u009b2J\u202egnp`}},
		"a long text":   {answer(xmlReply("text", strings.Repeat("x", 3000))), StatusOK, []string{strings.Repeat("x", 2048) + "… (cut)\n"}},
		"JSON":          {answer(`{"ok":true}`), StatusRefused, []string{`reply     {"ok":true}`, diagnose.FaultNotice, "do: answer with nothing"}},
		"an error":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, StatusRefused, []string{diagnose.FaultNotice, "500"}},
		"a leak":        {leak, StatusRefused, []string{"reply     … signature=…&timestamp="}},
		"a leak in XML": {answer(xmlReply("text", "my token is "+token)), StatusOK, []string{"reply     my token is …\n"}},
		"silence":       {func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body); <-r.Context().Done() }, StatusRefused, []string{diagnose.FaultNotice}},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, noCluster(t), token+"\n", "send", "--url", wxURL, "--token-file", "-", "--address", serve(t, test.handler), "--timeout", "300ms").
				check(t, test.status, test.words...)
		})
	}
}

func TestTheTokenInTheURLAndTheTextIsHidden(t *testing.T) {
	run(t, noCluster(t), token, "send", "--url", wxURL+"?token="+token, "--text", token, "--token-file", "-", "--address", serve(t, answer("success"))).
		check(t, StatusOK, "?token=…&signature=…", "text      …\n")
}

func TestInterruption(t *testing.T) {
	for _, args := range [][]string{{"verify"}, {"send"}} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		address := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			<-r.Context().Done()
		})
		var out, errout bytes.Buffer
		p := Plugin{Connect: noCluster(t), Stdin: strings.NewReader(token), Stdout: &out, Stderr: &errout}
		status := p.Run(ctx, append(args, "--url", wxURL, "--token-file", "-", "--address", address))
		cancel()
		result{status, out.String(), errout.String()}.check(t, StatusUsage, "interrupted")
	}
}

func TestHelpAndVersion(t *testing.T) {
	for words, args := range map[string][]string{
		"client    v1.2.3\n":            {"version", "--client"},
		"kubectl wechat version":        {"help"},
		"no cluster is asked":           {"version", "--help"},
		"kubectl wechat verify      do": {"--help"},
		"Do the URL check":              {"verify", "--help"},
		"--from OPENID":                 {"send", "-h"},
		"Exit status:":                  {"send", "demo", "--help"},
		"signtest: WeChat Pay's own":    {"send", "--help"},
		"explain each step:":            {"help", "open"},
		"standard input if FILE is -,":  {"verify", "-h"},
	} {
		result := run(t, noCluster(t), "", args...)
		result.check(t, StatusOK, words)
		if result.errout != "" {
			t.Errorf("standard error: %s", result.errout)
		}
	}
}

func kubeconfigFlags(file, context string) *genericclioptions.ConfigFlags {
	flags := clusterFlags()
	flags.KubeConfig, flags.Context = &file, &context
	return flags
}

func TestKubeconfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	content := `apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: first, context: {cluster: a, namespace: shop}}, {name: second, context: {cluster: a, namespace: other}}]
current-context: first
`
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	for context, want := range map[string]string{"": "shop", "second": "other"} {
		if reader, namespace, err := Kubeconfig(kubeconfigFlags(file, context)); err != nil || namespace != want || reader == nil {
			t.Errorf("context %q: namespace %q, %v", context, namespace, err)
		}
	}
	for _, test := range [][2]string{{file, "third"}, {file + ".absent", ""}} {
		if _, _, err := Kubeconfig(kubeconfigFlags(test[0], test[1])); err == nil {
			t.Errorf("%v: no error", test)
		}
	}
	run(t, Kubeconfig, "", "verify", "demo", "--kubeconfig", file).check(t, StatusUsage, "reading WeChatEndpoint shop/demo")
}
