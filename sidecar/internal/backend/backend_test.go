// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

func call(origin string, patience time.Duration) Call {
	return Call{
		Room:   roomy{},
		Origin: origin, Target: "/weixin?a=b", Fields: []byte("X-Test: 1\r\n"), Body: []byte("<xml/>"),
		Deadline: time.Now().Add(patience), MaxReply: wechat.MaxReplySize, Check: checkXML,
	}
}

// roomy has room for every reply.
type roomy struct{}

func (roomy) Take(string, int64, int64, time.Time) bool { return true }
func (roomy) Give(string, int64)                        {}

func checkXML(reply []byte) error { return wechat.CheckReply(reply, wechat.FormXML) }

// explain says what became of a call, as the log does.
func explain(a Answer) string {
	cause, _ := outcome.Report{Outcome: a.Outcome, Failure: a.Failure}.Explain()
	return cause
}

// deliver starts a delivery and waits for its answer until its deadline.
func deliver(c *Client, call Call) Answer {
	call.Places = c.NewPortion()
	defer call.Places.Close()
	return c.Deliver(context.Background(), new(Delivery), &call, Patience{call.Deadline, true}, func(Answer, bool) {})
}

func TestOutcomes(t *testing.T) {
	for name, test := range map[string]struct {
		app     http.HandlerFunc
		outcome outcome.Outcome
		problem string
	}{
		"a reply":         {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<xml/>") }, outcome.Answered, ""},
		"the longest one": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, sized(wechat.MaxReplySize)) }, outcome.Answered, ""},
		"one byte over":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, sized(wechat.MaxReplySize+1)) }, outcome.BadReply, "longer than"},
		"status 300":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMultipleChoices) }, outcome.BadReply, "status 300"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, outcome.BadReply, "status 307"},
		"status 404": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, outcome.BadReply, "status 404"},
		"status 503": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, outcome.BadReply, "status 503"},
		"status 101": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusSwitchingProtocols) }, outcome.BadReply, "another protocol"},
		"an interim": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = io.WriteString(w, "<xml/>")
		}, outcome.Answered, ""},
		"endless interims": {func(w http.ResponseWriter, _ *http.Request) {
			for range maxInterim {
				w.WriteHeader(http.StatusEarlyHints)
			}
		}, outcome.BadReply, "too many"},
		"as many fields as may be": {func(w http.ResponseWriter, _ *http.Request) { manyFields(w, maxHeadLines-3) }, outcome.Answered, ""},
		"one more":                 {func(w http.ResponseWriter, _ *http.Request) { manyFields(w, maxHeadLines-2) }, outcome.BadReply, "too many"},
		"fields without an end":    {func(w http.ResponseWriter, _ *http.Request) { manyFields(w, 10_000) }, outcome.BadReply, "too many"},
		"a field without an end":   {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("A", strings.Repeat("a", maxHeadSize)) }, outcome.BadReply, "too many"},
		"a long field":             {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("A", strings.Repeat("a", maxHeadSize/2)) }, outcome.Answered, ""},
		"compressed":               {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "br") }, outcome.BadReply, "compressed"},
		"broken off":               {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, outcome.BadReply, "broke off"},
		"cut in the middle": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "<xml>")
		}, outcome.BadReply, "reply broke off"},
	} {
		for over, before := range map[string]int64{"a new connection": 0, "a kept one": 1, "a kept one, all read by net/http": 1} {
			t.Run(name+", over "+over, func(t *testing.T) {
				var calls atomic.Int64
				app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if calls.Add(1) > before {
						test.app(w, r)
					}
				}))
				defer app.Close()
				client := New(1)
				client.StandardHTTP = strings.HasSuffix(over, "net/http")
				for range before {
					deliver(client, call(app.URL, 5*time.Second))
				}
				answer := deliver(client, call(app.URL, 5*time.Second))
				// A kept connection that ends before the first byte of an answer may have been closed before, and is not the last try.
				retries := 0
				if before > 0 && test.problem == "broke off" {
					retries = 1
				}
				if answer.Outcome != test.outcome || answer.Retries != retries {
					t.Errorf("got %+v, want %s after %d more tries", answer, test.outcome, retries)
				}
				if text := explain(answer); (text == "") != (test.problem == "") || !strings.Contains(text, test.problem) {
					t.Errorf("explained by %q, want %q", text, test.problem)
				}
			})
		}
	}
}

// manyFields answers with so many header fields beside net/http's two.
func manyFields(w http.ResponseWriter, n int) {
	for i := range n {
		w.Header()[fmt.Sprintf("A%d", i)] = []string{""}
	}
}

func sized(n int) string { return "<xml>" + strings.Repeat("a", n-len("<xml></xml>")) + "</xml>" }

// nobody listens there. A port that was free a moment ago may be taken by another test.
const nobody = "http://127.0.0.1:1"

func TestAnAppThatRefusesIsTriedAgainUntilTheDeadline(t *testing.T) {
	answer := deliver(New(1), call(nobody, 300*time.Millisecond))
	if answer.Outcome != outcome.Unavailable || answer.Retries == 0 || answer.Failure.Cause != outcome.Refused {
		t.Errorf("got %+v, want unavailable after retries", answer)
	}
}

// TestAnIdleConnectionThatTheAppClosed is the usual race of kept connections: the message goes into one that is closed.
func TestAnIdleConnectionThatTheAppClosed(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("by HTTPS: %v", secure), func(t *testing.T) {
			var calls atomic.Int64
			app := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
			identity := start(t, app, secure)
			client := New(1)
			for i := range int64(5) {
				c := call(app.URL, 5*time.Second)
				c.Identity = identity
				if answer := deliver(client, c); answer.Outcome != outcome.Answered {
					t.Fatalf("call %d: %+v", i, answer)
				}
				app.CloseClientConnections()
			}
			if calls.Load() != 5 {
				t.Errorf("the app was called %d times, want 5", calls.Load())
			}
		})
	}
}

// TestAMessageIsSentTwiceAtMost: an app that takes it and ends the connection gets it again over one new connection, and not over each that
// is kept.
func TestAMessageIsSentTwiceAtMost(t *testing.T) {
	const kept = 4
	var calls atomic.Int64
	all := make(chan struct{})
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch n := calls.Add(1); {
		case n < kept:
			<-all
		case n == kept:
			close(all)
		default:
			panic(http.ErrAbortHandler)
		}
	}))
	defer app.Close()
	client := New(2 * kept)
	var group sync.WaitGroup
	for range kept {
		group.Go(func() { deliver(client, call(app.URL, 5*time.Second)) })
	}
	group.Wait()
	if len(client.pool.idle) != kept {
		t.Fatalf("%d connections are kept, want %d", len(client.pool.idle), kept)
	}
	answer := deliver(client, call(app.URL, 5*time.Second))
	if got := calls.Load() - kept; got != 2 || answer.Outcome != outcome.BadReply || answer.Retries != 1 {
		t.Errorf("the app got the message %d times, and the answer is %+v", got, answer)
	}
}

// TestAnAppThatBeganToAnswerIsNotCalledAgain: the second message goes into the kept connection, and half an answer comes
// back.
func TestAnAppThatBeganToAnswerIsNotCalledAgain(t *testing.T) {
	var calls atomic.Int64
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			return
		}
		connection, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer connection.Close()
		_, _ = io.WriteString(connection, "HTTP/1.1 2")
	}))
	defer app.Close()
	client := New(1)
	if answer := deliver(client, call(app.URL, 5*time.Second)); answer.Outcome != outcome.Answered {
		t.Fatalf("the first: %+v", answer)
	}
	if answer := deliver(client, call(app.URL, 5*time.Second)); answer.Outcome != outcome.BadReply || calls.Load() != 2 {
		t.Errorf("got %+v after %d calls, want a bad reply to the second", answer, calls.Load())
	}
}

func TestAnUncheckedReplyIsNotPassedOn(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<xml/>") }))
	defer app.Close()
	unchecked := call(app.URL, 5*time.Second)
	unchecked.Check = nil
	if answer := deliver(New(1), unchecked); answer.Outcome != outcome.Answered || answer.Reply != nil {
		t.Errorf("got %+v, want an answer without a reply", answer)
	}
}

func TestADeadlineIsAcknowledgedOnlyOnceTheAppHasTheMessage(t *testing.T) {
	t.Run("it has", func(t *testing.T) {
		release := make(chan struct{})
		app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			<-release
			w.WriteHeader(http.StatusInternalServerError)
		}))
		defer app.Close()
		late := make(chan Answer, 1)
		client := New(1)
		slow := call(app.URL, 100*time.Millisecond)
		slow.Places = client.NewPortion()
		answer := client.Deliver(t.Context(), new(Delivery), &slow, Patience{slow.Deadline, true}, func(a Answer, acknowledged bool) {
			if acknowledged {
				late <- a
			}
		})
		if answer.Outcome != outcome.Acknowledged || client.Pending() != 1 {
			t.Errorf("got %+v with %d pending", answer, client.Pending())
		}
		close(release)
		if answer := <-late; answer.Outcome != outcome.BadReply {
			t.Errorf("the late failure is told as %+v", answer)
		}
	})
	t.Run("it never reads", func(t *testing.T) {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close() // it accepts in the kernel, and nobody reads
		large := call("http://"+listener.Addr().String(), 200*time.Millisecond)
		large.Body = make([]byte, 32<<20) // more than the socket's buffers take
		if answer := deliver(New(1), large); answer.Outcome != outcome.Unavailable {
			t.Errorf("got %+v, want unavailable", answer)
		}
	})
}

// TestNobodyIsToldOfWhatTheAppDoesNotHave, whichever of the two clocks at the deadline is first.
func TestNobodyIsToldOfWhatTheAppDoesNotHave(t *testing.T) {
	delivery, going := new(Delivery), new(pending)
	delivery.begin(going)
	if answer := delivery.Wait(t.Context(), Patience{time.Now(), true}); answer.Outcome != outcome.Unavailable || !going.ending {
		t.Errorf("got %+v, and the delivery is to end: %v", answer, going.ending)
	}
}

// TestNoProxyOfTheEnvironment: a proxy that the environment names gets no connection.
func TestNoProxyOfTheEnvironment(t *testing.T) {
	proxy, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", "http://"+proxy.Addr().String())
	go func() {
		if c, err := proxy.Accept(); err == nil {
			t.Error("a message went to a proxy")
			c.Close()
		}
	}()
	// net/http would never send loopback to a proxy; this name is none.
	if answer := deliver(New(1), call("http://app.invalid", 100*time.Millisecond)); answer.Outcome != outcome.Unavailable {
		t.Errorf("got %+v", answer)
	}
}

// TestTheRequestIsWrittenAsItIs: the target above all, which a parser of URLs would cut at a #.
func TestTheRequestIsWrittenAsItIs(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	seen := make(chan string, 1)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		text := make([]byte, 4096)
		n, _ := c.Read(text)
		seen <- string(text[:n])
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}()
	wanted := call("http://"+listener.Addr().String(), 5*time.Second)
	wanted.Target = "/a%2fb?c=#d&e=\""
	if answer := deliver(New(1), wanted); answer.Outcome != outcome.Answered {
		t.Fatalf("got %+v", answer)
	}
	want := "POST /a%2fb?c=#d&e=\" HTTP/1.1\r\nHost: " + listener.Addr().String() + "\r\nX-Test: 1\r\nContent-Length: 6\r\n\r\n<xml/>"
	if got := <-seen; got != want {
		t.Errorf("written %q, want %q", got, want)
	}
}

// TestConnectionsAreKept where everything was read, and no others.
func TestConnectionsAreKept(t *testing.T) {
	for name, test := range map[string]struct {
		app  http.HandlerFunc
		want int64 // connections for three calls
	}{
		"a reply": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<xml/>") }, 1},
		"a reply in chunks": {func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "<xml/>")
		}, 1},
		"nothing":              {func(http.ResponseWriter, *http.Request) {}, 1},
		"an ill-formed reply":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html/>") }, 1},
		"an app that closes":   {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }, 3},
		"status 500":           {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, 3},
		"a reply that goes on": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, sized(wechat.MaxReplySize+9)) }, 3},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, by HTTPS: %v", name, secure), func(t *testing.T) {
				var connections atomic.Int64
				app := httptest.NewUnstartedServer(test.app)
				app.Config.ConnState = func(_ net.Conn, state http.ConnState) {
					if state == http.StateNew {
						connections.Add(1)
					}
				}
				identity := start(t, app, secure)
				client := New(1)
				for range 3 {
					c := call(app.URL, 5*time.Second)
					c.Identity = identity
					deliver(client, c)
				}
				if connections.Load() != test.want {
					t.Errorf("%d connections for three calls, want %d", connections.Load(), test.want)
				}
			})
		}
	}
}

// TestWhatNobodyAskedForIsNoAnswer: bytes that an app sends between two calls end its connection.
func TestWhatNobodyAskedForIsNoAnswer(t *testing.T) {
	var calls atomic.Int64
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		connection, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		n := calls.Add(1)
		reply := fmt.Sprintf("<xml><n>%d</n></xml>", n)
		fmt.Fprintf(buffered, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(reply), reply)
		buffered.Flush()
		time.Sleep(20 * time.Millisecond)
		_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<xml>no</xml>")
		time.Sleep(time.Second)
		connection.Close()
	}))
	defer app.Close()
	client := New(1)
	for n := range 2 {
		answer := deliver(client, call(app.URL, 5*time.Second))
		if want := fmt.Sprintf("<xml><n>%d</n></xml>", n+1); string(answer.Reply) != want {
			t.Errorf("call %d got %q, %v", n, answer.Reply, answer.Failure)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestAnAppThatStopsReadingHasAnswered: one that finds a message too long says so, and is not asked again and again.
func TestAnAppThatStopsReadingHasAnswered(t *testing.T) {
	var calls atomic.Int64
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	}))
	defer app.Close()
	large := call(app.URL, time.Second)
	large.Body = make([]byte, 8<<20)
	if answer := deliver(New(1), large); answer.Outcome != outcome.BadReply || calls.Load() != 1 {
		t.Errorf("got %+v after %d calls", answer, calls.Load())
	}
}

// narrow is a Room with a bound, which does not wait.
type narrow struct{ free atomic.Int64 }

func (n *narrow) Take(_ string, _, bytes int64, _ time.Time) bool {
	if n.free.Add(-bytes) < 0 {
		n.free.Add(bytes)
		return false
	}
	return true
}

func (n *narrow) Give(_ string, bytes int64) { n.free.Add(bytes) }

// TestRepliesTakeRoomAsTheyCome, and give it back.
func TestRepliesTakeRoomAsTheyCome(t *testing.T) {
	for name, test := range map[string]struct {
		reply   int
		room    int64
		outcome outcome.Outcome
	}{
		"a usual one needs none":     {freeReply - 1, 0, outcome.Answered},
		"a longer one waits":         {freeReply + 1, freeReply, outcome.BadReply},
		"a longer one finds room":    {freeReply + 1, 2 * freeReply, outcome.Answered},
		"the longest one":            {wechat.MaxReplySize, 2 * wechat.MaxReplySize, outcome.Answered},
		"one without bounds is told": {wechat.MaxReplySize + 1, 2 * wechat.MaxReplySize, outcome.BadReply},
	} {
		t.Run(name, func(t *testing.T) {
			app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, sized(test.reply)) }))
			defer app.Close()
			room := &narrow{}
			room.free.Store(test.room)
			c := call(app.URL, time.Second)
			c.Room = room
			answer := deliver(New(1), c)
			if answer.Outcome != test.outcome || room.free.Load() != test.room {
				t.Errorf("got %s (%v), and %d of %d bytes are free", answer.Outcome, answer.Failure, room.free.Load(), test.room)
			}
		})
	}
}

// TestAUsualReplyHasItsBound, where the bound is lower than what an answer in one piece may have.
func TestAUsualReplyHasItsBound(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, sized(100)) }))
	defer app.Close()
	for bound, want := range map[int64]outcome.Outcome{99: outcome.BadReply, 100: outcome.Answered} {
		bounded := call(app.URL, 5*time.Second)
		bounded.MaxReply = bound
		if answer := deliver(New(1), bounded); answer.Outcome != want {
			t.Errorf("within %d bytes, 100 are %+v", bound, answer)
		}
	}
}

// TestErrorsQuoteNothing of a call or an answer, whatever broke.
func TestErrorsQuoteNothing(t *testing.T) {
	raw := func(answer string) string {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = c.Read(make([]byte, 4096))
				_, _ = io.WriteString(c, answer)
				if answer == "" {
					_ = c.(*net.TCPConn).SetLinger(0) // a reset, whose error has both addresses
				}
				c.Close()
			}
		}()
		return "http://" + listener.Addr().String()
	}
	for name, origin := range map[string]string{
		"an app that is away":            nobody,
		"a name that nobody has":         "http://secret.invalid",
		"an answer that is not HTTP":     raw("secret"),
		"a status that is none":          raw("HTTP/1.1 secret\r\n\r\n"),
		"a field that is none":           raw("HTTP/1.1 200 OK\r\nsecret\r\n\r\n"),
		"a length that is none":          raw("HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n"),
		"chunks that are none":           raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nsecret\r\n"),
		"a coding that nobody knows":     raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: secret\r\n\r\nsecret\r\n"),
		"a reply that nobody knows":      raw("HTTP/1.1 200 OK\r\n\r\nsecret"),
		"a reply that breaks off":        raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsecret"),
		"a redirect":                     raw("HTTP/1.1 302 secret\r\nLocation: http://secret\r\n\r\n"),
		"a head that never ends":         raw("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("secret", 5000)),
		"an app that resets":             raw(""),
		"an app that is called by HTTPS": strings.Replace(raw("secret"), "http", "https", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wanted := call(origin, 100*time.Millisecond)
			wanted.Target, wanted.Body = "/weixin?signature=secret", []byte("<xml>secret</xml>")
			_, wanted.Identity.CA = newSecureApp(t)
			answer := deliver(New(1), wanted)
			told := outcome.Report{Outcome: answer.Outcome, Failure: answer.Failure}
			if known, ok := outcome.Parse(told.String()); !ok || known != told || explain(answer) == "" {
				t.Errorf("it tells %q, %q", told, explain(answer))
			}
		})
	}
}
