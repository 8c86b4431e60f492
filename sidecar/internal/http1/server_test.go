// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package http1_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/http1"
	"github.com/wechatendpoint/wechatendpoint/test/rawhttp"
)

// owner is a connection that writes down what it is told.
type owner struct {
	net.Conn
	passed   chan *owner
	mu       sync.Mutex
	told     []string
	returned []byte
}

func (o *owner) tell(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = append(o.told, what)
}

func (o *owner) Raw() net.Conn            { return o.Conn }
func (o *owner) Context() context.Context { return context.Background() }
func (o *owner) Begin(time.Time)          { o.tell("begun") }
func (o *owner) Arrive()                  { o.tell("arrived") }
func (o *owner) Rest()                    { o.tell("rests") }
func (o *owner) PassOn(text []byte) {
	o.returned = text
	o.passed <- o
}

// owned is a listener of owners.
type owned struct {
	net.Listener
	conns, passed chan *owner
}

func (o owned) Accept() (net.Conn, error) {
	c, err := o.Listener.Accept()
	if err != nil {
		return nil, err
	}
	one := &owner{Conn: c, passed: o.passed}
	o.conns <- one
	return one, nil
}

// bounds are so long that none is reached by chance. A test shortens the one that it is about.
func bounds() http1.Bounds {
	return http1.Bounds{HeadSize: 8 << 10, HeadLines: 64, BodySize: 256 << 10, HeadTime: time.Minute, ReadTime: time.Minute, WriteTime: time.Minute, IdleTime: time.Minute}
}

// stage is a server and what it told of its connections.
type stage struct {
	server *http1.Server
	conns  chan *owner
	passed chan *owner
	dialed string
	ended  chan error
	faults chan struct{}
}

func newStage(t *testing.T, bounds http1.Bounds, handler func(context.Context, *http1.Response, *http1.Request)) *stage {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if handler == nil {
		handler = tellStrict
	}
	s := &stage{conns: make(chan *owner, 16), passed: make(chan *owner, 16), dialed: listener.Addr().String(), ended: make(chan error, 1), faults: make(chan struct{}, 1)}
	s.server = &http1.Server{Handler: handler, Names: names, Bounds: bounds, Faulted: func() { s.faults <- struct{}{} }}
	go func() { s.ended <- s.server.Serve(owned{listener, s.conns, s.passed}) }()
	t.Cleanup(func() {
		ended, stop := context.WithCancel(context.Background())
		stop()
		_ = s.server.Shutdown(ended)
	})
	return s
}

func (s *stage) dial(t *testing.T) rawhttp.Client {
	t.Helper()
	return rawhttp.Dial(t, s.dialed)
}

const (
	get     = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
	post    = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
	gotGet  = `200 GET "a" "/a" "" 0 [] [] "" <nil>`
	gotPost = `200 POST "a" "/a" "" 3 [] [] "abc" <nil>`
)

// got takes what arrives within some seconds.
func got[T any](t *testing.T, from chan T, what string) (one T) {
	t.Helper()
	select {
	case one = <-from:
	case <-time.After(10 * time.Second):
		t.Fatalf("not within 10 s: %s", what)
	}
	return one
}

// TestTheOwnerIsTold how far each request is.
func TestTheOwnerIsTold(t *testing.T) {
	t.Parallel()
	half := len(post) / 2
	for name, test := range map[string]struct {
		pieces []string
		want   []string
	}{
		"a request":                         {[]string{get}, []string{"arrived", "rests"}},
		"a request with a body":             {[]string{post}, []string{"arrived", "rests"}},
		"a head in two pieces":              {[]string{get[:9], get[9:]}, []string{"begun", "arrived", "rests"}},
		"a body in two pieces":              {[]string{post[:len(post)-1], post[len(post)-1:]}, []string{"begun", "arrived", "rests"}},
		"a body in three pieces":            {[]string{post[:len(post)-2], "b", "c"}, []string{"begun", "arrived", "rests"}},
		"two requests":                      {[]string{get, post}, []string{"arrived", "rests", "arrived", "rests"}},
		"two requests at once":              {[]string{get + post}, []string{"arrived", "rests", "arrived", "rests"}},
		"a request, and one and a half":     {[]string{get + post + post[:half], post[half:]}, []string{"arrived", "rests", "arrived", "rests", "begun", "arrived", "rests"}},
		"a body that the handler leaves":    {[]string{strings.Replace(post, "/a", "/skip", 1)}, []string{"arrived", "rests"}},
		"line ends between two":             {[]string{post + "\r\n\r\n" + get}, []string{"arrived", "rests", "arrived", "rests"}},
		"line ends behind one, and nothing": {[]string{post, "\r\n"}, []string{"arrived", "rests"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, bounds(), nil)
			c := s.dial(t)
			o := got(t, s.conns, "a connection")
			for _, piece := range test.pieces {
				c.Send(t, piece)
				time.Sleep(20 * time.Millisecond) // they come one by one, or else the test is of less
			}
			var told []string
			for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
				o.mu.Lock()
				told = slices.Clone(o.told)
				o.mu.Unlock()
				if len(told) >= len(test.want) {
					break
				}
			}
			if diff := cmp.Diff(test.want, told); diff != "" {
				t.Errorf("the owner was told (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhatIsPassedOn comes with every byte of the request, and the connection is open.
func TestWhatIsPassedOn(t *testing.T) {
	t.Parallel()
	short := bounds()
	short.HeadTime = 200 * time.Millisecond
	chunks := "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, test := range map[string]struct {
		bounds http1.Bounds
		text   string
		halves bool // the client stops sending
		before []string
		want   string
	}{
		"another kind of request":                       {bounds(), chunks + "3\r\n", false, nil, chunks + "3\r\n"},
		"one behind others":                             {bounds(), get + post + chunks, false, []string{gotGet, gotPost}, chunks},
		"a head of too many lines":                      {bounds(), get[:len(get)-2] + strings.Repeat("a:\r\n", 62), false, nil, get[:len(get)-2] + strings.Repeat("a:\r\n", 62)},
		"a head that is too long":                       {bounds(), "GET /" + strings.Repeat("a", 8<<10-5), false, nil, "GET /" + strings.Repeat("a", 8<<10-5)},
		"a head that is too long behind a request":      {bounds(), get + "GET /" + strings.Repeat("a", 8<<10-5), false, []string{gotGet}, "GET /" + strings.Repeat("a", 8<<10-5)},
		"a head that comes too slowly":                  {short, get[:9], false, nil, get[:9]},
		"a head that comes too slowly behind a request": {short, get + get[:9], false, []string{gotGet}, get[:9]},
		"a head that breaks off":                        {bounds(), get[:9], true, nil, get[:9]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, test.bounds, nil)
			c := s.dial(t)
			c.Send(t, test.text)
			if test.halves {
				if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			for _, want := range test.before {
				c.Expect(t, want)
			}
			o := got(t, s.passed, "the connection is passed on")
			if string(o.returned) != test.want {
				t.Errorf("it comes with %q, want %q", o.returned, test.want)
			}
			if !slices.Contains(o.told, "begun") {
				t.Errorf("its owner was told %q", o.told)
			}
			if _, err := io.WriteString(o, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			c.Expect(t, "400 ")
			o.Close()
		})
	}
}

// TestHeadsOfEverySize are read, as long as they are within the bound, whole and behind another request.
func TestHeadsOfEverySize(t *testing.T) {
	t.Parallel()
	s := newStage(t, bounds(), nil)
	c := s.dial(t)
	for _, size := range []int{100, 4<<10 - 1, 4 << 10, 4<<10 + 1, 8<<10 - 1, 8 << 10} {
		long := get[:len(get)-2] + "A: "
		long += strings.Repeat("a", size-len(long)-4) + "\r\n\r\n"
		c.Send(t, long)
		c.Expect(t, gotGet)
		c.Send(t, post+long+post)
		for _, want := range []string{gotPost, gotGet, gotPost} {
			c.Expect(t, want)
		}
	}
}

// TestBodiesOfEverySize are read, and the request behind them.
func TestBodiesOfEverySize(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/a", "/skip"} {
		s := newStage(t, bounds(), func(_ context.Context, w *http1.Response, r *http1.Request) {
			var n int64
			if r.Path != "/skip" {
				n, _ = io.Copy(io.Discard, r.Body)
			}
			text := fmt.Sprint(r.Method, " ", n)
			w.Head(200, len(text))
			_, _ = io.WriteString(w, text)
		})
		c := s.dial(t)
		for _, size := range []int{0, 1, 4 << 10, 5000, 256 << 10} {
			c.Send(t, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s%s", path, size, strings.Repeat("a", size), get))
			if path == "/skip" {
				c.Expect(t, "200 POST 0")
			} else {
				c.Expect(t, fmt.Sprint("200 POST ", size))
			}
			c.Expect(t, "200 GET 0")
		}
	}
}

// TestTimes are bounded: each row is of one that is short, and how the connection ends then.
func TestTimes(t *testing.T) {
	t.Parallel()
	const short = 200 * time.Millisecond
	long := strings.Repeat("a", 32<<20)
	for name, test := range map[string]struct {
		shorten func(*http1.Bounds)
		text    string
		want    []string
	}{
		"a client that sends nothing":         {func(b *http1.Bounds) { b.HeadTime = short }, "", []string{"none"}},
		"a client that sends nothing more":    {func(b *http1.Bounds) { b.IdleTime = short }, get, []string{gotGet, "none"}},
		"a body that does not come":           {func(b *http1.Bounds) { b.ReadTime = short }, post[:len(post)-3], []string{`200 POST "a" "/a" "" 3 [] [] "" i/o timeout`, "none"}},
		"a body that does not come whole":     {func(b *http1.Bounds) { b.ReadTime = short }, post[:len(post)-1], []string{`200 POST "a" "/a" "" 3 [] [] "ab" i/o timeout`, "none"}},
		"a body that nobody wants, and stops": {func(b *http1.Bounds) { b.ReadTime = short }, strings.Replace(post[:len(post)-1], "/a", "/skip", 1), []string{`200 POST "a" "/skip" "" 3 [] []`, "none"}},
		"an answer that is not read":          {func(b *http1.Bounds) { b.WriteTime = short }, "GET /long HTTP/1.1\r\nHost: a\r\n\r\n", []string{"200 cut"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := bounds()
			test.shorten(&b)
			s := newStage(t, b, func(_ context.Context, w *http1.Response, r *http1.Request) {
				if r.Path == "/long" {
					w.Head(200, len(long))
					_, _ = io.WriteString(w, long)
					return
				}
				text := told(r.Method, r.Host, r.Path, r.RawQuery, r.Header, r.Length, r.Body)
				if before, _, found := strings.Cut(text, "read tcp"); found { // and addresses
					text = before + "i/o timeout"
				}
				w.Head(200, len(text))
				_, _ = io.WriteString(w, text)
			})
			c := s.dial(t)
			c.Send(t, test.text)
			for _, want := range test.want {
				if want == "200 cut" {
					time.Sleep(short + 1500*time.Millisecond) // of which a second may be added
					_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
					if n, _ := io.Copy(io.Discard, c.Answers); n >= int64(len(long)) { // by then the connection is closed
						t.Errorf("%d bytes came to a client that had read nothing", n)
					}
					continue
				}
				c.Expect(t, want)
			}
		})
	}
}
