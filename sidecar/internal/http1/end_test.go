// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package http1_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/http1"
	"github.com/wechatendpoint/wechatendpoint/test/rawhttp"
)

// TestShutdown closes who waits for nothing, and loses no answer.
func TestShutdown(t *testing.T) {
	t.Parallel()
	arrived, answer := make(chan bool, 2), make(chan bool)
	s := newStage(t, bounds(), func(_ context.Context, w *http1.Response, r *http1.Request) {
		if r.Path == "/slow" {
			arrived <- true
			<-answer
		}
		w.Head(200, 0)
	})
	idle, slow, silent := s.dial(t), s.dial(t), s.dial(t)
	idle.Send(t, get)
	idle.Expect(t, "200 ")
	slow.Send(t, strings.Replace(get, "/a", "/slow", 1)+get)
	got(t, arrived, "the slow request")
	for range 3 {
		got(t, s.conns, "a connection")
	}
	ended := make(chan error, 1)
	go func() { ended <- s.server.Shutdown(context.Background()) }()
	idle.Expect(t, "none")
	if err := got(t, s.ended, "Serve returns"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve returned %v", err)
	}
	silent.Send(t, get+get)
	for _, c := range []rawhttp.Client{silent, slow} {
		if c == slow {
			select {
			case <-ended:
				t.Error("it is over before the slow request is answered")
			default:
			}
			close(answer)
		}
		response, err := http.ReadResponse(c.Answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != 200 || !response.Close {
			t.Errorf("answered %d, to be closed: %v", response.StatusCode, response.Close)
		}
		c.Expect(t, "none") // and nothing behind it was served
	}
	if err := got(t, ended, "Shutdown returns"); err != nil {
		t.Errorf("Shutdown returned %v", err)
	}
	if _, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.dialed); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("another connection: %v", err)
	}
}

// TestShutdownDuringAnAnswer: one whose head said nothing of the end is the last on its connection all the same.
func TestShutdownDuringAnAnswer(t *testing.T) {
	t.Parallel()
	begun, goOn := make(chan bool), make(chan bool)
	s := newStage(t, bounds(), func(_ context.Context, w *http1.Response, _ *http1.Request) {
		w.Head(200, 0)
		begun <- true
		<-goOn
	})
	c := s.dial(t)
	c.Send(t, get)
	got(t, begun, "a request")
	ended := make(chan error, 1)
	go func() { ended <- s.server.Shutdown(context.Background()) }()
	got(t, s.ended, "Serve returns")
	close(goOn)
	c.Expect(t, "200 ")
	c.Expect(t, "none")
	if err := got(t, ended, "Shutdown returns"); err != nil {
		t.Errorf("Shutdown returned %v", err)
	}
}

// TestShutdownEndsInTime, whoever still works.
func TestShutdownEndsInTime(t *testing.T) {
	t.Parallel()
	arrived, answer := make(chan bool), make(chan bool)
	s := newStage(t, bounds(), func(context.Context, *http1.Response, *http1.Request) {
		arrived <- true
		<-answer
	})
	defer close(answer)
	c := s.dial(t)
	c.Send(t, get)
	got(t, arrived, "a request")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown returned %v", err)
	}
}

// TestAHangUpEndsTheContext, of a request that takes long.
func TestAHangUpEndsTheContext(t *testing.T) {
	t.Parallel()
	for name, hangUp := range map[string]func(c *net.TCPConn) error{
		"the client closes the connection": func(c *net.TCPConn) error { return c.Close() },
		"the client resets the connection": func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) },
		"the client sends no more":         func(c *net.TCPConn) error { return c.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arrived, ended := make(chan bool), make(chan bool, 1)
			s := newStage(t, bounds(), func(ctx context.Context, _ *http1.Response, _ *http1.Request) {
				arrived <- true
				select {
				case <-ctx.Done():
					ended <- true
				case <-time.After(10 * time.Second):
					ended <- false
				}
			})
			c := s.dial(t)
			c.Send(t, get)
			got(t, arrived, "a request")
			if err := hangUp(c.Conn.(*net.TCPConn)); err != nil {
				t.Fatal(err)
			}
			if !<-ended {
				t.Error("the context goes on")
			}
		})
	}
}

// TestAClientThatWaitsIsNotHungUpOn, for however long.
func TestAClientThatWaitsIsNotHungUpOn(t *testing.T) {
	t.Parallel()
	s := newStage(t, bounds(), func(ctx context.Context, w *http1.Response, _ *http1.Request) {
		select {
		case <-ctx.Done():
			w.Head(503, 0)
		case <-time.After(2500 * time.Millisecond): // longer than it takes to be seen
			w.Head(200, 0)
		}
	})
	waits, sends := s.dial(t), s.dial(t)
	waits.Send(t, get)
	sends.Send(t, get+get[:9])
	waits.Expect(t, "200 ")
	sends.Expect(t, "200 ")
}

// TestAPanicEndsItsConnection, and no other.
func TestAPanicEndsItsConnection(t *testing.T) {
	t.Parallel()
	s := newStage(t, bounds(), func(_ context.Context, w *http1.Response, r *http1.Request) {
		if r.Path == "/panic" {
			panic("private words")
		}
		w.Head(200, 0)
	})
	other, faulty := s.dial(t), s.dial(t)
	faulty.Send(t, strings.Replace(get, "/a", "/panic", 1))
	faulty.Expect(t, "none")
	got(t, s.faults, "somebody is told")
	other.Send(t, get)
	other.Expect(t, "200 ")
}

// TestResponses, to the byte.
func TestResponses(t *testing.T) {
	t.Parallel()
	const head = "HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n"
	closing := strings.Replace(get, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)
	words := func(status int, text string, fields ...http1.Field) func(*http1.Response) {
		return func(w *http1.Response) {
			w.Head(status, len(text), fields...)
			_, _ = io.WriteString(w, text)
		}
	}
	for name, test := range map[string]struct {
		request string
		answer  func(*http1.Response)
		want    string // with # for the date
		open    bool
	}{
		"words":                       {get, words(200, "abc"), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nDate: #\r\n\r\nabc", true},
		"fields":                      {get, words(403, "", http1.Field{Name: "A", Value: "b"}, http1.Field{Name: "C", Value: "d"}), "HTTP/1.1 403 Forbidden\r\nA: b\r\nC: d\r\nContent-Length: 0\r\nDate: #\r\n\r\n", true},
		"nothing":                     {get, words(204, ""), "HTTP/1.1 204 No Content\r\nDate: #\r\n\r\n", true},
		"not found":                   {get, words(404, ""), "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nDate: #\r\n\r\n", true},
		"a bad reply":                 {get, words(502, ""), "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nDate: #\r\n\r\n", true},
		"not now":                     {get, words(503, ""), "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nDate: #\r\n\r\n", true},
		"a head alone":                {head, words(200, "abc"), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nDate: #\r\n\r\n", true},
		"longer words":                {get, words(200, strings.Repeat("abc", 5000)), "HTTP/1.1 200 OK\r\nContent-Length: 15000\r\nDate: #\r\n\r\n" + strings.Repeat("abc", 5000), true},
		"the client wants it closed":  {closing, words(200, "abc"), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nDate: #\r\nConnection: close\r\n\r\nabc", false},
		"the handler wants it closed": {get, func(w *http1.Response) { w.Close(); w.Head(200, 0) }, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: #\r\nConnection: close\r\n\r\n", false},
		"fewer words than announced":  {get, func(w *http1.Response) { w.Head(200, 3); _, _ = io.WriteString(w, "ab") }, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nDate: #\r\n\r\nab", false},
		"more words than announced": {get, func(w *http1.Response) {
			w.Head(200, 3)
			if _, err := io.WriteString(w, "abcd"); err == nil {
				panic("they are taken")
			}
		}, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nDate: #\r\n\r\n", false},
		"no answer": {get, func(*http1.Response) {}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, bounds(), func(_ context.Context, w *http1.Response, r *http1.Request) {
				if r.Path == "/last" {
					w.Close()
					w.Head(204, 0)
					return
				}
				test.answer(w)
			})
			c := s.dial(t)
			before := time.Now().Truncate(time.Second)
			c.Send(t, test.request+strings.Replace(get, "/a", "/last", 1))
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
			text, err := io.ReadAll(c.Answers)
			if err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Fatal(err)
			}
			want := test.want
			if test.open {
				want += "HTTP/1.1 204 No Content\r\nDate: #\r\nConnection: close\r\n\r\n"
			}
			var answers strings.Builder
			for line := range strings.Lines(string(text)) {
				if date, ok := strings.CutPrefix(line, "Date: "); ok {
					at, err := http.ParseTime(strings.TrimSpace(date))
					if err != nil || at.Before(before) || at.After(time.Now()) {
						t.Errorf("the date is %q, now it is %v: %v", date, time.Now(), err)
					}
					line = "Date: #\r\n"
				}
				answers.WriteString(line)
			}
			if diff := cmp.Diff(want, answers.String()); diff != "" {
				t.Errorf("answered (-want +got):\n%s", diff)
			}
		})
	}
}

// temporary is a listener that fails for a while, as one does while there are too many open files.
type temporary struct {
	net.Listener
	failures int
}

func (l *temporary) Accept() (net.Conn, error) {
	if l.failures--; l.failures >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

// TestTooManyOpenFiles end nothing.
func TestTooManyOpenFiles(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http1.Server{Handler: tellStrict, Bounds: bounds()}
	ended := make(chan error, 1)
	go func() {
		ended <- server.Serve(owned{&temporary{listener, 3}, make(chan *owner, 1), nil})
	}()
	s := &stage{dialed: listener.Addr().String()}
	c := s.dial(t)
	c.Send(t, get)
	c.Expect(t, gotGet)
	listener.Close()
	if err := got(t, ended, "Serve returns"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve returned %v", err)
	}
}
