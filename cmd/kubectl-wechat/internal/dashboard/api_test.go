// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// fakeCluster says what it was asked for.
type fakeCluster struct {
	pods   func() ([]Pod, error)
	sent   chan Message
	tailed func(func(Tell)) error
}

func (f fakeCluster) List(_ context.Context, lang text.Language) List {
	return List{Objects: []any{map[string]string{"name": "shop"}}, Unread: []string{lang.Sprintf("you may not list %s in namespace %s: ask for that right, or choose another -n", "wechatgateways", "shop")}}
}

func (f fakeCluster) Show(_ context.Context, _ text.Language, ref Ref) (Object, error) {
	if ref.Name == "missing" {
		return Object{}, text.Errorf("there is no %s %s in namespace %s: see kubectl get %s -A", ref.Kind, ref.Name, ref.Namespace, "wechatendpoints")
	}
	return Object{Command: ref.Kind + " " + ref.Namespace + " " + ref.Name}, nil
}

func (f fakeCluster) Pods(context.Context, Ref) ([]Pod, error) { return f.pods() }

func (f fakeCluster) Send(_ context.Context, _ text.Language, _ Ref, message Message) (Trip, error) {
	f.sent <- message
	return Trip{Taken: true}, nil
}

func (f fakeCluster) Tail(ctx context.Context, _ text.Language, _ Ref, take func(Tell)) error {
	if err := f.tailed(take); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// page is a browser with the page of a server that runs.
type page struct {
	t             *testing.T
	origin, token string
}

func serve(t *testing.T, cluster Cluster) page {
	t.Helper()
	server, err := Listen(t.Context(), 0, cluster, func(context.Context, Pod) (net.Conn, error) { return nil, errors.New("no pod is there") })
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	opened, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	if host, _, _ := net.SplitHostPort(opened.Host); host != "127.0.0.1" || opened.RawQuery != "" || opened.Path != "/" {
		t.Errorf("the page is at %s", server.URL())
	}
	return page{t, "http://" + opened.Host, strings.TrimPrefix(opened.Fragment, "token=")}
}

// ask sends what the page would send, but for what change does to it.
func (p page) ask(method, path, body string, change ...func(*http.Request)) (int, string) {
	p.t.Helper()
	response := p.open(method, path, body, change...)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	checkHeaders(p.t, response.Header)
	return response.StatusCode, string(data)
}

func (p page) open(method, path, body string, change ...func(*http.Request)) *http.Response {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), method, p.origin+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set(tokenHeader, p.token)
	if method == http.MethodPost {
		request.Header.Set("Origin", p.origin)
	}
	for _, f := range change {
		f(request)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	return response
}

func in(lang string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Accept-Language", lang) }
}

func TestTheAPIAnswers(t *testing.T) {
	p := serve(t, fakeCluster{sent: make(chan Message, 9), pods: func() ([]Pod, error) {
		return nil, text.Errorf("you may not list pods in namespace %s: ask for that right", "shop")
	}})
	const endpoint = "WeChatEndpoint/shop/demo"
	for name, test := range map[string]struct {
		method, path, body string
		change             func(*http.Request)
		status             int
		want               string
	}{
		"the list":                              {"GET", "/api/objects", "", nil, 200, `"objects":[{"name":"shop"}],"unread":["you may not list wechatgateways`},
		"the list in Chinese":                   {"GET", "/api/objects", "", in("zh-CN,zh;q=0.9,en;q=0.8"), 200, "你无权列出 wechatgateways"},
		"an endpoint":                           {"GET", "/api/objects/" + endpoint, "", nil, 200, "WeChatEndpoint shop demo"},
		"one that is not there":                 {"GET", "/api/objects/WeChatEndpoint/shop/missing", "", in("zh"), 502, "没有 WeChatEndpoint missing"},
		"another kind":                          {"GET", "/api/objects/Secret/shop/demo", "", nil, 404, "there is no such kind"},
		"a name that would lead elsewhere":      {"GET", "/api/objects/WeChatEndpoint/shop/..%2f..%2fsecrets", "", nil, 404, "that is no name of an object"},
		"metrics that the caller may not read":  {"GET", "/api/traffic/" + endpoint, "", nil, 502, "you may not list pods in namespace shop"},
		"a test message":                        {"POST", "/api/send/" + endpoint, `{"scenario":"text","text":"你好"}`, nil, 200, `"taken":true`},
		"a GET for a change":                    {"GET", "/api/send/" + endpoint, "", nil, 405, ""},
		"a message to a gateway":                {"POST", "/api/send/WeChatGateway/shop/front", `{}`, nil, 404, "a test message goes to an endpoint"},
		"a field that there is not":             {"POST", "/api/send/" + endpoint, `{"url":"http://169.254.169.254"}`, nil, 400, "the request cannot be read"},
		"a text that is too long":               {"POST", "/api/send/" + endpoint, `{"text":"` + strings.Repeat("长", 601) + `"}`, nil, 400, "more than 600 characters"},
		"a body that is too long":               {"POST", "/api/send/" + endpoint, `{"text":"` + strings.Repeat("x", maxBody) + `"}`, nil, 400, "the request cannot be read"},
		"the words of the page":                 {"GET", "/api/words", "", nil, 200, `"lang":"en"`},
		"a tail of a gateway":                   {"GET", "/api/tail/WeChatGateway/shop/front", "", nil, 404, "only an endpoint has a live tail"},
		"what there is not":                     {"GET", "/api/secrets", "", nil, 404, ""},
		"a file that is not the page's":         {"GET", "/libraries.txt", "", nil, 404, ""},
		"a folder":                              {"GET", "/page/", "", nil, 404, ""},
		"the page itself":                       {"GET", "/", "", func(r *http.Request) { r.Header.Del(tokenHeader) }, 200, `<script type="module" src="/app.js">`},
		"a name of this server that is not its": {"GET", "/", "", func(r *http.Request) { r.Host = "evil.example" }, 421, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := page{t, p.origin, p.token}
			status, body := p.ask(test.method, test.path, test.body, append([]func(*http.Request){in("en")}, nonNil(test.change)...)...)
			if status != test.status || !strings.Contains(body, test.want) {
				t.Errorf("status %d, want %d; %q is missing in %s", status, test.status, test.want, body)
			}
		})
	}
}

func nonNil(f func(*http.Request)) []func(*http.Request) {
	if f == nil {
		return nil
	}
	return []func(*http.Request){f}
}

func TestAMessageIsSentAsThePageAsks(t *testing.T) {
	sent := make(chan Message, 1)
	serve(t, fakeCluster{sent: sent}).ask("POST", "/api/send/WeChatEndpoint/shop/demo", `{"scenario":"bot","text":"hi"}`)
	if diff := cmp.Diff(Message{Scenario: "bot", Text: "hi"}, <-sent); diff != "" {
		t.Error(diff)
	}
}

// TestTheTailIsOneLineForEachCallback, and ends when the page does.
func TestTheTailIsOneLineForEachCallback(t *testing.T) {
	ended := make(chan struct{})
	cluster := tailing{fakeCluster{tailed: func(take func(Tell)) error {
		take(Tell{Pod: "demo-1", Outcome: "answered", Type: "text", Status: 200, Milliseconds: 21})
		return nil
	}}, ended}
	response := serve(t, cluster).open("GET", "/api/tail/WeChatEndpoint/shop/demo", "")
	lines := bufio.NewScanner(response.Body)
	var got Tell
	for lines.Scan() && got.Pod == "" {
		if lines.Text() != "" {
			if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	if diff := cmp.Diff(Tell{Pod: "demo-1", Outcome: "answered", Type: "text", Status: 200, Milliseconds: 21}, got); diff != "" {
		t.Error(diff)
	}
	_ = response.Body.Close()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("the tap is open, and the page is closed")
	}
}

// tailing says when a tail has ended.
type tailing struct {
	fakeCluster
	ended chan struct{}
}

func (c tailing) Tail(ctx context.Context, lang text.Language, ref Ref, take func(Tell)) error {
	defer close(c.ended)
	return c.fakeCluster.Tail(ctx, lang, ref, take)
}

func TestWhyThereIsNoTail(t *testing.T) {
	_, body := serve(t, fakeCluster{tailed: func(func(Tell)) error {
		return text.Errorf("you may not get Secret %s, and only who has the gateway key in it can listen: ask for that right: %w", "shop/demo-gateway-key", errors.New("forbidden"))
	}}).ask("GET", "/api/tail/WeChatEndpoint/shop/demo", "", in("zh"))
	if !strings.Contains(body, "你无权读取 Secret shop/demo-gateway-key") || !strings.Contains(body, `"failed":true`) {
		t.Error(body)
	}
}

// TestCallsAreBounded: a page that asks without waiting for answers takes no more than maxCalls places.
func TestCallsAreBounded(t *testing.T) {
	release := make(chan struct{})
	p := serve(t, fakeCluster{pods: func() ([]Pod, error) { <-release; return nil, nil }})
	refused, done := make(chan string, maxCalls+4), make(chan struct{}, maxCalls+4)
	for i := range maxCalls + 4 {
		go func() {
			status, body := p.ask("GET", "/api/traffic/WeChatEndpoint/shop/demo"+string(rune('a'+i)), "")
			if status == http.StatusServiceUnavailable {
				refused <- body
			}
			done <- struct{}{}
		}()
	}
	for range 4 {
		if body := <-refused; !strings.Contains(body, "too many requests at once") {
			t.Error(body)
		}
	}
	close(release)
	for range maxCalls + 4 {
		<-done
	}
	if len(refused) > 0 {
		t.Errorf("%d more were refused", len(refused))
	}
}

func TestTheLanguageIsTheOneThatABrowserPrefers(t *testing.T) {
	for header, want := range map[string]text.Language{
		"": text.English, "zh": text.Chinese, "zh-TW": text.Chinese, "en-GB,zh;q=0.9": text.English, "zh-CN,zh;q=0.9,en;q=0.8": text.Chinese, "fr,zh;q=0.5": text.Chinese,
		"en;q=0.2,zh;q=0.3": text.Chinese, "fr": text.English, "zh;q=0": text.English, "zh;q=much": text.English, "ZH-hans": text.Chinese, "zhx": text.English,
	} {
		if got := accepted(header); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}
