// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/syntax"
)

var (
	testNames  = []string{"Wechatpay-Nonce", "Wechatpay-Signature"}
	testBounds = Bounds{HeadSize: 4 << 10, HeadLines: 8, BodySize: 1 << 10}
)

const end = "\r\n\r\n"

// TestWhatIsRead lists what is served here, what is waited for, and what net/http judges.
func TestWhatIsRead(t *testing.T) {
	line := func(line string) string { return line + "\r\nHost: a" + end }
	field := func(fields ...string) string {
		return "POST /a HTTP/1.1\r\nHost: a\r\n" + strings.Join(fields, "\r\n") + end
	}
	for name, test := range map[string]struct {
		text string
		want syntax.State
	}{
		"a URL check":                        {line("GET /a?b=c HTTP/1.1"), syntax.Whole},
		"a message":                          {field("Content-Length: 3") + "abc", syntax.Whole},
		"a HEAD":                             {line("HEAD / HTTP/1.1"), syntax.Whole},
		"a path of all that needs no escape": {line("GET /aZ09-._~!$&'()*+,;=:@// HTTP/1.1"), syntax.Whole},
		"a query of all that is visible":     {line("GET /?!\"#$%&'()*+,-./0:;<=>?@A[\\]^_`a{|}~ HTTP/1.1"), syntax.Whole},
		"a host with a port":                 {"GET / HTTP/1.1\r\nHost: a-b.example.com:8080" + end, syntax.Whole},
		"an address":                         {"GET / HTTP/1.1\r\nhOST:[::1]:80" + end, syntax.Whole},
		"a length in capitals":               {field("CONTENT-LENGTH:\t3 "), syntax.Whole},
		"a connection to be kept":            {field("Connection: Keep-Alive"), syntax.Whole},
		"a connection to be closed":          {field("connection: CLOSE"), syntax.Whole},
		"fields that decide nothing":         {field("X-Real-IP: 10.0.0.1", "Cookie: a", "Cookie: b", "Empty:", "!#$%&'*+-.^_`|~09aZ: a\tb"), syntax.Whole},
		"as many lines as may be":            {field("A: 1", "A: 2", "A: 3", "A: 4", "A: 5"), syntax.Whole},
		"a body of the longest":              {field("Content-Length: 1024"), syntax.Whole},

		"nothing":                      {"", syntax.Partial},
		"a part of a word":             {"PO", syntax.Partial},
		"a line":                       {"GET / HTTP/1.1\r\n", syntax.Partial},
		"a line and a part of its end": {"GET / HTTP/1.1\r", syntax.Partial},
		"all but the empty line":       {"GET / HTTP/1.1\r\nHost: a\r\n", syntax.Partial},
		"all but a line feed":          {"GET / HTTP/1.1\r\nHost: a\r\n\r", syntax.Partial},

		"one more line":                    {field("A: 1", "A: 2", "A: 3", "A: 4", "A: 5", "A: 6"), syntax.Foreign},
		"a longer body":                    {field("Content-Length: 1025"), syntax.Foreign},
		"a line feed alone":                {"GET / HTTP/1.1\nHost: a\n\n", syntax.Foreign},
		"a line feed alone in a field":     {"GET / HTTP/1.1\r\nHost: a\n\r\n", syntax.Foreign},
		"a line feed alone at the end":     {"GET / HTTP/1.1\r\nHost: a\r\n\n", syntax.Foreign},
		"an empty line before it":          {"\r\n" + line("GET / HTTP/1.1"), syntax.Foreign},
		"HTTP/1.0":                         {line("GET / HTTP/1.0"), syntax.Foreign},
		"HTTP/1.2":                         {line("GET / HTTP/1.2"), syntax.Foreign},
		"HTTP/2.0":                         {line("PRI * HTTP/2.0"), syntax.Foreign},
		"no version":                       {line("GET /"), syntax.Foreign},
		"a version in small letters":       {line("GET / http/1.1"), syntax.Foreign},
		"a space behind the version":       {line("GET / HTTP/1.1 "), syntax.Foreign},
		"two spaces before the version":    {line("GET /  HTTP/1.1"), syntax.Foreign},
		"two spaces behind the method":     {line("GET  / HTTP/1.1"), syntax.Foreign},
		"a tab for a space":                {line("GET\t/ HTTP/1.1"), syntax.Foreign},
		"no target":                        {line("GET HTTP/1.1"), syntax.Foreign},
		"an empty target":                  {line("GET  HTTP/1.1"), syntax.Foreign},
		"a query alone":                    {line("GET ?a HTTP/1.1"), syntax.Foreign},
		"another method":                   {line("PUT / HTTP/1.1"), syntax.Foreign},
		"a method in small letters":        {line("get / HTTP/1.1"), syntax.Foreign},
		"a method that begins like one":    {line("GETS / HTTP/1.1"), syntax.Foreign},
		"an absolute target":               {line("GET http://a/ HTTP/1.1"), syntax.Foreign},
		"an asterisk":                      {line("GET * HTTP/1.1"), syntax.Foreign},
		"an escape in the path":            {line("GET /%61 HTTP/1.1"), syntax.Foreign},
		"a path that must be escaped":      {line("GET /a\"b HTTP/1.1"), syntax.Foreign},
		"a fragment in the path":           {line("GET /a#b HTTP/1.1"), syntax.Foreign},
		"a backslash in the path":          {line("GET /a\\b HTTP/1.1"), syntax.Foreign},
		"a space in the query":             {line("GET /?a b HTTP/1.1"), syntax.Foreign},
		"a control character in the query": {line("GET /?a\x01 HTTP/1.1"), syntax.Foreign},
		"DEL in the query":                 {line("GET /?a\x7f HTTP/1.1"), syntax.Foreign},
		"no ASCII in the query":            {line("GET /?\xe5 HTTP/1.1"), syntax.Foreign},
		"no Host":                          {"GET / HTTP/1.1\r\nA: b" + end, syntax.Foreign},
		"an empty Host":                    {"GET / HTTP/1.1\r\nHost: " + end, syntax.Foreign},
		"two Hosts":                        {field("Host: a"), syntax.Foreign},
		"two Hosts, the first is empty":    {"GET / HTTP/1.1\r\nHost:\r\nHost: a" + end, syntax.Foreign},
		"a Host with a slash":              {"GET / HTTP/1.1\r\nHost: a/b" + end, syntax.Foreign},
		"a Host with a space":              {"GET / HTTP/1.1\r\nHost: a b" + end, syntax.Foreign},
		"a Host with a comma":              {"GET / HTTP/1.1\r\nHost: a,b" + end, syntax.Foreign},
		"two lengths":                      {field("Content-Length: 3", "Content-Length: 3"), syntax.Foreign},
		"two lengths in one":               {field("Content-Length: 3, 3"), syntax.Foreign},
		"two lengths, the first is 0":      {field("Content-Length: 0", "Content-Length: 3"), syntax.Foreign},
		"an empty length":                  {field("Content-Length:"), syntax.Foreign},
		"a length with a sign":             {field("Content-Length: +3"), syntax.Foreign},
		"a negative length":                {field("Content-Length: -3"), syntax.Foreign},
		"a hexadecimal length":             {field("Content-Length: 0x3"), syntax.Foreign},
		"a length beyond all numbers":      {field("Content-Length: 18446744073709551619"), syntax.Foreign},
		"chunks":                           {field("Transfer-Encoding: chunked"), syntax.Foreign},
		"chunks and a length":              {field("Content-Length: 3", "transfer-encoding: chunked"), syntax.Foreign},
		"a transfer coding of none":        {field("Transfer-Encoding:"), syntax.Foreign},
		"a wait for the go-ahead":          {field("Expect: 100-continue"), syntax.Foreign},
		"an upgrade":                       {field("Upgrade: h2c"), syntax.Foreign},
		"a trailer":                        {field("Trailer: A"), syntax.Foreign},
		"a connection to be upgraded":      {field("Connection: Upgrade"), syntax.Foreign},
		"a connection with two words":      {field("Connection: keep-alive, close"), syntax.Foreign},
		"two Connections":                  {field("Connection: keep-alive", "Connection: keep-alive"), syntax.Foreign},
		"an empty Connection":              {field("Connection:"), syntax.Foreign},
		"a folded line":                    {field("A: b", " c"), syntax.Foreign},
		"a folded first line":              {"GET / HTTP/1.1\r\n Host: a" + end, syntax.Foreign},
		"a space before the colon":         {field("Content-Length : 3"), syntax.Foreign},
		"a name with a space":              {field("A B: c"), syntax.Foreign},
		"a name with NUL":                  {field("A\x00: b"), syntax.Foreign},
		"a name that is no ASCII":          {field("\xc4: b"), syntax.Foreign},
		"a name with a parenthesis":        {field("A(: b"), syntax.Foreign},
		"no name":                          {field(": a"), syntax.Foreign},
		"no colon":                         {field("A"), syntax.Foreign},
		"a value with NUL":                 {field("A: \x00"), syntax.Foreign},
		"a value with a carriage return":   {field("A: b\rC: d"), syntax.Foreign},
		"a value with DEL":                 {field("A: \x7f"), syntax.Foreign},
		"a value that is no ASCII":         {field("A: \xe5"), syntax.Foreign},
		"a field of the handler's, twice":  {field("Wechatpay-Nonce: a", "wechatpay-nonce: b"), syntax.Foreign},
	} {
		t.Run(name, func(t *testing.T) {
			var h head
			if got := h.read([]byte(test.text), testNames, testBounds); got != test.want {
				t.Errorf("it is read as %d, want %d", got, test.want)
			}
		})
	}
}

// read is what both readers make of a request.
type read struct {
	Method, Host, Path, Query string
	Header                    map[string][]string
	Length                    int64
	Close                     bool
	Body, Behind              string
}

// FuzzHead looks for a head that is served here, and that net/http reads in another way. It knows nothing of connections, and is quick.
func FuzzHead(f *testing.F) {
	f.Add([]byte("GET /a?b=c HTTP/1.1\r\nHost: a" + end + "GET / HTTP/1.1" + end))
	f.Add([]byte("POST /a/;b HTTP/1.1\r\nhost:\ta:80 \r\nContent-Length: 03\r\nWECHATPAY-nonce: a b\r\nConnection: close" + end + "abcdef"))
	f.Add([]byte("HEAD //a?\"<>?# HTTP/1.1\r\nA:\r\nConnection: Keep-Alive\r\nHost: [::1]" + end))
	f.Fuzz(func(t *testing.T, text []byte) {
		var h head
		if h.read(text, testNames, testBounds) != syntax.Whole || len(text) < h.size+h.Length {
			return
		}
		here := read{
			Method: h.method, Host: string(h.host), Path: string(h.target[:h.path]), Query: strings.TrimPrefix(string(h.target[h.path:]), "?"), Length: int64(h.Length), Close: h.Close,
			Body: string(text[h.size : h.size+h.Length]), Behind: string(text[h.size+h.Length:]),
		}
		for _, f := range h.fields {
			if here.Header == nil {
				here.Header = map[string][]string{}
			}
			here.Header[f.name] = append(here.Header[f.name], string(f.value))
		}
		reader := bufio.NewReader(bytes.NewReader(text))
		r, err := http.ReadRequest(reader)
		if err != nil {
			t.Fatalf("%q is served, and net/http does not read it: %v", text, err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		behind, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		there := read{
			Method: r.Method, Host: r.Host, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Length: r.ContentLength, Close: r.Close,
			Body: string(body), Behind: string(behind),
		}
		for _, name := range testNames {
			if values := r.Header[name]; values != nil {
				if there.Header == nil {
					there.Header = map[string][]string{}
				}
				there.Header[name] = values
			}
		}
		if diff := cmp.Diff(there, here); diff != "" {
			t.Errorf("%q is read in another way (-net/http +here):\n%s", text, diff)
		}
		if len(r.TransferEncoding) > 0 || r.Trailer != nil || r.ProtoMajor != 1 || r.ProtoMinor != 1 {
			t.Errorf("%q has %v, %v, %s", text, r.TransferEncoding, r.Trailer, r.Proto)
		}
	})
}
