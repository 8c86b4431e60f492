// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// flood is a pod that answers with much, and counts how much of it was taken.
type flood struct {
	port  int
	taken atomic.Int64
}

// startFlood answers every call with the parts of what it is given, as long as they are taken.
func startFlood(t *testing.T, head string, part func(i int) string, parts int) *flood {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	f := &flood{port: listener.Addr().(*net.TCPAddr).Port}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetWriteBuffer(4 << 10) // what is on its way was not taken
			}
			go func() {
				defer conn.Close()
				_, _ = bufio.NewReader(conn).ReadString('\n')
				_, _ = io.WriteString(conn, head)
				for i := range parts {
					n, err := io.WriteString(conn, part(i))
					f.taken.Add(int64(n))
					if err != nil {
						return
					}
				}
			}()
		}
	}()
	return f
}

// TestWhatPodsAnswerIsBounded: a tenant's pod may answer anything, and there may be many of them. Little of it is read, and little of the
// memory filled, by each way of calling.
func TestWhatPodsAnswerIsBounded(t *testing.T) {
	repeated := func(text string) func(int) string { return func(int) string { return text } }
	numbered := func(format string) func(int) string { return func(i int) string { return fmt.Sprintf(format, i) } }
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, test := range map[string]struct {
		head  string
		part  func(i int) string
		parts int
	}{
		"a header of 10 MiB":            {ok + "X-A: ", repeated(strings.Repeat("a", 64<<10)), 160},
		"many headers":                  {ok, numbered("X-%d: a\r\n"), 1_000_000},
		"the tiniest headers":           {ok, numbered("%x:\r\n"), 1_000_000},
		"one header again and again":    {ok, repeated("A:\r\n"), 1_000_000},
		"interim answers":               {"", repeated("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"), 100_000},
		"an interim answer of 10 MiB":   {"HTTP/1.1 103 Early Hints\r\nX-A: ", repeated(strings.Repeat("a", 64<<10)), 160},
		"a status line of 10 MiB":       {"HTTP/1.1 200 ", repeated(strings.Repeat("a", 64<<10)), 160},
		"a body of 10 MiB":              {ok + "Content-Length: 10485760\r\n\r\n", repeated(strings.Repeat(" ", 64<<10)), 160},
		"a body without end":            {ok + "\r\n", repeated(strings.Repeat("a", 64<<10)), 160},
		"chunks of one byte":            {ok + "Transfer-Encoding: chunked\r\n\r\n", repeated("1\r\n \r\n"), 1_000_000},
		"chunks with long extensions":   {ok + "Transfer-Encoding: chunked\r\n\r\n", repeated("1;a=" + strings.Repeat("a", 64<<10) + "\r\n \r\n"), 160},
		"trailers without end":          {ok + "Transfer-Encoding: chunked\r\nTrailer: a\r\n\r\n1\r\n{\r\n0\r\n", numbered("X-%d: a\r\n"), 1_000_000},
		"uses of every generation":      {ok + "\r\n{\"used\":{", numbered("\"%d\":{},"), 1_000_000},
		"serials without end":           {ok + "\r\n{\"serials\":[", repeated("\"\","), 1_000_000},
		"a generation of 10 MiB":        {ok + "\r\n{\"generation\":\"", repeated(strings.Repeat("a", 64<<10)), 160},
		"lists within lists, and so on": {ok + "\r\n", repeated("[[[[[[[["), 1_000_000},
		"something that is not HTTP":    {"", repeated(strings.Repeat("\x00", 64<<10)), 160},
	} {
		t.Run(name, func(t *testing.T) {
			const pods = 64
			f := startFlood(t, test.head, test.part, test.parts)
			p, addresses := New(f.port), slices.Repeat([]string{"127.0.0.1"}, pods)
			subject := Subject{Platform: config.PlatformOfficialAccount, MessageMode: config.ModePlaintext, AppID: "wx1", Host: "wx.example.com", Path: "/weixin", Pair: config.Pair{Token: token}}
			for way, call := range map[string]func() []error{
				"Ask": func() []error {
					var errs []error
					for _, result := range p.Ask(t.Context(), addresses) {
						errs = append(errs, result.Err)
					}
					return errs
				},
				"Play": func() []error { return p.Play(t.Context(), addresses, f.port, subject) },
				"Reach": func() []error {
					_, err := subject.reach(t.Context(), "127.0.0.1", false, fmt.Sprint(f.port), anywhere)
					return []error{err}
				},
			} {
				f.taken.Store(0)
				began := time.Now()
				var errs []error
				peak := peakOf(func() { errs = call() })
				for _, err := range errs {
					if err == nil {
						t.Errorf("%s takes it for an answer", way)
						break
					}
				}
				if took := time.Since(began); took > patience+time.Second {
					t.Errorf("%s took %v", way, took)
				}
				// Beside what is read there is what the kernel has taken in already.
				if each := f.taken.Load() / int64(len(errs)); each > 6<<20 {
					t.Errorf("%s took %d KiB from each pod", way, each>>10)
				}
				if peak > 24<<20 {
					t.Errorf("%s of %d pods took %d MiB of the memory", way, len(errs), peak>>20)
				}
			}
		})
	}
}

// peakOf is by how much the heap grew at most. Bytes.
func peakOf(call func()) int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	before, most := int64(stats.HeapAlloc), int64(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		call()
	}()
	for {
		select {
		case <-done:
			return most
		case <-time.After(2 * time.Millisecond):
			runtime.ReadMemStats(&stats)
			most = max(most, int64(stats.HeapAlloc)-before)
		}
	}
}

// TestAnAnswerOfManyUsesIsNone: of what is read, what a sidecar would not say is not believed.
func TestAnAnswerOfManyUsesIsNone(t *testing.T) {
	for body, wanted := range map[string]bool{
		`{"generation":"g","used":{"1":{},"2":{},"3":{},"4":{}},"serials":["a"]}`:                    true,
		`{"generation":"g","used":{"1":{},"2":{},"3":{},"4":{},"5":{},"6":{},"7":{},"8":{},"9":{}}}`: false,
		`{"generation":"g","serials":[` + strings.Repeat(`"a",`, 64) + `"a"]}`:                       false,
		`{"generation":"g","serials":[` + strings.Repeat(`"a",`, 63) + `"a"]}`:                       true,
	} {
		f := startFlood(t, "HTTP/1.1 200 OK\r\nContent-Length: "+fmt.Sprint(len(body))+"\r\n\r\n", func(int) string { return body }, 1)
		if result := New(f.port).Ask(t.Context(), []string{"127.0.0.1"})[0]; (result.Err == nil) != wanted || wanted && result.Status.Generation != "g" {
			t.Errorf("%.60s: %+v", body, result)
		}
	}
}
