//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/test/hostile"
)

func newLoop(t *testing.T) (loop *Loop, app string) {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	app = listener.Addr().String()
	listener.Close()
	if loop, err = NewLoop(app); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { loop.Close() })
	return loop, app
}

// peer is a server with that answer.
func peer(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func post(text string) func() (request, want []byte) {
	request := fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	return func() ([]byte, []byte) { return request, []byte("success") }
}

func run(t *testing.T, loop *Loop, r Run) []Result {
	t.Helper()
	results, err := loop.Run(r)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// TestAppAnswers what is sent to it without a peer between.
func TestAppAnswers(t *testing.T) {
	loop, app := newLoop(t)
	loop.App.Record = true
	results := run(t, loop, Run{Streams: []Stream{{Peer: app, Connections: 4, Next: post("hello"), Right: []int{200}, Most: 100}}, WarmUp: 20 * time.Second})
	if r := results[0]; r.Sent != 100 || r.Wrong != 0 || loop.App.Requests != 100 || string(loop.App.Last) != "hello" {
		t.Errorf("%d sent, %d wrong (%s); the app got %d, the last %q", r.Sent, r.Wrong, r.First, loop.App.Requests, loop.App.Last)
	}
	large := strings.Repeat("a", 1<<20) // more than a socket takes at once
	results = run(t, loop, Run{Streams: []Stream{{Peer: app, Connections: 2, Next: post(large), Right: []int{200}, Most: 4}}, WarmUp: 20 * time.Second})
	if r := results[0]; r.Wrong != 0 || string(loop.App.Last) != large {
		t.Errorf("of large ones, %d wrong (%s); the app got %d bytes", r.Wrong, r.First, len(loop.App.Last))
	}
	echo := func() (request, want []byte) {
		return []byte("GET /?echostr=12&a=b HTTP/1.1\r\nHost: a\r\n\r\n"), []byte("12")
	}
	results = run(t, loop, Run{Streams: []Stream{{Peer: app, Connections: 1, Next: echo, Right: []int{200}, Most: 1}}, WarmUp: 20 * time.Second})
	if r := results[0]; r.Wrong != 0 {
		t.Errorf("the URL check is answered with %s", r.First)
	}
}

// TestWrongAnswersAreCounted, each with the first one.
func TestWrongAnswersAreCounted(t *testing.T) {
	for name, test := range map[string]struct {
		answer  http.HandlerFunc
		hostile hostile.Way
		wrong   bool
	}{
		"the right one": {answer: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "success") }},
		"the right one, then the end": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			fmt.Fprint(w, "success")
		}},
		"another body":           {answer: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "succes") }, wrong: true},
		"another status":         {answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502); fmt.Fprint(w, "success") }, wrong: true},
		"no answer":              {answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, wrong: true},
		"no answer to strangers": {answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, hostile: hostile.Answered},
	} {
		t.Run(name, func(t *testing.T) {
			loop, _ := newLoop(t)
			address := peer(t, test.answer)
			r := run(t, loop, Run{Streams: []Stream{{Peer: address, Connections: 2, Next: post(""), Right: []int{200}, Most: 10, Hostile: test.hostile}}, WarmUp: 20 * time.Second})[0]
			if want := map[bool]int{true: 10}[test.wrong]; r.Sent != 10 || r.Wrong != want || (r.First != "") != test.wrong {
				t.Errorf("%d sent, %d wrong, the first %q", r.Sent, r.Wrong, r.First)
			}
		})
	}
}

// TestLostRequestsAreTriedAgain as often as it was said.
func TestLostRequestsAreTriedAgain(t *testing.T) {
	for lost, wrong := range map[int32]int{0: 0, 2: 0, 3: 1} {
		loop, _ := newLoop(t)
		var calls atomic.Int32
		address := peer(t, func(w http.ResponseWriter, _ *http.Request) {
			if calls.Add(1) <= lost {
				panic(http.ErrAbortHandler)
			}
			fmt.Fprint(w, "success")
		})
		r := run(t, loop, Run{Streams: []Stream{{Peer: address, Connections: 1, Next: post(""), Right: []int{200}, Most: 1, Tries: 3}}, WarmUp: 20 * time.Second})[0]
		if r.Wrong != wrong || r.Retried != int(min(lost, 2)) {
			t.Errorf("of %d that are lost, %d were tried again and %d wrong", lost, r.Retried, r.Wrong)
		}
	}
}

// TestPaceCountsFromWhenARequestWasDue: a peer that answers one request at a time, and late, cannot slow down what is sent without being seen.
func TestPaceCountsFromWhenARequestWasDue(t *testing.T) {
	loop, _ := newLoop(t)
	address := peer(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(20 * time.Millisecond)
		fmt.Fprint(w, "success")
	})
	marks := 0
	r := run(t, loop, Run{
		Streams: []Stream{{Peer: address, Connections: 1, Rate: 1000, Next: post(""), Right: []int{200}}},
		Time:    300 * time.Millisecond, Mark: func() error { marks++; return nil },
	})[0]
	if r.Answered > 15 || r.Answered == 0 || marks != 2 {
		t.Fatalf("%d were answered, %d marks", r.Answered, marks)
	}
	if last := r.Percentile(100); last < 100*time.Millisecond {
		t.Errorf("the last answer came %v after its request was due: what waited is not counted", last)
	}
}

// TestStrangers send in their way for as long as the run takes.
func TestStrangers(t *testing.T) {
	for name, test := range map[string]struct {
		way   hostile.Way
		text  string
		floor int // of what is sent
	}{
		"answered":     {hostile.Answered, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 10},
		"kept":         {hostile.Kept, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 2},
		"kept, silent": {hostile.Kept, "", 2},
		"dropped":      {hostile.Dropped, "", 10},
		"trickled":     {hostile.Trickled, "GET / HTTP/1.1\r\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { listener.Close() })
			var read atomic.Int64
			go func() {
				for {
					c, err := listener.Accept()
					if err != nil {
						return
					}
					go func() {
						defer c.Close()
						for reader := bufio.NewReader(c); ; {
							line, err := reader.ReadString('\n')
							if read.Add(int64(len(line))); err != nil {
								return
							}
							if line == "\r\n" {
								fmt.Fprint(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
							}
						}
					}()
				}
			}()
			loop, _ := newLoop(t)
			next := func() (request, want []byte) { return []byte(test.text), nil }
			r := run(t, loop, Run{
				Streams: []Stream{{Peer: listener.Addr().String(), Connections: 2, Next: next, Hostile: test.way}}, Time: 500 * time.Millisecond,
			})[0]
			if r.Wrong != 0 || r.Sent < test.floor {
				t.Errorf("%d sent, %d wrong", r.Sent, r.Wrong)
			}
			if test.way != hostile.Trickled && read.Load() < int64(len(test.text)) {
				t.Errorf("%d bytes came", read.Load())
			}
		})
	}
}
