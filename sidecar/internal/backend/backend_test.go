// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

func call(url string, patience time.Duration) Call {
	return Call{URL: url, Header: http.Header{"X-Test": {"1"}}, Body: []byte("<xml/>"), Deadline: time.Now().Add(patience), Check: checkXML}
}

func checkXML(reply []byte) error { return wechat.CheckReply(reply, wechat.FormXML) }

// deliver starts a delivery and waits for its answer until its deadline.
func deliver(c *Client, call Call) Answer {
	return c.Start(call, func(Answer, bool) {}).Wait(context.Background(), call.Deadline, true)
}

func TestOutcomes(t *testing.T) {
	for name, test := range map[string]struct {
		app     http.HandlerFunc
		outcome Outcome
		problem string
	}{
		"a reply":         {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<xml/>") }, Answered, ""},
		"the longest one": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, sized(wechat.MaxReplySize)) }, Answered, ""},
		"one byte more":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, sized(wechat.MaxReplySize+1)) }, BadReply, "longer than"},
		"status 300":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMultipleChoices) }, BadReply, "status 300"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, BadReply, "status 307"},
		"status 404": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, BadReply, "status 404"},
		"status 503": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, BadReply, "status 503"},
		"compressed": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "br") }, BadReply, "compressed"},
		"broken off": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, BadReply, "broke off"},
		"cut in the middle": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "<xml>")
		}, BadReply, "reading the app's reply"},
	} {
		t.Run(name, func(t *testing.T) {
			app := httptest.NewServer(test.app)
			defer app.Close()
			answer := deliver(New(1), call(app.URL, 5*time.Second))
			if answer.Outcome != test.outcome || answer.Retries != 0 {
				t.Errorf("got %+v, want %s at the first try", answer, test.outcome)
			}
			if (answer.Err == nil) != (test.problem == "") || answer.Err != nil && !strings.Contains(answer.Err.Error(), test.problem) {
				t.Errorf("error %v, want %q", answer.Err, test.problem)
			}
		})
	}
}

func sized(n int) string { return "<xml>" + strings.Repeat("a", n-len("<xml></xml>")) + "</xml>" }

func TestAnAppThatRefusesIsTriedAgainUntilTheDeadline(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	listener.Close()
	answer := deliver(New(1), call(url, 300*time.Millisecond))
	if answer.Outcome != Unavailable || answer.Retries == 0 || answer.Err == nil {
		t.Errorf("got %+v, want unavailable after retries", answer)
	}
}

// TestAnIdleConnectionThatTheAppClosed is the usual race of kept connections: the message goes into one that is closed.
func TestAnIdleConnectionThatTheAppClosed(t *testing.T) {
	var calls atomic.Int64
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	app.Start()
	defer app.Close()
	client := New(1)
	for i := range int64(5) {
		if answer := deliver(client, call(app.URL, 5*time.Second)); answer.Outcome != Answered {
			t.Fatalf("call %d: %+v", i, answer)
		}
		app.CloseClientConnections()
	}
	if calls.Load() != 5 {
		t.Errorf("the app was called %d times, want 5", calls.Load())
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
	if answer := deliver(client, call(app.URL, 5*time.Second)); answer.Outcome != Answered {
		t.Fatalf("the first: %+v", answer)
	}
	if answer := deliver(client, call(app.URL, 5*time.Second)); answer.Outcome != BadReply || calls.Load() != 2 {
		t.Errorf("got %+v after %d calls, want a bad reply to the second", answer, calls.Load())
	}
}

func TestAnUncheckedReplyIsNotPassedOn(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<xml/>") }))
	defer app.Close()
	unchecked := call(app.URL, 5*time.Second)
	unchecked.Check = nil
	if answer := deliver(New(1), unchecked); answer.Outcome != Answered || answer.Reply != nil {
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
		delivery := client.Start(slow, func(a Answer, acknowledged bool) {
			if acknowledged {
				late <- a
			}
		})
		if answer := delivery.Wait(t.Context(), slow.Deadline, true); answer.Outcome != Acknowledged || client.Pending() != 1 {
			t.Errorf("got %+v with %d pending", answer, client.Pending())
		}
		close(release)
		if answer := <-late; answer.Outcome != BadReply {
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
		if answer := deliver(New(1), large); answer.Outcome != Unavailable {
			t.Errorf("got %+v, want unavailable", answer)
		}
	})
}

// TestNobodyIsToldOfWhatTheAppDoesNotHave, whichever of the two clocks at the deadline is first.
func TestNobodyIsToldOfWhatTheAppDoesNotHave(t *testing.T) {
	ended := false
	delivery := &Delivery{done: make(chan struct{}), cancel: func() { ended = true }}
	if answer := delivery.Wait(t.Context(), time.Now(), true); answer.Outcome != Unavailable || !ended {
		t.Errorf("got %+v, and the delivery ended: %v", answer, ended)
	}
}

func TestNoProxyOfTheEnvironment(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer app.Close()
	url := strings.Replace(app.URL, "127.0.0.1", "localhost.localdomain", 1) // net/http never sends loopback to a proxy
	transport := New(1).plain.Transport.(*http.Transport)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if transport.Proxy != nil {
		proxy, err := transport.Proxy(request)
		t.Errorf("messages would go through %v, %v", proxy, err)
	}
}
