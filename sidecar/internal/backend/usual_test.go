// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/syntax"
)

// answers are what apps say, with what becomes of it here.
var answers = map[string]struct {
	text  string
	state syntax.State
	reply string
}{
	"as most apps say it":              {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsuccess", syntax.Whole, "success"},
	"with more fields":                 {"HTTP/1.1 200 OK\r\nServer: a/1 (b)\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\ncontent-length:7 \r\nX-A:\r\n\r\nsuccess", syntax.Whole, "success"},
	"without a reason":                 {"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", syntax.Whole, "ok"},
	"with an empty reason":             {"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", syntax.Whole, "ok"},
	"with a reason in Chinese":         {"HTTP/1.1 200 好\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"with a value in Chinese":          {"HTTP/1.1 200 OK\r\nA: 好\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"with DEL":                         {"HTTP/1.1 200 OK\r\nA: \x7f\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"with a reason that is not apart":  {"HTTP/1.1 200OK\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"of nothing":                       {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", syntax.Whole, ""},
	"that closes":                      {"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nok", syntax.Whole, "ok"},
	"that says that it does not":       {"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", syntax.Whole, "ok"},
	"with more behind it":              {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more", syntax.Whole, "ok"},
	"nothing yet":                      {"", syntax.Partial, ""},
	"half a status line":               {"HTTP/1.1 2", syntax.Partial, ""},
	"a status line":                    {"HTTP/1.1 200 OK\r\n", syntax.Partial, ""},
	"half a field":                     {"HTTP/1.1 200 OK\r\nContent-Le", syntax.Partial, ""},
	"a head":                           {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", syntax.Partial, ""},
	"half a reply":                     {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsucc", syntax.Partial, ""},
	"another version":                  {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"another protocol":                 {"SSH-2.0-OpenSSH_9.6\r\n", syntax.Foreign, ""},
	"another status":                   {"HTTP/1.1 204 No Content\r\n\r\n", syntax.Foreign, ""},
	"a status that only begins so":     {"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"an interim answer":                {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"an upgrade":                       {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", syntax.Foreign, ""},
	"an upgrade that is offered":       {"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"in chunks":                        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", syntax.Foreign, ""},
	"in chunks, and with a length":     {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", syntax.Foreign, ""},
	"compressed":                       {"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"with a trailer":                   {"HTTP/1.1 200 OK\r\nTrailer: A\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"without a length":                 {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok", syntax.Foreign, ""},
	"with two lengths":                 {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"with two lengths in one":          {"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", syntax.Foreign, ""},
	"with an empty length":             {"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok", syntax.Foreign, ""},
	"with a signed length":             {"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", syntax.Foreign, ""},
	"with a length without end":        {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok", syntax.Foreign, ""},
	"with another connection":          {"HTTP/1.1 200 OK\r\nConnection: X-A\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"with two connections":             {"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"with bare line feeds":             {"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", syntax.Foreign, ""},
	"with one bare line feed":          {"HTTP/1.1 200 OK\r\nA: bc\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"with a bare line feed at the end": {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok", syntax.Foreign, ""},
	"with a carriage return inside":    {"HTTP/1.1 200 OK\r\nA: b\rContent-Length: 9\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"with NUL":                         {"HTTP/1.1 200 OK\r\nA: \x00\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"with NUL in the reason":           {"HTTP/1.1 200 \x00\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"with a space before the colon":    {"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", syntax.Foreign, ""},
	"with a space in a name":           {"HTTP/1.1 200 OK\r\nA b: c\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"with a line that goes on":         {"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"with a field without a name":      {"HTTP/1.1 200 OK\r\n: b\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"with a line that is no field":     {"HTTP/1.1 200 OK\r\nsecret\r\nContent-Length: 2\r\n\r\nok", syntax.Foreign, ""},
	"with as many lines as may be":     {"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", maxHeadLines-2) + "Content-Length: 2\r\n\r\nok", syntax.Whole, "ok"},
	"with one line more":               {"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", maxHeadLines-1) + "Content-Length: 2\r\n\r\nok", syntax.Foreign, ""},
}

func TestUsualAnswers(t *testing.T) {
	for name, test := range answers {
		t.Run(name, func(t *testing.T) {
			got, state := readUsual([]byte(test.text))
			if state != test.state || test.text[got.start:got.end] != test.reply {
				t.Errorf("it is %d with the reply %q, want %d with %q", state, test.text[got.start:got.end], test.state, test.reply)
			}
			agree(t, []byte(test.text))
		})
	}
}

// TestNetHTTPMayReadAll leaves nothing to the strict reader but to wait for the first byte.
func TestNetHTTPMayReadAll(t *testing.T) {
	client := Client{StandardHTTP: true}
	for name, test := range answers {
		want := syntax.Foreign
		if test.text == "" {
			want = syntax.Partial
		}
		if _, got := client.read([]byte(test.text)); got != want {
			t.Errorf("an answer %s is %d, want %d", name, got, want)
		}
	}
}

// agree holds that what is read here as usual, net/http reads as the same, and that what is not there yet may still come.
func agree(t *testing.T, text []byte) {
	t.Helper()
	text = text[:min(len(text), pieceSize)]
	got, state := readUsual(text)
	for length := range text {
		if _, before := readUsual(text[:length]); before == syntax.Whole && length < got.end || before == syntax.Foreign && state != syntax.Foreign {
			t.Fatalf("%q is %d, and %q is %d", text[:length], before, text, state)
		}
	}
	if state != syntax.Whole {
		return
	}
	reader := bufio.NewReaderSize(bytes.NewReader(text), len(text)+16)
	if err := awaitHead(reader); err != nil {
		t.Fatalf("%q has no bounded head: %v", text, err)
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	defer response.Body.Close()
	reply, err := io.ReadAll(response.Body)
	rest := text[len(text)-reader.Buffered():]
	if err != nil || response.StatusCode != http.StatusOK || response.Close != got.Close || !bytes.Equal(reply, text[got.start:got.end]) || !bytes.Equal(rest, text[got.end:]) ||
		response.ContentLength != int64(len(reply)) || len(response.TransferEncoding) > 0 || response.Header.Get("Content-Encoding") != "" || len(response.Trailer) > 0 {
		t.Fatalf("%q is read as %+v with %q, %v; want %+v", text, response, reply, err, got)
	}
}

// FuzzUsual looks for answers that net/http reads otherwise.
func FuzzUsual(f *testing.F) {
	for _, answer := range answers {
		f.Add([]byte(answer.text))
	}
	f.Fuzz(agree)
}
