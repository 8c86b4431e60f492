// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
)

// slowApp answers its first call at once, so that a connection is kept, and each later one when it is released.
type slowApp struct {
	*httptest.Server
	calls, connections atomic.Int64
	release            chan string // what it answers
}

func newSlowApp(t *testing.T) *slowApp {
	t.Helper()
	a := &slowApp{release: make(chan string)}
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if a.calls.Add(1) > 1 {
			select {
			case reply := <-a.release:
				_, _ = io.WriteString(w, reply)
			case <-r.Context().Done():
			}
		}
	}))
	a.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			a.connections.Add(1)
		}
	}
	a.Start()
	t.Cleanup(a.Close)
	return a
}

// end is how a call ended.
type end struct {
	answer       Answer
	acknowledged bool
}

// warm is a client that keeps a connection to the app.
func (a *slowApp) warm(t *testing.T) *Client {
	t.Helper()
	client := New(8)
	if answer := deliver(client, call(a.URL, 5*time.Second)); answer.Outcome != outcome.Answered {
		t.Fatalf("the first call: %+v", answer)
	}
	return client
}

// has waits until the app has the message, and the client knows that.
func (a *slowApp) has(d *Delivery) {
	for a.calls.Load() < 2 || !d.written.Load() {
		time.Sleep(time.Millisecond)
	}
}

// begin begins a delivery, and returns what whoever waits in person is told, and how it ends.
func begin(ctx context.Context, client *Client, d *Delivery, c Call, patience Patience) (told chan Answer, ended chan end) {
	told, ended = make(chan Answer, 1), make(chan end, 1)
	c.Places = client.NewPortion()
	go func() {
		told <- client.Deliver(ctx, d, &c, patience, func(a Answer, acknowledged bool) { ended <- end{a, acknowledged} })
	}()
	return told, ended
}

// TestACallGoesOnOverTheSameConnection when nobody waits for it in person any more: the app sees the message once, and its answer is known
// to whoever asks later.
func TestACallGoesOnOverTheSameConnection(t *testing.T) {
	for name, test := range map[string]struct {
		acknowledge bool
		hangUp      bool
		reply       string
		told        outcome.Outcome
		ended       outcome.Outcome
	}{
		"the deadline comes, and WeChat is told success":       {true, false, "<xml/>", outcome.Acknowledged, outcome.Answered},
		"and the app fails after that":                         {true, false, "nonsense", outcome.Acknowledged, outcome.BadReply},
		"the deadline comes, and WeChat is told to come again": {false, false, "<xml/>", outcome.TimedOut, outcome.Answered},
		"WeChat hangs up": {true, true, "<xml/>", outcome.TimedOut, outcome.Answered},
	} {
		t.Run(name, func(t *testing.T) {
			app := newSlowApp(t)
			client := app.warm(t)
			ctx, hangUp := context.WithCancel(t.Context())
			defer hangUp()
			c, d := call(app.URL, time.Minute), new(Delivery)
			if !test.hangUp {
				c.Deadline = time.Now().Add(100 * time.Millisecond)
			}
			told, ended := begin(ctx, client, d, c, Patience{c.Deadline, test.acknowledge})
			app.has(d)
			if test.hangUp {
				hangUp()
			}
			select {
			case answer := <-told:
				if answer.Outcome != test.told {
					t.Errorf("told %+v, want %s", answer, test.told)
				}
			case <-time.After(20 * time.Second):
				t.Error("nobody notices")
			}
			repeat := make(chan Answer, 1)
			go func() { repeat <- d.Wait(t.Context(), Patience{time.Now().Add(time.Minute), true}) }()
			app.release <- test.reply
			if got := <-ended; got.answer.Outcome != test.ended || got.acknowledged != (test.told == outcome.Acknowledged) {
				t.Errorf("ended with %+v, want %s", got, test.ended)
			}
			if answer := <-repeat; answer.Outcome != test.ended {
				t.Errorf("a repeat is told %+v", answer)
			}
			if app.calls.Load() != 2 || app.connections.Load() != 1 {
				t.Errorf("the app was called %d times over %d connections", app.calls.Load(), app.connections.Load())
			}
		})
	}
}

// TestRepeatsJoinACallThatIsMadeInPerson, and are told what it is told; one whose patience ends before is told so.
func TestRepeatsJoinACallThatIsMadeInPerson(t *testing.T) {
	app := newSlowApp(t)
	client := app.warm(t)
	c, d := call(app.URL, time.Minute), new(Delivery)
	told, _ := begin(t.Context(), client, d, c, Patience{c.Deadline, true})
	app.has(d)
	if answer := d.Wait(t.Context(), Patience{time.Now(), false}); answer.Outcome != outcome.TimedOut {
		t.Errorf("an impatient repeat is told %+v", answer)
	}
	var repeats sync.WaitGroup
	for range 8 {
		repeats.Go(func() {
			if answer := d.Wait(t.Context(), Patience{c.Deadline, true}); string(answer.Reply) != "<xml/>" {
				t.Errorf("a repeat is told %+v", answer)
			}
		})
	}
	app.release <- "<xml/>"
	repeats.Wait()
	if answer := <-told; string(answer.Reply) != "<xml/>" || app.calls.Load() != 2 {
		t.Errorf("told %+v after %d calls", answer, app.calls.Load())
	}
}

// TestAnAcknowledgedFailureIsKnown also where a repeat was told success and the first was not.
func TestAnAcknowledgedFailureIsKnown(t *testing.T) {
	app := newSlowApp(t)
	client := app.warm(t)
	c, d := call(app.URL, time.Minute), new(Delivery)
	_, ended := begin(t.Context(), client, d, c, Patience{c.Deadline, true})
	app.has(d)
	if answer := d.Wait(t.Context(), Patience{time.Now(), true}); answer.Outcome != outcome.Acknowledged {
		t.Errorf("the repeat is told %+v", answer)
	}
	app.release <- "nonsense"
	if got := <-ended; !got.acknowledged || got.answer.Outcome != outcome.BadReply {
		t.Errorf("ended with %+v", got)
	}
}

// TestAPanicLeavesNobodyWaiting, nor a place taken.
func TestAPanicLeavesNobodyWaiting(t *testing.T) {
	app := newSlowApp(t)
	client := app.warm(t)
	c, d := call(app.URL, time.Minute), new(Delivery)
	c.Places, c.Check = client.NewPortion(), func([]byte) error { panic("a fault") }
	ended := make(chan Answer, 1)
	go func() {
		defer func() { _ = recover() }()
		client.Deliver(t.Context(), d, &c, Patience{c.Deadline, true}, func(a Answer, _ bool) { ended <- a })
	}()
	app.release <- "<xml/>"
	if answer := d.Wait(t.Context(), Patience{c.Deadline, true}); answer.Outcome != outcome.Unavailable || (<-ended).Outcome != outcome.Unavailable {
		t.Errorf("a repeat is told %+v", answer)
	}
	if client.Pending() != 0 || client.places.held.Len() != 0 {
		t.Errorf("%d calls go on, and %d have a place", client.Pending(), client.places.held.Len())
	}
}

// TestMostCallsNeedNoGoroutine: one that is made over a kept connection is made by whoever waits for it, and every other one goes on by itself.
func TestMostCallsNeedNoGoroutine(t *testing.T) {
	app := newSlowApp(t)
	client := app.warm(t)
	c := call(app.URL, time.Minute)
	var tolds []chan Answer
	for i, want := range []bool{false, true} { // the first takes the kept connection
		told, _ := begin(context.Background(), client, new(Delivery), c, Patience{c.Deadline, true})
		tolds = append(tolds, told)
		for app.calls.Load() < int64(i)+2 {
			time.Sleep(time.Millisecond)
		}
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if got := bytes.Contains(stacks, []byte("(*pending).goOn")); got != want {
			t.Errorf("call %d has a goroutine of its own: %v\n%s", i, got, stacks)
		}
	}
	for range tolds {
		app.release <- "<xml/>"
	}
	for _, told := range tolds {
		<-told
	}
}

// TestAnEarlierDeadlineCutsOffNoLaterCall: the time until which a connection waits is not set anew for each call.
func TestAnEarlierDeadlineCutsOffNoLaterCall(t *testing.T) {
	app := newSlowApp(t)
	client := app.warm(t)
	c := call(app.URL, 10*time.Second)
	for _, conn := range client.pool.idle {
		_ = conn.SetDeadline(time.Now().Add(50 * time.Millisecond))
		conn.armed = c.Deadline.Add(-time.Second) // which is left as it is
	}
	told, _ := begin(t.Context(), client, new(Delivery), c, Patience{c.Deadline, true})
	time.Sleep(100 * time.Millisecond)
	app.release <- "<xml/>"
	if answer := <-told; answer.Outcome != outcome.Answered || app.calls.Load() != 2 {
		t.Errorf("told %+v after %d calls", answer, app.calls.Load())
	}
}

// TestALaterDeadlineHoldsUpNoEarlierCall, which is told in time that the app is late.
func TestALaterDeadlineHoldsUpNoEarlierCall(t *testing.T) {
	app := newSlowApp(t)
	client := app.warm(t)
	for _, conn := range client.pool.idle {
		conn.armExactly(time.Now().Add(time.Hour))
	}
	c := call(app.URL, 100*time.Millisecond)
	told, ended := begin(t.Context(), client, new(Delivery), c, Patience{c.Deadline, true})
	if answer := <-told; answer.Outcome != outcome.Acknowledged {
		t.Errorf("told %+v", answer)
	}
	app.release <- "<xml/>"
	<-ended
}

// connect returns both ends of a connection; it is as one that is kept.
func connect(t *testing.T) (*connection, net.Conn) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	raw, err := new(net.Dialer).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := newConnection(raw, target{})
	if err != nil {
		t.Fatal(err)
	}
	conn.used, conn.written = true, new(atomic.Bool)
	t.Cleanup(conn.close)
	app, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { app.Close() })
	return conn, app
}

// TestAMessageIsWrittenAsTheAppTakesIt: where the socket has room for a part of it only, the rest follows.
func TestAMessageIsWrittenAsTheAppTakesIt(t *testing.T) {
	conn, app := connect(t)
	_ = conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	filled, _ := conn.Write(make([]byte, 64<<20)) // until nothing more fits in
	_ = conn.SetWriteDeadline(time.Time{})
	message, written := bytes.Repeat([]byte("message "), pieceSize/8), conn.written
	conn.message = newPiece()
	conn.message.length = copy(conn.message.text[:], message)
	got := make(chan []byte, 1)
	go func() {
		_, _ = io.CopyN(io.Discard, app, int64(filled))
		text := make([]byte, len(message))
		_, _ = io.ReadFull(app, text)
		got <- text
		_, _ = io.WriteString(app, "answer")
	}()
	if err := conn.advance(); err != nil {
		t.Fatal(err)
	}
	if !written.Load() || !bytes.Equal(<-got, message) || string(conn.came()) != "answer" {
		t.Errorf("written: %v, and %q came", written.Load(), conn.came())
	}
}

// TestWhoWaitsHoldsNoMemory for the message or the answer: most connections wait most of the time.
func TestWhoWaitsHoldsNoMemory(t *testing.T) {
	conn, _ := connect(t)
	conn.message = newPiece()
	conn.message.length = copy(conn.message.text[:], "message")
	_ = conn.SetDeadline(time.Now().Add(50 * time.Millisecond))
	if err := conn.advance(); !errors.Is(err, os.ErrDeadlineExceeded) || !conn.written.Load() {
		t.Fatalf("written: %v, and then %v", conn.written.Load(), err)
	}
	if conn.message != nil || conn.answer != nil {
		t.Errorf("it holds %v and %v", conn.message, conn.answer)
	}
}
