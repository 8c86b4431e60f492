// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package door

import (
	"container/list"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/test/rawhttp"
)

var small = Bounds{Connections: 4, HeadSize: 1 << 10, HeadLines: 8, HeadTime: 300 * time.Millisecond}

// serve starts a server behind a door, which answers with what it read.
func serve(t *testing.T, bounds Bounds, handle http.HandlerFunc) (*Listener, string) {
	t.Helper()
	raw, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if handle == nil {
		handle = func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			Received(r.Context())
			fmt.Fprintf(w, "%s %s %q %v", r.Method, r.URL.Path, body, err)
		}
	}
	server := &http.Server{
		Handler: handle, ReadHeaderTimeout: time.Minute, ReadTimeout: time.Minute, IdleTimeout: time.Minute, // the door is quicker
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo),
	}
	l := Listen(raw, bounds)
	ended := make(chan error, 1)
	go func() { ended <- l.Serve(server) }()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return l, raw.Addr().String()
}

const get = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"

func TestHeads(t *testing.T) {
	t.Parallel()
	fields := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "a%d:\r\n", i)
		}
		return b.String()
	}
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"a request":                          {get, []string{`200 GET /a "" <nil>`}},
		"two, one after the other":           {get + get, []string{`200 GET /a "" <nil>`, `200 GET /a "" <nil>`}},
		"a body and a request behind it":     {"POST /a HTTP/1.1\r\nHost: a\r\ncontent-length: 3\r\n\r\nabc" + get, []string{`200 POST /a "abc" <nil>`, `200 GET /a "" <nil>`}},
		"a body that looks like a head":      {"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length:  2 \r\n\r\n\r\n" + get, []string{`200 POST /a "\r\n" <nil>`, `200 GET /a "" <nil>`}},
		"chunks":                             {"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", []string{`200 POST /a "abc" <nil>`}},
		"lines without a carriage return":    {strings.ReplaceAll(get, "\r", ""), []string{`200 GET /a "" <nil>`}},
		"as many fields as may be":           {"GET /a HTTP/1.1\r\nHost: a\r\n" + fields(5) + "\r\n", []string{`200 GET /a "" <nil>`}},
		"one more":                           {"GET /a HTTP/1.1\r\nHost: a\r\n" + fields(6) + "\r\n", []string{"431 ", "none"}},
		"more fields that never end":         {"GET /a HTTP/1.1\r\nHost: a\r\n" + fields(100), []string{"431 ", "none"}},
		"many fields behind a request":       {get + "GET /a HTTP/1.1\r\nHost: a\r\n" + fields(100), []string{`200 GET /a "" <nil>`, "431 ", "none"}},
		"many fields behind a body":          {"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /a HTTP/1.1\r\nHost: a\r\n" + fields(100), []string{`200 POST /a "abc" <nil>`, "431 ", "none"}},
		"as many bytes as may be":            {"GET /a HTTP/1.1\r\nHost: a\r\na: " + strings.Repeat("a", 1<<10-len(get)-5) + "\r\n\r\n", []string{`200 GET /a "" <nil>`}},
		"more bytes":                         {"GET /a HTTP/1.1\r\nHost: a\r\na: " + strings.Repeat("a", 1<<10) + "\r\n\r\n", []string{"431 ", "none"}},
		"a first line that never ends":       {"GET /" + strings.Repeat("a", 1<<10), []string{"431 ", "none"}},
		"nothing that is HTTP":               {"\x16\x03\x01\x02\x00\x01\r\n\r\n", []string{"400 400 Bad Request"}},
		"a head that stops":                  {"GET /a HTTP/1.1\r\nHost: a\r\n", []string{"none"}},
		"a head that stops behind a request": {get + "GET /a HTTP/1.1\r\nHost: a\r\n", []string{`200 GET /a "" <nil>`, "none"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, address := serve(t, small, nil)
			for _, way := range []string{"at once", "byte by byte"} {
				c := rawhttp.Dial(t, address)
				if way == "at once" {
					c.Send(t, test.text)
				} else {
					for i := range len(test.text) {
						if _, err := io.WriteString(c, test.text[i:i+1]); err != nil {
							break // it was refused before its end
						}
					}
				}
				var got []string
				for range test.want {
					got = append(got, c.Answer(t))
				}
				cut := slices.Index(got, "none") // where a client that goes on writing may lose the refusal
				if !slices.Equal(got, test.want) && !refusedEarly(got, test.want) && (way == "at once" || cut < 0 || !slices.Equal(got[:cut], test.want[:cut])) {
					t.Errorf("%s, answered %q, want %q", way, got, test.want)
				}
			}
		})
	}
}

// refusedEarly reports whether a client that does not wait for answers was refused before what it had sent earlier was answered.
func refusedEarly(got, want []string) bool {
	return slices.Index(want, "431 ") > 0 && slices.Equal(got[:2], []string{"431 ", "none"})
}

// TestAClientThatWaitsGetsEveryAnswer, also that to the request before the one that is refused.
func TestAClientThatWaitsGetsEveryAnswer(t *testing.T) {
	t.Parallel()
	_, address := serve(t, small, nil)
	c := rawhttp.Dial(t, address)
	for _, step := range []struct{ send, want string }{
		{get, `200 GET /a "" <nil>`},
		{"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", `200 POST /a "abc" <nil>`},
		{"GET /a HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("a:\r\n", 100), "431 "},
	} {
		c.Send(t, step.send)
		if got := c.Answer(t); got != step.want {
			t.Errorf("answered %q, want %q", got, step.want)
		}
	}
}

// TestWhatFollowsABodyIsLookedAt, also where it comes with the body's last bytes.
func TestWhatFollowsABodyIsLookedAt(t *testing.T) {
	t.Parallel()
	begun := make(chan bool, 2)
	_, address := serve(t, small, func(w http.ResponseWriter, r *http.Request) {
		begun <- true
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%q %v", body, err)
	})
	c := rawhttp.Dial(t, address)
	c.Send(t, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
	<-begun
	c.Send(t, "abcGET /a HTTP/1.1\r\nHost: a\r\n"+strings.Repeat("a:\r\n", small.HeadLines)+"\r\n")
	first := c.Answer(t)
	if first == `200 "abc" <nil>` { // the refusal may come before it, to a client that does not wait for answers
		first = c.Answer(t)
	}
	if first != "431 " {
		t.Errorf("what follows was answered %q", first)
	}
}

// TestAHeadThatBreaksOffIsJudged: net/http answers what it got, as without the door.
func TestAHeadThatBreaksOffIsJudged(t *testing.T) {
	t.Parallel()
	_, address := serve(t, small, nil)
	c := rawhttp.Dial(t, address)
	c.Send(t, "GET /a HTTP/1.1\r\nHost a\r\n")
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := c.Answer(t); got != "400 400 Bad Request: malformed MIME header line: Host a" && got != "400 400 Bad Request" {
		t.Errorf("answered %q", got)
	}
}

// TestWhatIsPassedOn is served from the text on that was read of it, by the rules of the door. Without a server it is closed.
func TestWhatIsPassedOn(t *testing.T) {
	t.Parallel()
	raw, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listen(raw, small)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Proven(r.Context())
		fmt.Fprint(w, r.URL.Path)
	})}
	ended := make(chan error, 1)
	go func() { ended <- l.ServePassedOn(server) }()
	accept := func() (rawhttp.Client, *conn) {
		c := rawhttp.Dial(t, raw.Addr().String())
		accepted, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return c, accepted.(*conn)
	}

	c, accepted := accept()
	Received(accepted.Context())
	accepted.Rest()
	accepted.Begin(time.Now())
	await(t, l, "it is counted with those who send", func() bool { return l.unfinished.Len() == 1 && l.idle.Len() == 0 })
	accepted.PassOn([]byte(get[:9]))
	c.Send(t, get[9:])
	if got := c.Answer(t); got != "200 /a" {
		t.Errorf("answered %q", got)
	}
	await(t, l, "it has brought a genuine request", func() bool { return l.proven.Len() == 1 })
	c.Send(t, "GET /a HTTP/1.1\r\n"+strings.Repeat("a:\r\n", 100))
	if got := c.Answer(t); got != "431 " {
		t.Errorf("many fields are answered %q", got)
	}

	server.Close()
	<-ended
	c, accepted = accept()
	accepted.PassOn([]byte(get))
	if !c.Closed(t) {
		t.Error("it is open, and nobody serves it")
	}
	awaitOpen(t, l, 0)
	l.Close()
}

// TestWhoGoesFirst: strangers, and never one whose request has arrived.
func TestWhoGoesFirst(t *testing.T) {
	t.Parallel()
	arrived, answer := make(chan bool, 8), make(chan bool)
	l, address := serve(t, Bounds{Connections: 5, HeadSize: 1 << 10, HeadLines: 8, HeadTime: time.Minute}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			arrived <- true
			<-answer
		case "/genuine":
			Proven(r.Context())
		}
	})
	t.Cleanup(func() { close(answer) })
	asking := func(path string) rawhttp.Client {
		c := rawhttp.Dial(t, address)
		c.Send(t, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
		return c
	}
	answered := func(path string) rawhttp.Client {
		c := asking(path)
		if got := c.Answer(t); got != "200 " {
			t.Fatalf("answered %q", got)
		}
		return c
	}
	slow := asking("/slow")
	<-arrived
	genuine := answered("/genuine")
	silent := rawhttp.Dial(t, address)
	half := rawhttp.Dial(t, address)
	half.Send(t, "GET /a HT")
	idle := answered("/")
	await(t, l, "each stands where it belongs", func() bool {
		return l.idle.Len() == 1 && l.silent.Len() == 1 && l.unfinished.Len() == 1 && l.proven.Len() == 1
	})
	genuine.Send(t, "GET /a HT") // it has brought a genuine request, and begins another
	for _, next := range []struct {
		name string
		rawhttp.Client
	}{
		{"the one that was answered and is idle", idle},
		{"the one that sends nothing", silent},
		{"the one that sent half a head", half},
		{"the one that has brought a genuine request", genuine},
	} {
		asking("/slow")
		if !next.Closed(t) {
			t.Errorf("%s is still there", next.name)
		}
		<-arrived
	}
	answer <- true
	if got := slow.Answer(t); got != "200 " {
		t.Errorf("the one that was worked on was answered %q", got)
	}
}

// TestAFloodPushesOutItsOwn: of strangers, one of those goes that there are most of.
func TestAFloodPushesOutItsOwn(t *testing.T) {
	t.Parallel()
	for name, sends := range map[string]string{"that send nothing": "", "that send a part": "GET /a HT", "that were answered": get} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, address := serve(t, Bounds{Connections: 6, HeadSize: 1 << 10, HeadLines: 8, HeadTime: time.Minute}, nil)
			silent, part, answered := rawhttp.Dial(t, address), rawhttp.Dial(t, address), rawhttp.Dial(t, address)
			part.Send(t, "GET /a HT")
			answered.Send(t, get)
			answered.Answer(t)
			await(t, l, "each stands where it belongs", func() bool { return l.idle.Len() == 1 && l.silent.Len() == 1 && l.unfinished.Len() == 1 })
			of := map[string]*list.List{"": &l.silent, "GET /a HT": &l.unfinished, get: &l.idle}[sends]
			for range 20 {
				l.mu.Lock()
				before := of.Back()
				l.mu.Unlock()
				c := rawhttp.Dial(t, address)
				c.Send(t, sends)
				if sends == get {
					c.Answer(t)
				}
				await(t, l, "the newest stands there too", func() bool {
					return of.Back() != before && l.idle.Len()+l.silent.Len()+l.unfinished.Len() == l.open
				})
			}
			l.mu.Lock()
			silentLeft, partLeft, idleLeft := l.silent.Len(), l.unfinished.Len(), l.idle.Len()
			l.mu.Unlock()
			if silentLeft == 0 || partLeft == 0 || idleLeft == 0 {
				t.Errorf("%d silent ones are left, %d that sent a part, %d that were answered", silentLeft, partLeft, idleLeft)
			}
			_ = silent
		})
	}
}

// TestWhoHasJustComeStays, and whoever has just begun to send, though others wait: what they sent may have arrived already.
func TestWhoHasJustComeStays(t *testing.T) {
	t.Parallel()
	one := func(grace time.Duration) Bounds {
		return Bounds{Connections: 1, HeadSize: 1 << 10, HeadLines: 8, HeadTime: time.Minute, Grace: grace}
	}
	waits := func(t *testing.T, l *Listener) {
		t.Helper()
		await(t, l, "somebody waits", func() bool { return !l.waits.IsZero() })
	}
	for name, sent := range map[string]string{"silent": "", "unfinished": "GET /a HT"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, address := serve(t, one(time.Minute), nil)
			first := rawhttp.Dial(t, address)
			first.Send(t, sent)
			await(t, l, "the first is let in", func() bool { return l.silent.Len()+l.unfinished.Len() == 1 && (sent == "") == (l.silent.Len() == 1) })
			second := rawhttp.Dial(t, address)
			second.Send(t, get)
			waits(t, l)
			first.Send(t, strings.TrimPrefix(get, sent))
			if got := first.Answer(t); !strings.HasPrefix(got, "200 ") {
				t.Errorf("the first was answered %q", got)
			}
			if got := second.Answer(t); !strings.HasPrefix(got, "200 ") {
				t.Errorf("the second was answered %q", got)
			}
		})
		t.Run(name+" for too long", func(t *testing.T) {
			t.Parallel()
			_, address := serve(t, one(50*time.Millisecond), nil)
			first := rawhttp.Dial(t, address)
			first.Send(t, sent)
			second := rawhttp.Dial(t, address)
			second.Send(t, get)
			if got := second.Answer(t); !strings.HasPrefix(got, "200 ") {
				t.Errorf("the second was answered %q", got)
			}
			if !first.Closed(t) {
				t.Error("the first is still there")
			}
		})
	}
}

// TestACrowdIsLetInOneByOne where connections are scarce: the last one of it comes in when the others were served.
func TestACrowdIsLetInOneByOne(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const crowd = 40
	raw, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listen(raw, Bounds{Connections: crowd, HeadSize: 1 << 10, HeadLines: 8, HeadTime: time.Minute, Grace: time.Minute})
	defer l.Close()
	for range crowd {
		rawhttp.Dial(t, raw.Addr().String()).Send(t, get)
	}
	var served, before atomic.Int64
	var group sync.WaitGroup
	for range crowd {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		before.Store(served.Load())
		group.Go(func() {
			if _, err := c.Read(make([]byte, 1<<10)); err != nil {
				t.Error(err)
			}
			served.Add(1)
		})
	}
	if before.Load() < crowd*3/4 {
		t.Errorf("%d of %d are let in before %d are served", crowd, crowd, before.Load())
	}
	group.Wait()
}

// TestAllAtWork, on requests that are whole, or of which no more is wanted: a new connection waits, nobody goes, and it is told.
func TestAllAtWork(t *testing.T) {
	t.Parallel()
	answer := make(chan bool)
	arrived := make(chan bool, 8)
	l, address := serve(t, small, func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			Received(r.Context())
		}
		arrived <- true
		<-answer
	})
	var clients []rawhttp.Client
	for i := range small.Connections {
		c := rawhttp.Dial(t, address)
		if i == 0 {
			c.Send(t, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
		} else {
			c.Send(t, get)
		}
		<-arrived
		clients = append(clients, c)
	}
	if l.Waits() != 0 || !l.Crowded() {
		t.Errorf("nobody waits, and Waits is %v, Crowded %v", l.Waits(), l.Crowded())
	}
	waiting := rawhttp.Dial(t, address)
	waiting.Send(t, get)
	for deadline := time.Now().Add(5 * time.Second); l.Waits() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("somebody waits and Waits is 0")
		}
	}
	close(answer)
	clients[0].Send(t, "defghi") // net/http reads it before it answers
	for i, c := range append(clients, waiting) {
		if got := c.Answer(t); got != "200 " {
			t.Errorf("client %d was answered %q", i, got)
		}
	}
	if l.Waits() != 0 {
		t.Error("nobody waits any more, and Waits says so not")
	}
}

// TestABodyThatKeepsOthersWaitingGoes: as long as it is not called received, it is the client that is waited for.
func TestABodyThatKeepsOthersWaitingGoes(t *testing.T) {
	t.Parallel()
	l, address := serve(t, small, nil)
	var stalled []rawhttp.Client
	for i := range small.Connections {
		c := rawhttp.Dial(t, address)
		c.Send(t, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
		stalled = append(stalled, c)
		await(t, l, "it has sent a part", func() bool { return l.unfinished.Len() == i+1 })
	}
	c := rawhttp.Dial(t, address)
	c.Send(t, get)
	if got := c.Answer(t); !strings.HasPrefix(got, "200 ") {
		t.Errorf("answered %q", got)
	}
	if !stalled[0].Closed(t) {
		t.Error("the oldest is still there")
	}
}

func TestPlacesAreGivenBack(t *testing.T) {
	t.Parallel()
	l, address := serve(t, small, nil)
	for range 5 * small.Connections {
		c := rawhttp.Dial(t, address)
		c.Send(t, get)
		c.Answer(t)
		c.Close()
	}
	awaitOpen(t, l, 0)
}

func awaitOpen(t *testing.T, l *Listener, want int) {
	t.Helper()
	await(t, l, fmt.Sprintf("%d connections are open", want), func() bool { return l.open == want })
}

// await waits until something is true of the door.
func await(t *testing.T, l *Listener, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		done := is()
		l.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not after 5s: %s", what)
		}
	}
}
