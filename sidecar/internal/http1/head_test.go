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
		want state
	}{
		"a URL check":                        {line("GET /a?b=c HTTP/1.1"), whole},
		"a message":                          {field("Content-Length: 3") + "abc", whole},
		"a HEAD":                             {line("HEAD / HTTP/1.1"), whole},
		"a path of all that needs no escape": {line("GET /aZ09-._~!$&'()*+,;=:@// HTTP/1.1"), whole},
		"a query of all that is visible":     {line("GET /?!\"#$%&'()*+,-./0:;<=>?@A[\\]^_`a{|}~ HTTP/1.1"), whole},
		"a host with a port":                 {"GET / HTTP/1.1\r\nHost: a-b.example.com:8080" + end, whole},
		"an address":                         {"GET / HTTP/1.1\r\nhOST:[::1]:80" + end, whole},
		"a length in capitals":               {field("CONTENT-LENGTH:\t3 "), whole},
		"a connection to be kept":            {field("Connection: Keep-Alive"), whole},
		"a connection to be closed":          {field("connection: CLOSE"), whole},
		"fields that decide nothing":         {field("X-Real-IP: 10.0.0.1", "Cookie: a", "Cookie: b", "Empty:", "!#$%&'*+-.^_`|~09aZ: a\tb"), whole},
		"as many lines as may be":            {field("A: 1", "A: 2", "A: 3", "A: 4", "A: 5"), whole},
		"a body of the longest":              {field("Content-Length: 1024"), whole},

		"nothing":                      {"", partial},
		"a part of a word":             {"PO", partial},
		"a line":                       {"GET / HTTP/1.1\r\n", partial},
		"a line and a part of its end": {"GET / HTTP/1.1\r", partial},
		"all but the empty line":       {"GET / HTTP/1.1\r\nHost: a\r\n", partial},
		"all but a line feed":          {"GET / HTTP/1.1\r\nHost: a\r\n\r", partial},

		"one more line":                    {field("A: 1", "A: 2", "A: 3", "A: 4", "A: 5", "A: 6"), foreign},
		"a longer body":                    {field("Content-Length: 1025"), foreign},
		"a line feed alone":                {"GET / HTTP/1.1\nHost: a\n\n", foreign},
		"a line feed alone in a field":     {"GET / HTTP/1.1\r\nHost: a\n\r\n", foreign},
		"a line feed alone at the end":     {"GET / HTTP/1.1\r\nHost: a\r\n\n", foreign},
		"an empty line before it":          {"\r\n" + line("GET / HTTP/1.1"), foreign},
		"HTTP/1.0":                         {line("GET / HTTP/1.0"), foreign},
		"HTTP/1.2":                         {line("GET / HTTP/1.2"), foreign},
		"HTTP/2.0":                         {line("PRI * HTTP/2.0"), foreign},
		"no version":                       {line("GET /"), foreign},
		"a version in small letters":       {line("GET / http/1.1"), foreign},
		"a space behind the version":       {line("GET / HTTP/1.1 "), foreign},
		"two spaces before the version":    {line("GET /  HTTP/1.1"), foreign},
		"two spaces behind the method":     {line("GET  / HTTP/1.1"), foreign},
		"a tab for a space":                {line("GET\t/ HTTP/1.1"), foreign},
		"no target":                        {line("GET HTTP/1.1"), foreign},
		"an empty target":                  {line("GET  HTTP/1.1"), foreign},
		"a query alone":                    {line("GET ?a HTTP/1.1"), foreign},
		"another method":                   {line("PUT / HTTP/1.1"), foreign},
		"a method in small letters":        {line("get / HTTP/1.1"), foreign},
		"a method that begins like one":    {line("GETS / HTTP/1.1"), foreign},
		"an absolute target":               {line("GET http://a/ HTTP/1.1"), foreign},
		"an asterisk":                      {line("GET * HTTP/1.1"), foreign},
		"an escape in the path":            {line("GET /%61 HTTP/1.1"), foreign},
		"a path that must be escaped":      {line("GET /a\"b HTTP/1.1"), foreign},
		"a fragment in the path":           {line("GET /a#b HTTP/1.1"), foreign},
		"a backslash in the path":          {line("GET /a\\b HTTP/1.1"), foreign},
		"a space in the query":             {line("GET /?a b HTTP/1.1"), foreign},
		"a control character in the query": {line("GET /?a\x01 HTTP/1.1"), foreign},
		"DEL in the query":                 {line("GET /?a\x7f HTTP/1.1"), foreign},
		"no ASCII in the query":            {line("GET /?\xe5 HTTP/1.1"), foreign},
		"no Host":                          {"GET / HTTP/1.1\r\nA: b" + end, foreign},
		"an empty Host":                    {"GET / HTTP/1.1\r\nHost: " + end, foreign},
		"two Hosts":                        {field("Host: a"), foreign},
		"two Hosts, the first is empty":    {"GET / HTTP/1.1\r\nHost:\r\nHost: a" + end, foreign},
		"a Host with a slash":              {"GET / HTTP/1.1\r\nHost: a/b" + end, foreign},
		"a Host with a space":              {"GET / HTTP/1.1\r\nHost: a b" + end, foreign},
		"a Host with a comma":              {"GET / HTTP/1.1\r\nHost: a,b" + end, foreign},
		"two lengths":                      {field("Content-Length: 3", "Content-Length: 3"), foreign},
		"two lengths in one":               {field("Content-Length: 3, 3"), foreign},
		"two lengths, the first is 0":      {field("Content-Length: 0", "Content-Length: 3"), foreign},
		"an empty length":                  {field("Content-Length:"), foreign},
		"a length with a sign":             {field("Content-Length: +3"), foreign},
		"a negative length":                {field("Content-Length: -3"), foreign},
		"a hexadecimal length":             {field("Content-Length: 0x3"), foreign},
		"a length beyond all numbers":      {field("Content-Length: 18446744073709551619"), foreign},
		"chunks":                           {field("Transfer-Encoding: chunked"), foreign},
		"chunks and a length":              {field("Content-Length: 3", "transfer-encoding: chunked"), foreign},
		"a transfer coding of none":        {field("Transfer-Encoding:"), foreign},
		"a wait for the go-ahead":          {field("Expect: 100-continue"), foreign},
		"an upgrade":                       {field("Upgrade: h2c"), foreign},
		"a trailer":                        {field("Trailer: A"), foreign},
		"a connection to be upgraded":      {field("Connection: Upgrade"), foreign},
		"a connection with two words":      {field("Connection: keep-alive, close"), foreign},
		"two Connections":                  {field("Connection: keep-alive", "Connection: keep-alive"), foreign},
		"an empty Connection":              {field("Connection:"), foreign},
		"a folded line":                    {field("A: b", " c"), foreign},
		"a folded first line":              {"GET / HTTP/1.1\r\n Host: a" + end, foreign},
		"a space before the colon":         {field("Content-Length : 3"), foreign},
		"a name with a space":              {field("A B: c"), foreign},
		"a name with NUL":                  {field("A\x00: b"), foreign},
		"a name that is no ASCII":          {field("\xc4: b"), foreign},
		"a name with a parenthesis":        {field("A(: b"), foreign},
		"no name":                          {field(": a"), foreign},
		"no colon":                         {field("A"), foreign},
		"a value with NUL":                 {field("A: \x00"), foreign},
		"a value with a carriage return":   {field("A: b\rC: d"), foreign},
		"a value with DEL":                 {field("A: \x7f"), foreign},
		"a value that is no ASCII":         {field("A: \xe5"), foreign},
		"a field of the handler's, twice":  {field("Wechatpay-Nonce: a", "wechatpay-nonce: b"), foreign},
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
		if h.read(text, testNames, testBounds) != whole || len(text) < h.size+h.length {
			return
		}
		here := read{
			Method: h.method, Host: string(h.host), Path: string(h.target[:h.path]), Query: strings.TrimPrefix(string(h.target[h.path:]), "?"), Length: int64(h.length), Close: h.close,
			Body: string(text[h.size : h.size+h.length]), Behind: string(text[h.size+h.length:]),
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
