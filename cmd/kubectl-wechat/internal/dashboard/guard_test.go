// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestWhoGetsIn: each row is a request, and beside it the one rule without which it would get in.
func TestWhoGetsIn(t *testing.T) {
	const token, port = "THISRUNSTOKENAAAAAAAAAAAAA", "8090"
	g := newGuard(port, token)
	for name, test := range map[string]struct {
		method, path, host string
		header             map[string]string
		want               int
		// without leaves the rule out that refuses it. Where nothing is left out, the request is the page's.
		without func(*http.Request)
	}{
		"the page asks for an endpoint":             {"GET", "/api/objects", "127.0.0.1:8090", map[string]string{tokenHeader: token, "Sec-Fetch-Site": "same-origin"}, 200, nil},
		"the page by the name localhost":            {"GET", "/api/objects", "localhost:8090", map[string]string{tokenHeader: token}, 200, nil},
		"the page by the address of IPv6":           {"GET", "/api/objects", "[::1]:8090", map[string]string{tokenHeader: token}, 200, nil},
		"the page sends a message":                  {"POST", "/api/send", "127.0.0.1:8090", map[string]string{tokenHeader: token, "Origin": "http://127.0.0.1:8090", "Sec-Fetch-Site": "same-origin"}, 200, nil},
		"a browser opens the page, without a token": {"GET", "/", "127.0.0.1:8090", map[string]string{"Sec-Fetch-Site": "none"}, 200, nil},
		"another process, without a token":          {"GET", "/api/objects", "127.0.0.1:8090", nil, 401, func(r *http.Request) { r.Header.Set(tokenHeader, token) }},
		"a page of an earlier run, with its token": {"GET", "/api/objects", "127.0.0.1:8090", map[string]string{tokenHeader: newToken()}, 401,
			func(r *http.Request) { r.Header.Set(tokenHeader, token) }},
		"a token that is a part of the token": {"GET", "/api/objects", "127.0.0.1:8090", map[string]string{tokenHeader: token[:20]}, 401,
			func(r *http.Request) { r.Header.Set(tokenHeader, token) }},
		"the token in the query": {"GET", "/api/objects?token=" + token, "127.0.0.1:8090", nil, 401, func(r *http.Request) { r.Header.Set(tokenHeader, token) }},
		"the token in a cookie":  {"GET", "/api/objects", "127.0.0.1:8090", map[string]string{"Cookie": tokenHeader + "=" + token}, 401, func(r *http.Request) { r.Header.Set(tokenHeader, token) }},
		"a name that leads to loopback (DNS rebinding)": {"GET", "/api/objects", "evil.example:8090", map[string]string{tokenHeader: token}, 421,
			func(r *http.Request) { r.Host = "127.0.0.1:8090" }},
		"the same for the page itself":    {"GET", "/", "evil.example:8090", nil, 421, func(r *http.Request) { r.Host = "127.0.0.1:8090" }},
		"localhost with another port":     {"GET", "/", "localhost:9999", nil, 421, func(r *http.Request) { r.Host = "localhost:8090" }},
		"localhost as a part of a name":   {"GET", "/", "localhost.evil.example:8090", nil, 421, func(r *http.Request) { r.Host = "localhost:8090" }},
		"another address of loopback":     {"GET", "/", "127.0.0.2:8090", nil, 421, func(r *http.Request) { r.Host = "127.0.0.1:8090" }},
		"a Host without a port":           {"GET", "/", "localhost", nil, 421, func(r *http.Request) { r.Host = "localhost:8090" }},
		"another Origin sends a message":  {"POST", "/api/send", "127.0.0.1:8090", map[string]string{tokenHeader: token, "Origin": "https://evil.example"}, 403, func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:8090") }},
		"another port of this computer":   {"POST", "/api/send", "127.0.0.1:8090", map[string]string{tokenHeader: token, "Origin": "http://127.0.0.1:3000"}, 403, func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:8090") }},
		"the same names by https":         {"POST", "/api/send", "127.0.0.1:8090", map[string]string{tokenHeader: token, "Origin": "https://127.0.0.1:8090"}, 403, func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:8090") }},
		"an Origin that is hidden":        {"POST", "/api/send", "127.0.0.1:8090", map[string]string{tokenHeader: token, "Origin": "null"}, 403, func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:8090") }},
		"a POST that names no Origin":     {"POST", "/api/send", "127.0.0.1:8090", map[string]string{tokenHeader: token}, 403, func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:8090") }},
		"a form of another site":          {"POST", "/api/send", "127.0.0.1:8090", map[string]string{tokenHeader: token, "Origin": "http://127.0.0.1:8090", "Sec-Fetch-Site": "cross-site"}, 403, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-origin") }},
		"another Origin reads":            {"GET", "/api/objects", "127.0.0.1:8090", map[string]string{tokenHeader: token, "Origin": "https://evil.example"}, 403, func(r *http.Request) { r.Header.Del("Origin") }},
		"a preflight of another Origin":   {"OPTIONS", "/api/send", "127.0.0.1:8090", map[string]string{"Origin": "https://evil.example", "Access-Control-Request-Headers": tokenHeader}, 405, nil},
		"a method that nothing here uses": {"DELETE", "/api/objects", "127.0.0.1:8090", map[string]string{tokenHeader: token, "Origin": "http://127.0.0.1:8090"}, 405, nil},
		"a POST to a file":                {"POST", "/app.js", "127.0.0.1:8090", map[string]string{tokenHeader: token, "Origin": "http://127.0.0.1:8090"}, 405, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(test.method, test.path, strings.NewReader("{}"))
			r.Host = test.host
			for key, value := range test.header {
				r.Header.Set(key, value)
			}
			passed := false
			w := httptest.NewRecorder()
			g.protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true })).ServeHTTP(w, r)
			if w.Code != test.want || passed != (test.want == http.StatusOK) {
				t.Errorf("status %d, passed %v, want %d", w.Code, passed, test.want)
			}
			checkHeaders(t, w.Header())
			if test.without == nil {
				return
			}
			test.without(r)
			if status := g.check(r); status != http.StatusOK {
				t.Errorf("it is refused (%d) for another reason, too: the row does not show what its rule keeps out", status)
			}
		})
	}
}

// checkHeaders looks for the headers that every answer has, a refusal too.
func checkHeaders(t *testing.T, header http.Header) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for name := range header {
		if strings.HasPrefix(name, "Access-Control-") || name == "Set-Cookie" {
			t.Errorf("the header %s is sent", name)
		}
	}
}

func TestEachRunHasATokenOfItsOwn(t *testing.T) {
	one, other := newToken(), newToken()
	if one == other || len(one) < 26 { // 26 digits of base 32 are 130 bits
		t.Errorf("%d digits, and again the same: %v", len(one), one == other)
	}
}
