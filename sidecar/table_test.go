// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// serveDocument lets a sidecar serve a document that stands in no file.
func serveDocument(t testing.TB, s *Sidecar, document config.Document) {
	t.Helper()
	if err := s.Offer(document.Endpoint, document, 0); err != nil {
		t.Fatal(err)
	}
	if refused := s.Settle(); len(refused) > 0 {
		t.Fatal(refused)
	}
}

// newTestTable has endpoints with these configurations, by their names.
func newTestTable(t testing.TB, configs map[string]config.Config) (*table, map[*account]string) {
	t.Helper()
	s := New(Options{ConfigDir: t.TempDir(), Memory: maxMemory, Log: slog.New(slog.DiscardHandler)})
	for name, c := range configs {
		c.Endpoint = name
		if err := s.Offer(name, config.Document{Config: c}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if refused := s.Settle(); len(refused) > 0 {
		t.Fatal(refused)
	}
	names := map[*account]string{nil: "nobody"}
	for name, a := range s.table.Load().entries {
		names[a] = name
	}
	return s.table.Load(), names
}

func TestWhoseARequestIs(t *testing.T) {
	t.Parallel()
	table, names := newTestTable(t, map[string]config.Config{
		"shop":          {Host: "shop.example.com", Path: "/weixin", DomainFiles: []config.DomainFile{{Name: "MP_verify_a.txt"}}},
		"suite":         {Host: "suite.example.com", Path: "/weixin/$CORPID$"},
		"callback":      {Host: "suite.example.com", Path: "/$APPID$/callback"},
		"exact":         {Host: "suite.example.com", Path: "/weixin/ww1"},
		"root":          {Host: "suite.example.com", Path: "/"},
		"anywhere":      {Path: "/any"},
		"everywhere":    {Path: "/weixin/$APPID$"},
		"five":          {Host: "query.example.com", Path: "/weixin", Query: "id=5"},
		"six":           {Host: "query.example.com", Path: "/weixin", Query: "id=6"},
		"by their corp": {Host: "query.example.com", Path: "/weixin", Query: "corp=$CORPID$"},
		"by two":        {Host: "query.example.com", Path: "/weixin", Query: "id=5&kind=a"},
		"by none":       {Host: "query.example.com", Path: "/weixin"},
		"of a host":     {Host: "some.example.com", Path: "/$APPID$", Query: "id=1"},
		"with a file":   {Path: "/elsewhere", DomainFiles: []config.DomainFile{{Name: "MP_verify_b.txt"}}},
		"any, by query": {Path: "/any", Query: "id=2"},
	})
	for name, test := range map[string]struct {
		host, path, query, want string
	}{
		"its host and path":                                {"shop.example.com", "/weixin", "", "shop"},
		"with a port, capitals and a slash at the end":     {"SHOP.example.com:8443", "/weixin/", "", "shop"},
		"its domain file":                                  {"shop.example.com", "/MP_verify_a.txt", "", "shop"},
		"a domain file of another host":                    {"suite.example.com", "/MP_verify_a.txt", "", "nobody"},
		"a path of nobody's":                               {"shop.example.com", "/admin", "", "nobody"},
		"a path below it":                                  {"shop.example.com", "/weixin/x/y", "", "nobody"},
		"an encoded slash is another path":                 {"shop.example.com", "/weixin%2F", "", "nobody"},
		"a placeholder at the end":                         {"suite.example.com", "/weixin/ww2", "", "suite"},
		"and a slash behind it":                            {"suite.example.com", "/weixin/ww2/", "", "suite"},
		"a placeholder at the beginning":                   {"suite.example.com", "/wx1/callback", "", "callback"},
		"a whole path comes before a placeholder":          {"suite.example.com", "/weixin/ww1", "", "exact"},
		"two segments are no id":                           {"suite.example.com", "/weixin/ww2/x", "", "nobody"},
		"the root":                                         {"suite.example.com", "/", "", "root"},
		"every host":                                       {"other.example.com", "/any", "", "anywhere"},
		"no host at all":                                   {"", "/any", "", "anywhere"},
		"its own host comes before every host":             {"suite.example.com", "/weixin/wx5", "", "suite"},
		"a placeholder of every host":                      {"other.example.com", "/weixin/wx5", "", "everywhere"},
		"one by its query":                                 {"query.example.com", "/weixin", "signature=a&id=5", "five"},
		"who asks for more comes first":                    {"query.example.com", "/weixin", "kind=a&id=5", "by two"},
		"who asks for none comes last":                     {"query.example.com", "/weixin", "id=7", "by none"},
		"another by its query":                             {"query.example.com", "/weixin", "id=6", "six"},
		"one by what stands in place of its parameter":     {"query.example.com", "/weixin", "corp=ww1", "by their corp"},
		"a domain file of every host, below a placeholder": {"some.example.com", "/MP_verify_b.txt", "", "with a file"},
		"one whose query does not fit hides no other":      {"some.example.com", "/any", "id=2", "any, by query"},
		"what none serves is refused by the nearest":       {"some.example.com", "/wx1", "id=9", "of a host"},
		"an empty path":                                    {"shop.example.com", "", "", "nobody"},
		"a slash more":                                     {"shop.example.com", "/weixin//", "", "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := names[table.find(&gate.Request{Host: test.host, Path: test.path, RawQuery: test.query})]; got != test.want {
				t.Errorf("it is %s's, want %s", got, test.want)
			}
		})
	}
}

// TestTheTablePicksWhomTheGateServes: whatever an endpoint's gate serves, the table finds for it, as long as it is the only one of that
// URL.
func TestTheTablePicksWhomTheGateServes(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/weixin", "/a/b/c", "/$APPID$", "/weixin/$CORPID$", "/$APPID$/callback", "/a/$CORPID$/b"} {
		for _, host := range []string{"", "shop.example.com"} {
			table, names := newTestTable(t, map[string]config.Config{"one": {Host: host, Path: path}, "other": {Host: "other.example.com", Path: "/other"}})
			var one *account
			for a, name := range names {
				if name == "one" {
					one = a
				}
			}
			for _, asked := range []string{"/", "//", "", "/weixin", "/weixin/", "/weixin/ww1", "/weixin/ww1/", "/weixin//", "/wx1/callback", "/wx1/callback/", "/a/b/c", "/a/b/c/", "/a/ww1/b", "/a//b", "/wx1", "/wx%31"} {
				r := &gate.Request{Host: "Shop.example.com:80", Path: asked}
				if served := one.gate.Serves(*r); served && table.find(r) != one {
					t.Errorf("%s%s serves %s, and the table does not find it", host, path, asked)
				}
			}
		}
	}
}

// TestNobodyIsServedTwice: what is served goes on, and the other is refused.
func TestNobodyIsServedTwice(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		path, query string               // of the first
		edit        func(*config.Config) // makes the second
		want        string
	}{
		"its URL":                          {"/weixin", "id=5", func(c *config.Config) { c.Endpoint = "a/second" }, "the URL is that of entry a/first"},
		"its query, written otherwise":     {"/weixin", "id=5&kind=a%2Fb", func(c *config.Config) { c.Endpoint, c.Query = "a/second", "kind=a/b&id=%35" }, "the URL is that of entry a/first"},
		"its path, with another word":      {"/weixin/$APPID$", "", func(c *config.Config) { c.Endpoint, c.Path = "a/second", "/weixin/$CORPID$" }, "the URL is that of entry a/first"},
		"its query, with another word":     {"/weixin", "id=$CORPID$", func(c *config.Config) { c.Endpoint, c.Query = "a/second", "id=$APPID$" }, "the URL is that of entry a/first"},
		"its name":                         {"/weixin", "id=5", func(c *config.Config) { c.Path = "/other" }, "a/first is served already, as entry a/first"},
		"its host and path, not its query": {"/weixin", "id=5", func(c *config.Config) { c.Endpoint, c.Query = "a/second", "id=6" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(Options{ConfigDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
			first := config.Config{Endpoint: "a/first", Host: "shop.example.com", Path: test.path, Query: test.query}
			serveDocument(t, s, config.Document{Config: first})
			second := first
			test.edit(&second)
			if err := s.Offer("a/second", config.Document{Config: second}, 0); err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := s.Settle()["a/second"]; err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("refused with %q, want %q", got, test.want)
			}
		})
	}
}

// TestAnEntryCostsWhatIsCounted measures the memory of many, and that no more are served than there is room for.
func TestAnEntryCostsWhatIsCounted(t *testing.T) {
	s := New(Options{ConfigDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	document := func(i int) (d config.Document, size int) {
		d = config.Document{
			Config: config.Config{
				Endpoint: fmt.Sprint("a/", i), Host: fmt.Sprintf("shop-%d.example.com", i), Path: "/weixin", Platform: config.PlatformOfficialAccount, AppID: "wx1",
				MessageMode: config.ModeEncrypted, Backend: config.Backend{URL: fmt.Sprintf("http://app-%d:80", i)},
				DomainFiles: []config.DomainFile{{Name: "MP_verify_a.txt", Content: strings.Repeat("a", 1000)}},
			},
			Credentials: config.Credentials{GatewayKey: make([]byte, 32), Pairs: []config.Pair{{Token: "a-fine-token", EncodingAESKey: strings.Repeat("a", 43)}}},
		}
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		return d, len(text)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	served := 0
	for ; ; served++ {
		d, size := document(served)
		if err := s.Offer(fmt.Sprint(served), d, size); err != nil {
			t.Fatal(err)
		}
		if err := s.Settle()[fmt.Sprint(served)]; err != nil {
			if !strings.Contains(err.Error(), "raise the memory limit") {
				t.Fatal(err)
			}
			break
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	taken := int(after.HeapAlloc - before.HeapAlloc)
	counted := costOfAll(s.entries.served)
	t.Logf("%d entries take %d bytes each, counted are %d", served, taken/served, counted/served)
	if taken > counted || counted > s.bounds.entries {
		t.Errorf("%d bytes are taken, %d are counted, at most may be %d", taken, counted, s.bounds.entries)
	}
	d, size := document(served)
	s.Drop("0")
	_ = s.Offer("one more", d, size)
	if refused := s.Settle(); len(refused) > 0 {
		t.Errorf("the room of one that has ended is not free: %v", refused)
	}
	alone := New(Options{ConfigDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	_ = alone.Offer("0", d, config.MaxFileSize)
	if refused := alone.Settle(); len(refused) > 0 {
		t.Errorf("the largest document is refused where it is alone: %v", refused)
	}
	if err := alone.Offer("1", d, alone.bounds.entries); err != nil {
		t.Errorf("one that nothing is offered beside is not considered: %v", err)
	}
	if err := alone.Offer("2", d, size); err == nil {
		t.Error("more is considered than there is room for")
	}
}

// TestUsedEntriesStayWithinTheirBound: there are as many as there is room for, and each has had a message, everything that strangers can try,
// and a message for each of its rules.
func TestUsedEntriesStayWithinTheirBound(t *testing.T) {
	const token, key = "a-fine-token", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
	for name, test := range map[string]struct {
		memory  int64
		entries int // at least
		rules   int
		apps    bool // each rule has its own
		edit    func(*config.Document)
	}{
		"with one app":            {160 << 20, 1000, 0, false, func(*config.Document) {}},
		"in plaintext":            {160 << 20, 1000, 0, false, func(d *config.Document) { d.MessageMode = config.ModePlaintext }},
		"with two apps":           {256 << 20, 1000, 1, true, func(*config.Document) {}},
		"with all rules":          {64 << 20, 100, config.MaxRules, false, func(*config.Document) {}},
		"with all rules and apps": {64 << 20, 50, config.MaxRules, true, func(*config.Document) {}},
		"with a long domain file": {256 << 20, 1000, 0, false, func(d *config.Document) {
			d.DomainFiles = []config.DomainFile{{Name: "a.txt", Content: strings.Repeat("a", 4<<10)}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			t.Cleanup(app.Close)
			s := New(Options{ConfigDir: t.TempDir(), Memory: test.memory, Peers: Peers{Host: "peers.test", Port: 1}, Log: slog.New(slog.DiscardHandler)})
			sent := time.Now()
			s.clock = func(time.Time) time.Time { return sent }
			document := func(i int) []byte {
				d := config.Document{
					Config: config.Config{
						Generation: "g-1", Endpoint: fmt.Sprint("a/", i), Path: fmt.Sprint("/weixin/", i), Platform: config.PlatformOfficialAccount, AppID: "wx1",
						MessageMode: config.ModeEncrypted, Backend: config.Backend{URL: app.URL},
					},
					Credentials: config.Credentials{GatewayKey: make([]byte, config.GatewayKeySize), Pairs: []config.Pair{{Generation: 1, Token: token, EncodingAESKey: key}}},
				}
				for rule := range test.rules {
					r := config.Rule{Match: config.Match{Event: fmt.Sprint("event-", rule)}, Action: config.ActionForward}
					if test.apps {
						r.Backend = &config.Backend{URL: fmt.Sprintf("http://127.0.0.1:%d", 1+rule)} // where nobody listens
					}
					d.Rules = append(d.Rules, r)
				}
				test.edit(&d)
				text, err := json.Marshal(d)
				if err != nil {
					t.Fatal(err)
				}
				return text
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			n := 0
			for ; ; n++ {
				text := document(n)
				parsed, err := config.Parse(text)
				if err != nil {
					t.Fatal(err)
				}
				if s.Offer(fmt.Sprint(n), parsed, len(text)) != nil {
					break
				}
			}
			if refused := s.Settle(); len(refused) > 0 || n < test.entries {
				t.Fatalf("there is room for %d, and not for %v", n, refused)
			}
			for _, a := range s.table.Load().entries {
				sender := caller.Sender{URL: "http://wx.example.com" + a.config.Path, Token: token, ReceiverID: "wx1"}
				if a.config.Encrypted() {
					sender.EncodingAESKey = key
				}
				forger := sender
				forger.Token = "another-token"
				serve(t, a, &forger, "forged", statusRefused)
				serve(t, a, &sender, "none", statusTaken)
				for _, reason := range wechat.Reasons {
					a.endpoint.metrics.CountRefusal(reason, false)
				}
				for rule := range test.rules {
					// What a call to an app leaves is measured, not the call: nobody answers there.
					a.metrics.CountRule(rule)
					if backend := a.config.Rules[rule].Backend; backend != nil {
						a.metrics.ObserveApp(backend.URL, time.Second)
					}
				}
				if test.apps {
					a.metrics.ObserveApp(app.URL, time.Second)
				}
			}
			for _, a := range s.table.Load().entries { // what they remember is counted elsewhere
				a.endpoint.memory.Close()
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			taken := int(after.HeapAlloc - before.HeapAlloc)
			t.Logf("%d entries take %d bytes each, counted are %d", n, taken/n, costOfAll(s.entries.served)/n)
			if taken > s.bounds.entries {
				t.Errorf("%d bytes are taken, at most may be %d", taken, s.bounds.entries)
			}
			runtime.KeepAlive(s)
		})
	}
}

// serve sends a message to an account.
func serve(t *testing.T, a *account, sender *caller.Sender, event string, status int) {
	t.Helper()
	request, err := sender.NewPost(fmt.Appendf(nil, "<xml><FromUserName>oUser</FromUserName><MsgType>event</MsgType><Event>%s</Event></xml>", event))
	if err != nil {
		t.Fatal(err)
	}
	answer := a.Serve(t.Context(), &gate.Request{
		Method: request.Method, Path: request.Path, RawQuery: request.Query,
		Stream: bytes.NewReader(request.Body), Length: int64(len(request.Body)), Arrived: time.Now(),
	})
	defer answer.Free()
	if answer.Status != status {
		t.Fatalf("answered %d, want %d", answer.Status, status)
	}
}

// BenchmarkLookup finds one of many endpoints.
func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			configs := map[string]config.Config{}
			for i := range n {
				configs[fmt.Sprintf("team/shop-%d", i)] = config.Config{Host: fmt.Sprintf("shop-%d.example.com", i%50), Path: fmt.Sprintf("/weixin/%d", i)}
			}
			table, _ := newTestTable(b, configs)
			r := &gate.Request{Host: "shop-7.example.com", Path: "/weixin/7", RawQuery: "signature=a"}
			if n > 7 && table.find(r) == nil {
				b.Fatal("it is nobody's")
			}
			b.ReportAllocs()
			for b.Loop() {
				table.find(r)
			}
		})
	}
}
