// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/door"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/http1"
)

// names are the fields that the handlers of these tests ask for.
var names = []string{"Wechatpay-Nonce", "Wechatpay-Signature"}

// told is what a handler read of a request. A handler whose path begins with /skip does not read the body.
func told(method, host, path, query string, header map[string][]string, length int64, body io.Reader) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q %q %q %d", method, host, path, query, length)
	for _, name := range names {
		fmt.Fprintf(&b, " %q", header[name])
	}
	if !strings.HasPrefix(path, "/skip") {
		text, err := io.ReadAll(body)
		fmt.Fprintf(&b, " %q %v", text, err)
	}
	return b.String()
}

func tellStrict(_ context.Context, w *http1.Response, r *http1.Request) {
	text := told(r.Method, r.Host, r.Path, r.RawQuery, r.Header, r.Length, r.Body)
	w.Head(200, len(text), http1.Field{Name: "Content-Type", Value: "text/plain"}, http1.Field{Name: "X-Method", Value: r.Method})
	_, _ = io.WriteString(w, text)
}

func tellStandard(w http.ResponseWriter, r *http.Request) {
	text := told(r.Method, r.Host, r.URL.EscapedPath(), r.URL.RawQuery, r.Header, r.ContentLength, r.Body)
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("X-Method", r.Method)
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	_, _ = io.WriteString(w, text)
}

// wide are bounds that no test reaches.
var wide = http1.Bounds{
	HeadSize: 64 << 10, HeadLines: 1 << 10, BodySize: 1 << 10,
	HeadTime: time.Minute, ReadTime: time.Minute, WriteTime: time.Minute, IdleTime: time.Minute,
}

// doors are the way through this package and the one through net/http alone.
type doors struct{ strict, standard chan net.Conn }

func openDoors(tb testing.TB) doors {
	tb.Helper()
	d := doors{make(chan net.Conn), make(chan net.Conn)}
	bounds := door.Bounds{Connections: 1 << 10, HeadSize: wide.HeadSize, HeadLines: wide.HeadLines, HeadTime: wide.HeadTime}
	newServer := func() *http.Server {
		return &http.Server{Handler: http.HandlerFunc(tellStandard), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo), DisableGeneralOptionsHandler: true}
	}
	closed := make(chan struct{})
	tb.Cleanup(func() { close(closed) })
	standard := door.Listen(&feed{conns: d.standard, closed: closed}, bounds)
	strict := door.Listen(&feed{conns: d.strict, closed: closed}, bounds)
	server := &http1.Server{Handler: tellStrict, Names: names, Bounds: wide, Faulted: func() { tb.Error("a fault") }}
	go func() { _ = standard.Serve(newServer()) }()
	go func() { _ = strict.ServePassedOn(newServer()) }()
	go func() { _ = server.Serve(strict) }()
	return d
}

// feed is a listener of connections that a test makes.
type feed struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (f *feed) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

func (f *feed) Close() error   { return nil }
func (f *feed) Addr() net.Addr { return &net.TCPAddr{} }

// sent is a connection whose client has sent a text, in pieces of a size, and then stopped sending.
type sent struct {
	text  []byte
	piece int

	mu      sync.Mutex
	answers bytes.Buffer
	once    sync.Once
	closed  chan struct{}
}

func (s *sent) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.piece)], s.text)
	s.text = s.text[n:]
	return n, nil
}

func (s *sent) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answers.Write(p)
}

func (s *sent) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *sent) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *sent) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *sent) SetDeadline(time.Time) error      { return nil }
func (s *sent) SetReadDeadline(time.Time) error  { return nil }
func (s *sent) SetWriteDeadline(time.Time) error { return nil }

// answered are all answers to a text.
func answered(t *testing.T, to chan net.Conn, text string, piece int) (answers []string) {
	t.Helper()
	s := &sent{text: []byte(text), piece: piece, closed: make(chan struct{})}
	to <- s
	select {
	case <-s.closed:
	case <-time.After(20 * time.Second):
		t.Fatal("the connection was not closed")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for reader := bufio.NewReader(&s.answers); ; {
		if _, err := reader.Peek(1); err != nil {
			return answers
		}
		head, _ := reader.Peek(reader.Buffered())
		head, _, _ = bytes.Cut(head, []byte("\r\n\r\n"))
		request := &http.Request{Method: http.MethodGet}
		if bytes.Contains(head, []byte("Method: HEAD")) {
			request.Method = http.MethodHead
		}
		response, err := http.ReadResponse(reader, request)
		if err != nil {
			return append(answers, err.Error())
		}
		response.Header.Del("Date")
		body, err := io.ReadAll(response.Body)
		if strings.HasSuffix(string(body), io.ErrUnexpectedEOF.Error()) {
			response.Close = true // net/http closes the connection, and does not say so
		}
		answers = append(answers, fmt.Sprint(response.Status, " ", response.Header, response.Close, " ", string(body), " ", err))
	}
}

// expectSame compares what is answered by this package, and by net/http behind it, with what net/http alone answers.
func (d doors) expectSame(t *testing.T, text string, piece int) {
	t.Helper()
	if diff := cmp.Diff(answered(t, d.standard, text, piece), answered(t, d.strict, text, piece)); diff != "" {
		t.Errorf("%q, in pieces of %d (-net/http +here):\n%s", text, piece, diff)
	}
}

// texts are requests, usual ones and such as two readers have read differently before.
func texts() []string {
	const end = "\r\n\r\n"
	get, next := "GET /a?b=c HTTP/1.1\r\nHost: a", "GET /next HTTP/1.1\r\nHost: a"+end
	post := func(length, body string) string {
		return "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: " + length + end + body
	}
	all := []string{
		get + end, get + end + next, post("3", "abc"), post("3", "abc") + next, post("0", "") + next, post("3", "abc") + "\r\n" + next,
		post("3", "abc") + "\r\n\r\n\r\n" + next, post("3", "abc") + "\n\n\n\n" + next, post("3", "abc") + "\r\n", get + end + "\r\n" + next,
		post(fmt.Sprint(len(next)), next) + next, post("2", "\r\n") + next, post("3", "ab"), post("1000", strings.Repeat("a", 1000)) + next,
		post("1025", strings.Repeat("a", 1025)) + next, strings.Replace(post("3", "abc"), "/a", "/skip", 1) + next, strings.Replace(post("3", "ab"), "/a", "/skip", 1),
		strings.Replace(post("3", "abc"), "POST", "GET", 1) + next, strings.Replace(post("3", "abc"), "POST", "HEAD", 1) + next, "HEAD /a HTTP/1.1\r\nHost: a" + end + next,
		"POST /a HTTP/1.1\r\nHost: a" + end + next, "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked" + end + "3\r\nabc\r\n0" + end + next,
		"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked" + end + "0" + end + next, post("3", "abc") + post("x", ""), next + post("+3", "abc"),
		post("-1", ""), post("0x3", "abc"), post("3, 3", "abc"), post("03", "abc") + next, post("", "abc"), post("18446744073709551616", "abc"), post("99999999", "abc"), post(" 3 ", "abc") + next,
		get + end + "00", get + end + "\n", get + end + "\n000", post("0", "") + "\r000", post("0", "") + "\r\n\r\n", post("0", "") + "\r\n\r\n\r" + next,
		"\r\n" + next, "\n" + next, "GET /a HTTP/1.0\r\nHost: a" + end, "GET /a HTTP/1.2\r\nHost: a" + end, "GET /a" + end, "GET  HTTP/1.1" + end, "get /a HTTP/1.1\r\nHost: a" + end,
		"OPTIONS * HTTP/1.1\r\nHost: a" + end, "PRI * HTTP/2.0" + end + "SM" + end, "CONNECT a:80 HTTP/1.1\r\nHost: a" + end, "\x16\x03\x01\x02\x00\x01" + end,
	}
	for _, target := range []string{
		"/", "//a", "///a", "/a//", "/a/../b", "/a/./b", "/%61", "/%2f", "/%zz", "/%", "/a%00", "/a;b", "/a:b@c", "/a!$&'()*+,=~b", "/a\"b", "/a<b>", "/a[b]", "/a{b}", "/a|b", "/a\\b", "/a^b", "/a`b",
		"/a#b", "/a#b?c", "/a?", "/a??", "/a?b?c", "/a?b#c", "/a?b=%zz", "/a?\"<>[]{}|\\^`", "/a?%", "/a\x80", "/a?\x80", "/a\x7f", "/a b", "/a\tb", "http://b/a", "http:a", "*", "a", "?a", "//b:c@d/e", "/:80", "/a?b=/../c",
	} {
		all = append(all, "GET "+target+" HTTP/1.1\r\nHost: a"+end+next)
	}
	for _, field := range []string{
		"Host: b", "host: a", "Content-Length: 0", "Connection: close", "Connection: Keep-Alive", "Connection: keep-alive, close", "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__", "Upgrade: websocket",
		"Connection: close\r\nConnection: keep-alive", "Connection: Wechatpay-Nonce\r\nWechatpay-Nonce: a", "Connection:", "Expect: 100-continue", "Expect: a", "Trailer: A", "TE: trailers", "Keep-Alive: 5", "Proxy-Connection: close",
		"A : b", " A: b", "A\r\n B: c", "A: b\r\n c", "A: b\r\n\tc", "A", ": a", "A:", "A: ", "A:\t b \t", "A: b\rc: d", "A: b\nC: d", "A: b\r", "A: \x00", "A: \x7f", "A: \x80", "A\x80: b", "A(: b", "A_B: c", "A\x00: b", "Content_Length: 5",
		"Content-Length : 5", "Transfer-Encoding : chunked", "Transfer-Encoding:\vchunked", "transfer-encoding: identity", "X: a\r\nx: b", "Wechatpay-Nonce: a", "wechatpay-nonce:  a\t", "Wechatpay-Nonce: a\r\nWechatpay-Nonce: b", "WECHATPAY-SIGNATURE:",
		"Wechatpay_Nonce: a", "Wechatpay-Nonce: a\r\nWechatpay-Signature: b c", "Pragma: no-cache", "Content-Length: 0\r\nContent-Length: 0", "Host :a", "Forwarded: host=b", "X-HTTP-Method-Override: POST",
	} {
		all = append(all, get+"\r\n"+field+end+next, "GET /a HTTP/1.1\r\n"+field+end+next)
	}
	for _, host := range []string{"", "a", "a:80", "[::1]:80", "a b", "a/b", "a,b", "a_b", "A.B.", "a@b", "a%20b", "\x80", "a\x00", "a?b", "a#b", "*"} {
		all = append(all, "GET /a HTTP/1.1\r\nHost: "+host+end+next)
	}
	return all
}

// TestReadsAsNetHTTP: each text is answered as by net/http alone, however it comes.
func TestReadsAsNetHTTP(t *testing.T) {
	t.Parallel()
	d := openDoors(t)
	for _, text := range texts() {
		for _, piece := range []int{1, 7, 1 << 20} {
			d.expectSame(t, text, piece)
		}
		for _, broken := range []string{"\r", "\n"} {
			d.expectSame(t, strings.ReplaceAll(text, broken, ""), 1<<20)
		}
	}
}

// FuzzReadsAsNetHTTP looks for a text that is answered in another way than by net/http alone.
func FuzzReadsAsNetHTTP(f *testing.F) {
	for _, text := range texts() {
		f.Add(text, uint16(1<<15))
		f.Add(text, uint16(5))
	}
	d := openDoors(f)
	f.Fuzz(func(t *testing.T, text string, piece uint16) {
		if len(text) > 4<<10 {
			return // no head is to reach its bound
		}
		d.expectSame(t, text, 1+int(piece))
	})
}
