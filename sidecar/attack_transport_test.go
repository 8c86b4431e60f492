// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// TestHostileHTTP writes requests that no client library would. The whole connection is judged: one answer and no more,
// unless a row says so. Some are refused by Go's HTTP server, which answers in its own words before the sidecar is asked.
func TestHostileHTTP(t *testing.T) {
	t.Parallel()
	field := func(fields ...string) func(raw) raw {
		return func(r raw) raw { return r.sized().with(fields...) }
	}
	line := func(change func(method, target, proto string) string) func(raw) raw {
		return func(r raw) raw {
			parts := strings.Split(r.line, " ")
			r.line = change(parts[0], parts[1], parts[2])
			return r.sized()
		}
	}
	body := func(change func(body string) string, fields ...string) func(raw) raw {
		return func(r raw) raw { r.body = change(r.body); return r.with(fields...) }
	}
	chunked := func(format string) func(raw) raw {
		return func(r raw) raw {
			r.body = fmt.Sprintf(format, len(r.body), r.body)
			return r.with("Transfer-Encoding: chunked")
		}
	}
	hostless := func(r raw) raw { r.fields = r.fields[1:]; return r }
	v := newVictim(t, "an Official Account, encrypted", nil)
	for name, row := range map[string]struct {
		want   verdict
		change func(raw) raw
		broken bool // the client stops sending
	}{
		"as it should be":                      {want: accepted, change: field()},
		"lines that end with a line feed only": {want: accepted, change: func(r raw) raw { r.line, r.fields = r.line+"\n"+strings.Join(r.fields, "\n"), nil; return r.sized() }},
		"HTTP/1.0 with Host":                   {want: accepted, change: line(func(m, u, _ string) string { return m + " " + u + " HTTP/1.0" })},
		"HTTP/1.0 without Host": {want: accepted, change: func(r raw) raw {
			r.line = strings.Replace(r.line, "HTTP/1.1", "HTTP/1.0", 1)
			return hostless(r).sized()
		}},
		"HTTP/1.1 without Host":           {want: unreadable, change: func(r raw) raw { return hostless(r).sized() }},
		"HTTP/0.9":                        {want: unreadable, change: line(func(m, u, _ string) string { return m + " " + u })},
		"HTTP/1.2":                        {want: accepted, change: line(func(m, u, _ string) string { return m + " " + u + " HTTP/1.2" })},
		"HTTP/2.0":                        {want: unreadable, change: line(func(m, u, _ string) string { return m + " " + u + " HTTP/2.0" })},
		"HTTP/3":                          {want: unreadable, change: line(func(m, u, _ string) string { return m + " " + u + " HTTP/3.0" })},
		"another protocol":                {want: unreadable, change: line(func(m, u, _ string) string { return m + " " + u + " RTSP/1.0" })},
		"TLS":                             {want: unreadable, change: func(raw) raw { return raw{line: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"} }},
		"a preface of HTTP/2":             {want: unknown, change: func(raw) raw { return raw{line: "PRI * HTTP/2.0", body: "SM\r\n\r\n"} }, broken: true},
		"an upgrade to HTTP/2":            {want: accepted, change: field("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__", "Connection: Upgrade, HTTP2-Settings")},
		"an upgrade to a WebSocket":       {want: accepted, change: field("Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")},
		"two Hosts":                       {want: unreadable, change: field("Host: other.example.com")},
		"a Host that is none":             {want: unreadable, change: func(r raw) raw { r.fields[0] = "Host: a b"; return r.sized() }},
		"two equal lengths":               {want: accepted, change: func(r raw) raw { return r.sized().sized() }},
		"two lengths, the true one last":  {want: unreadable, change: func(r raw) raw { return r.with("Content-Length: 1").sized() }},
		"two lengths, the true one first": {want: unreadable, change: func(r raw) raw { return r.sized().with("Content-Length: 1") }},
		"two lengths in one field":        {want: unreadable, change: func(r raw) raw { return r.with(fmt.Sprintf("Content-Length: %d, 1", len(r.body))) }},
		"a length with a sign":            {want: unreadable, change: func(r raw) raw { return r.with(fmt.Sprintf("Content-Length: +%d", len(r.body))) }},
		"a negative length":               {want: unreadable, change: func(r raw) raw { return r.with("Content-Length: -1") }},
		"a hexadecimal length":            {want: unreadable, change: func(r raw) raw { return r.with(fmt.Sprintf("Content-Length: 0x%x", len(r.body))) }},
		"a length of 2^64":                {want: unreadable, change: func(r raw) raw { return r.with("Content-Length: 18446744073709551616") }},
		"a length of 2^63-1":              {want: refused, change: func(r raw) raw { return r.with("Content-Length: 9223372036854775807") }, broken: true},
		"a length of 0":                   {want: refused, change: func(r raw) raw { r.body = ""; return r.with("Content-Length: 0") }},
		"no length":                       {want: refused, change: func(r raw) raw { r.body = ""; return r }},
		"a length that is too short":      {want: refused, change: func(r raw) raw { r.body = r.body[:len(r.body)-1]; return r.sized() }},
		"a length that is too long":       {want: refused, change: func(r raw) raw { return r.with(fmt.Sprintf("Content-Length: %d", len(r.body)+1)) }, broken: true},
		"chunks":                          {want: accepted, change: chunked("%x\r\n%s\r\n0\r\n\r\n")},
		"chunks with an extension":        {want: accepted, change: chunked("%x;a=b\r\n%s\r\n0\r\n\r\n")},
		"chunks with a trailer":           {want: accepted, change: chunked("%x\r\n%s\r\n0\r\nX-Wechat-Verified: forged\r\n\r\n")},
		"chunks in capitals": {want: accepted, change: func(r raw) raw {
			r.body = fmt.Sprintf("%X\r\n%s\r\n0\r\n\r\n", len(r.body), r.body)
			return r.with("TRANSFER-ENCODING: Chunked")
		}},
		"chunks without an end": {want: refused, change: chunked("%x\r\n%s\r\n"), broken: true},
		"chunks that are longer than they say": {want: refused, change: func(r raw) raw {
			r.body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(r.body)-1, r.body)
			return r.with("Transfer-Encoding: chunked")
		}},
		"chunks of no number":                  {want: refused, change: chunked("g%x\r\n%s\r\n0\r\n\r\n")},
		"chunks of a negative number":          {want: refused, change: chunked("-%x\r\n%s\r\n0\r\n\r\n")},
		"chunks of 2^64":                       {want: refused, change: chunked("1000000000000000%x\r\n%s\r\n0\r\n\r\n")},
		"chunks and a length":                  {want: accepted, change: func(r raw) raw { return chunked("%x\r\n%s\r\n0\r\n\r\n")(r.with("Content-Length: 4")) }},
		"chunks and a length of all":           {want: accepted, change: func(r raw) raw { return chunked("%x\r\n%s\r\n0\r\n\r\n")(r).sized() }},
		"chunks twice":                         {want: unreadable, change: func(r raw) raw { return chunked("%x\r\n%s\r\n0\r\n\r\n")(r).with("Transfer-Encoding: chunked") }},
		"chunks called identity":               {want: unreadable, change: body(func(b string) string { return b }, "Transfer-Encoding: identity")},
		"chunks called something else":         {want: unreadable, change: body(func(b string) string { return b }, "Transfer-Encoding: xchunked")},
		"chunks behind gzip":                   {want: unreadable, change: body(func(b string) string { return b }, "Transfer-Encoding: gzip, chunked")},
		"chunks behind a vertical tab":         {want: unreadable, change: body(func(b string) string { return b }, "Transfer-Encoding: \vchunked")},
		"chunks with a space before the colon": {want: unreadable, change: field("Transfer-Encoding : chunked")},
		"chunks on a folded line":              {want: unreadable, change: body(func(b string) string { return b }, "Transfer-Encoding:\r\n chunked, identity")},
		"chunks in HTTP/1.0": {want: unreadable, change: func(r raw) raw {
			r.line = strings.Replace(r.line, "HTTP/1.1", "HTTP/1.0", 1)
			r.body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(r.body), r.body)
			return r.with("Transfer-Encoding: chunked", "Content-Length: 1")
		}},
		"a wait for the go-ahead":                   {want: accepted, change: field("Expect: 100-continue")},
		"a wait for something else":                 {want: unreadable, change: field("Expect: forged")},
		"a name of a field with a space":            {want: unreadable, change: field("X Forged: a")},
		"a name of a field with NUL":                {want: unreadable, change: field("X\x00Forged: a")},
		"a field without a name":                    {want: unreadable, change: field(": a")},
		"a field without a colon":                   {want: unreadable, change: field("forged")},
		"a field with NUL":                          {want: unreadable, change: field("X-Forged: \x00")},
		"a field with a carriage return":            {want: unreadable, change: field("X-Forged: a\rb: c")},
		"a field before the first":                  {want: unreadable, change: func(r raw) raw { r.line += "\r\n X-Forged: a"; return r.sized() }},
		"a field of 12 KiB":                         {want: unreadable, change: field("X-Forged: " + strings.Repeat("a", 12<<10))},
		"a field of 6 KiB":                          {want: accepted, change: field("X-Forged: " + strings.Repeat("a", 6<<10))},
		"a field of 64 KiB":                         {want: unreadable, change: field("X-Forged: " + strings.Repeat("a", 64<<10))},
		"a field of 8 MiB":                          {want: unreadable, change: field("X-Forged: " + strings.Repeat("a", 8<<20))},
		"10000 fields":                              {want: unreadable, change: field(strings.Split(strings.TrimSuffix(strings.Repeat("X: a\n", 10000), "\n"), "\n")...)},
		"1000 Cookies":                              {want: unreadable, change: field(strings.Split(strings.TrimSuffix(strings.Repeat("Cookie: a\n", 1000), "\n"), "\n")...)},
		"40 Cookies":                                {want: accepted, change: field(strings.Split(strings.TrimSuffix(strings.Repeat("Cookie: a\n", 40), "\n"), "\n")...)},
		"60 Cookies":                                {want: unreadable, change: field(strings.Split(strings.TrimSuffix(strings.Repeat("Cookie: a\n", 60), "\n"), "\n")...)},
		"a target of 64 KiB":                        {want: unreadable, change: line(func(m, u, p string) string { return m + " " + u + "&a=" + strings.Repeat("a", 64<<10) + " " + p })},
		"a target of 8 KiB":                         {want: unreadable, change: line(func(m, u, p string) string { return m + " " + u + "&a=" + strings.Repeat("a", 8<<10) + " " + p })},
		"a target of 6 KiB":                         {want: refused, change: line(func(m, u, p string) string { return m + " " + u + "&a=" + strings.Repeat("a", 6<<10) + " " + p })},
		"a target with a space":                     {want: unreadable, change: line(func(m, u, p string) string { return m + " " + u + " a " + p })},
		"a target with NUL":                         {want: unreadable, change: line(func(m, u, p string) string { return m + " " + u + "\x00 " + p })},
		"a target with a tab":                       {want: unreadable, change: line(func(m, u, p string) string { return m + " " + u + "\t " + p })},
		"no target":                                 {want: unreadable, change: line(func(m, _, p string) string { return m + "  " + p })},
		"an absolute target":                        {want: accepted, change: line(func(m, u, p string) string { return m + " http://other.example.com" + u + " " + p })},
		"an absolute target of another scheme":      {want: accepted, change: line(func(m, u, p string) string { return m + " gopher://other.example.com" + u + " " + p })},
		"an absolute target without a host":         {want: accepted, change: line(func(m, u, p string) string { return m + " http://" + u + " " + p })},
		"a target that does not begin with a slash": {want: unreadable, change: line(func(m, u, p string) string { return m + " " + strings.TrimPrefix(u, "/") + " " + p })},
		"a target that is a scheme and no path":     {want: unknown, change: line(func(m, u, p string) string { return m + " http:" + strings.TrimPrefix(u, "/") + " " + p })},
		"a method with a space before":              {want: unreadable, change: line(func(m, u, p string) string { return " " + m + " " + u + " " + p })},
		"a method in small letters":                 {want: refused, change: line(func(_, u, p string) string { return "post " + u + " " + p })},
		"a method that is no word":                  {want: unreadable, change: line(func(_, u, p string) string { return "PO(ST " + u + " " + p })},
		"a method of 10 KiB":                        {want: unreadable, change: line(func(_, u, p string) string { return strings.Repeat("POST", 2560) + " " + u + " " + p })},
		"a method that is overridden": {want: refused, change: func(r raw) raw {
			r.line = strings.Replace(r.line, "POST", "PUT", 1)
			return r.sized().with("X-HTTP-Method-Override: POST")
		}},
		"a path that is overridden": {want: unknown, change: func(r raw) raw {
			r.line = strings.Replace(r.line, "/weixin", "/other", 1)
			return r.sized().with("X-Original-URL: /weixin", "X-Rewrite-URL: /weixin", "X-Forwarded-Prefix: /weixin")
		}},
		"a question for help": {want: refused, change: func(r raw) raw {
			r.line = strings.Replace(r.line, "POST", "OPTIONS", 1)
			return r.sized().with("Access-Control-Request-Method: POST", "Origin: http://a")
		}},
		"nothing but line ends":                         {want: unreadable, change: func(raw) raw { return raw{} }, broken: true},
		"half a head":                                   {want: unreadable, change: func(r raw) raw { return raw{line: r.line + "\r\nHost: a"} }, broken: true},
		"a body that is announced and not sent":         {want: refused, change: func(r raw) raw { r = r.sized(); r.body = ""; return r }, broken: true},
		"a body that is announced and half of it comes": {want: refused, change: func(r raw) raw { r = r.sized(); r.body = r.body[:len(r.body)/2]; return r }, broken: true},
	} {
		t.Run(name, func(t *testing.T) {
			request, message := v.genuine(t)
			text := row.change(rawOf(request).with(lastRequest)).String()
			var answers [][]caller.Answer
			for _, s := range v.doors() {
				answers = append(answers, s.exchange(t, text, row.broken))
				v.expectExchange(t, row.want, answers[len(answers)-1], message)
			}
			expectSame(t, answers)
			v.expectAccepted(t, request, message, row.want == accepted)
		})
	}
}

// expectSame compares what both doors answered.
func expectSame(t *testing.T, answers [][]caller.Answer) {
	t.Helper()
	for _, ofDoor := range answers {
		for _, answer := range ofDoor {
			answer.Header.Del("Date")
		}
	}
	same := cmp.Comparer(func(a, b caller.Answer) bool {
		return a.Status == b.Status && string(a.Body) == string(b.Body) && maps.EqualFunc(a.Header, b.Header, slices.Equal)
	})
	if diff := cmp.Diff(answers[1], answers[0], same); diff != "" {
		t.Errorf("the strict reader answers in another way than net/http:\n%s", diff)
	}
}

// expectExchange judges a connection on which one request was sent.
func (v *victim) expectExchange(t *testing.T, want verdict, answers []caller.Answer, message string) {
	t.Helper()
	switch {
	case len(answers) > 1, len(answers) == 0 && want != unreadable:
		t.Errorf("%d answers", len(answers))
		v.app.taken()
	case len(answers) == 0:
		v.judge(t, want, caller.Answer{}, io.EOF, message)
	default:
		v.judge(t, want, answers[0], nil, message)
	}
}

// TestOneRequestBehindAnother: what is hidden in or behind a body is a request of its own, and must be signed itself.
func TestOneRequestBehindAnother(t *testing.T) {
	t.Parallel()
	const forged = "POST /weixin?signature=0&timestamp=1&nonce=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n" + lastRequest + "\r\n\r\n<xml/>"
	v := newVictim(t, "an Official Account, encrypted", nil)
	for name, row := range map[string]struct {
		text     func(r raw) string
		statuses []int
		seen     bool
	}{
		"a forged one behind a genuine one is refused": {
			func(r raw) string { return r.sized().String() + forged }, []int{200, 403}, true,
		},
		"what comes behind chunks is not read": {func(r raw) string {
			r.body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(r.body), r.body)
			return r.with("Transfer-Encoding: chunked").String() + forged
		}, []int{200}, true},
		"a genuine one behind a forged one is judged by itself": {
			func(r raw) string {
				return strings.Replace(forged, lastRequest+"\r\n", "", 1) + r.sized().with(lastRequest).String()
			}, []int{403, 200}, true,
		},
		"a genuine one in the body of a forged one is a body": {func(r raw) string {
			inner := r.sized().String()
			return fmt.Sprintf("POST /weixin?a=b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%s\r\n\r\n%s", len(inner), lastRequest, inner)
		}, []int{403}, false},
		"behind a length of 0 the body is a request that is none": {
			func(r raw) string { return r.with("Content-Length: 0").String() + "\r\n\r\n" }, []int{403, 400}, false,
		},
		"a length hides nothing from chunks": {
			func(r raw) string {
				inner := r.sized().String()
				return fmt.Sprintf("POST /weixin?a=b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n%s\r\n\r\n0\r\n\r\n%s", 5+len(inner), lastRequest, inner)
			}, []int{403}, false,
		},
		"a GET with a body is one request": {func(r raw) string {
			inner := r.sized().String()
			return fmt.Sprintf("GET /weixin?a=b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%s\r\n\r\n%s", len(inner), lastRequest, inner)
		}, []int{403}, false},
	} {
		t.Run(name, func(t *testing.T) {
			request, message := v.genuine(t)
			for _, s := range v.doors() {
				var statuses []int
				for _, answer := range s.exchange(t, row.text(rawOf(request)), false) {
					statuses = append(statuses, answer.Status)
				}
				if diff := cmp.Diff(row.statuses, statuses); diff != "" {
					t.Errorf("answers (-want +got):\n%s", diff)
				}
				v.expectSeen(t, row.seen, message)
			}
			v.expectAccepted(t, request, message, row.seen)
		})
	}
}

// TestNoHeaderReachesTheApp: each of these is what an app, or something between, might believe. The message passes, and the
// app is told the same as without them.
func TestNoHeaderReachesTheApp(t *testing.T) {
	t.Parallel()
	forged := http.Header{}
	for _, name := range []string{
		"X-WeChat-Verified", "X-WeChat-Endpoint", "X-WeChat-Platform", "X-WeChat-App-Id", "X-WeChat-Path-App-Id", "X-WeChat-Open-Id",
		"X-WeChat-Message-Type", "X-WeChat-Event", "X-WeChat-Delivery-Id", "X-WeChat-Deadline", "X-WeChat-Gateway-Signature",
		"X-WeChat-Verification-Reason", "x_wechat_verified", "X-Wx-Sources", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
		"X-Real-Ip", "Forwarded", "Via", "X-Original-Url", "X-Http-Method-Override", "Authorization", "Proxy-Authorization", "Cookie",
		"Te", "Trailer", "Keep-Alive", "Proxy-Connection", "Upgrade", "Traceparent", "Tracestate", "Baggage", "B3", "X-Request-Id", "Content-Encoding", "Content-Language",
		"Content-Type", "User-Agent", "Accept-Encoding", "Range", "If-None-Match", "Origin", "Referer",
	} {
		forged.Set(name, "forged")
	}
	forged["Te"] = []string{"trailers, forged"}
	forged["Trailer"] = []string{"X-Forged"}
	named := forged.Clone()
	named["Connection"] = []string{"X-Wechat-Verified, X-Wechat-Endpoint, X-Wechat-Delivery-Id, Content-Type, Host"}
	for kind, v := range map[string]*victim{
		"plaintext": newVictim(t, "an Official Account, plaintext", nil),
		"encrypted": newVictim(t, "an Official Account, encrypted", nil),
		"WeCom":     newVictim(t, "a WeCom app", nil),
	} {
		for name, header := range map[string]http.Header{"forged headers": forged, "headers that Connection removes": named} {
			t.Run(kind+", "+name, func(t *testing.T) {
				var told []http.Header
				for _, header := range []http.Header{nil, header} {
					request, _ := v.genuine(t)
					for name, values := range header {
						request.Header[name] = values
					}
					if answer := whole(v.sender.Send(t.Context(), request)); answer.Status != http.StatusOK {
						t.Fatalf("answered %d", answer.Status)
					}
					got := v.app.last(t)
					for _, varying := range []string{"X-Wechat-Delivery-Id", "X-Wechat-Deadline", "X-Wechat-Gateway-Signature", "Content-Length"} {
						if got.Header.Get(varying) == "" || strings.Contains(got.Header.Get(varying), "forged") {
							t.Errorf("%s is %q", varying, got.Header.Get(varying))
						}
						got.Header.Del(varying)
					}
					if got.Host != strings.TrimPrefix(v.config.Backend.URL, "http://") {
						t.Errorf("the app was called as %s", got.Host)
					}
					told = append(told, got.Header)
				}
				if diff := cmp.Diff(told[0], told[1]); diff != "" {
					t.Errorf("the app was told (-without +with):\n%s", diff)
				}
			})
		}
	}
}

// TestPathsAndHosts: the path is compared as it was sent, and nothing is ever redirected.
func TestPathsAndHosts(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "an Official Account, encrypted", func(c *config.Config) {
		c.Host = "wx.example.com"
		c.DomainFiles = []config.DomainFile{{Name: "MP_verify_abc.txt", Content: "abc"}}
	})
	v.sender.Host = "wx.example.com"
	paths := map[string]verdict{
		"/weixin": accepted, "/weixin/": accepted,
		"/": unknown, "//weixin": unknown, "/weixin//": unknown, "//": unknown, "/weixin/.": unknown, "/./weixin": unknown, "/a/../weixin": unknown,
		"/weixin/..": unknown, "/weixin/../weixin": unknown, "/..%2fweixin": unknown, "/%2e%2e/weixin": unknown, "/%2fweixin": unknown, "/weixin%2f": unknown,
		"/%77eixin": unknown, "/weixi%6e": unknown, "/weixin%00": unknown, "/weixin%20": unknown, "/weixin%0a": unknown, "/weixin%3f": unknown,
		"/weixin%23": unknown, "/weixin;a=b": unknown, "/weixin;": unknown, "/WEIXIN": unknown, "/Weixin": unknown, "/weixin.": unknown,
		"/weixin.php": unknown, "/weixin\\": unknown, "\\weixin": unreadable, "/weixi": unknown, "/weixinn": unknown, "/weixin/more": unknown,
		"/other": unknown, "/healthz": unknown, "/readyz": unknown, "/status": unknown, "/metrics": unknown, "/debug/pprof/": unknown,
		"/MP_verify_abc.txt": unknown, "/weixin/MP_verify_abc.txt": unknown, "/%e5%be%ae%e4%bf%a1": unknown, "/weixin\u2044": unknown, "/weixin%zz": unreadable,
		"/ｗeixin": unknown, "*": unreadable,
	}
	for path, want := range paths {
		t.Run("a message to "+path, func(t *testing.T) {
			v.expect(t, want, func(r *caller.Request) { r.Path = path })
		})
	}
	for host, want := range map[string]verdict{
		"wx.example.com": accepted, "wx.example.com:80": accepted, "wx.example.com:8443": accepted, "WX.Example.COM": accepted,
		"other.example.com": unknown, "example.com": unknown, "wx.example.com.": unknown, "wx.example.com.evil.example": unknown,
		"evilwx.example.com": unknown, "127.0.0.1": unknown, "[::1]": unknown, ":80": unknown, "wx.example.com,other": unknown, "wx.example.com/a": unreadable,
	} {
		t.Run("a message to the host "+host, func(t *testing.T) {
			v.expect(t, want, func(r *caller.Request) { r.Host = host })
		})
	}
	t.Run("an absolute target names the host", func(t *testing.T) {
		v.expect(t, unknown, func(r *caller.Request) { r.Path = "http://other.example.com/weixin" })
	})
	t.Run("HTTP/1.0 without a host", func(t *testing.T) {
		v.expect(t, unknown, func(r *caller.Request) { r.Proto, r.Host = "HTTP/1.0", "" })
	})
	for _, method := range []string{"PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "HEAD", "PROPFIND", "post", "GETS", "PRI"} {
		t.Run("a message by "+method, func(t *testing.T) {
			v.expect(t, refused, func(r *caller.Request) { r.Method = method })
		})
	}
	t.Run("CONNECT to a host", func(t *testing.T) {
		v.expect(t, unknown, func(r *caller.Request) { r.Method, r.Path, r.Query = "CONNECT", "wx.example.com:80", "" })
	})
}

// TestDomainFilesCannotBeLeft: a file is one exact path, and the sidecar never opens one for it.
func TestDomainFilesCannotBeLeft(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "an Official Account, encrypted", func(c *config.Config) {
		c.Host = "wx.example.com"
		c.DomainFiles = []config.DomainFile{{Name: "MP_verify_abc.txt", Content: "abc"}}
	})
	for name, row := range map[string]struct {
		method, path, host string
		status             int
		body               string
	}{
		"the file":                     {"GET", "/MP_verify_abc.txt", "wx.example.com", 200, "abc"},
		"the file with a query":        {"GET", "/MP_verify_abc.txt?a=b", "wx.example.com", 200, "abc"},
		"the file's head":              {"HEAD", "/MP_verify_abc.txt", "wx.example.com", 200, ""},
		"the file by POST":             {"POST", "/MP_verify_abc.txt", "wx.example.com", 404, ""},
		"the file of another host":     {"GET", "/MP_verify_abc.txt", "other.example.com", 404, ""},
		"the file in capitals":         {"GET", "/MP_VERIFY_ABC.TXT", "wx.example.com", 404, ""},
		"the file, escaped":            {"GET", "/%4dP_verify_abc.txt", "wx.example.com", 404, ""},
		"the file behind two slashes":  {"GET", "//MP_verify_abc.txt", "wx.example.com", 404, ""},
		"the file behind dots":         {"GET", "/weixin/../MP_verify_abc.txt", "wx.example.com", 404, ""},
		"the file behind escaped dots": {"GET", "/weixin/..%2fMP_verify_abc.txt", "wx.example.com", 404, ""},
		"the credentials":              {"GET", "/credentials.json", "wx.example.com", 404, ""},
		"the credentials, behind dots": {"GET", "/../credentials.json", "wx.example.com", 404, ""},
		"the credentials, escaped":     {"GET", "/..%2f..%2fcredentials.json", "wx.example.com", 404, ""},
		"the file and NUL":             {"GET", "/MP_verify_abc.txt%00", "wx.example.com", 404, ""},
		"the file and a slash":         {"GET", "/MP_verify_abc.txt/", "wx.example.com", 404, ""},
		"the folder":                   {"GET", "/", "wx.example.com", 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range v.doors() {
				answer := whole(v.sends(t, s, &caller.Request{Method: row.method, Path: row.path, Host: row.host, Proto: "HTTP/1.1"}))
				if answer.Status != row.status || string(answer.Body) != row.body {
					t.Errorf("answered %d %q", answer.Status, answer.Body)
				}
			}
			v.expectSeen(t, false, "")
		})
	}
}
