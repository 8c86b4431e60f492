// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package backend brings verified messages to the app and judges what comes back.
package backend

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Linger is how long a call to the app may go on after WeChat has had its answer. The app may be busy with the message,
// and closing its connection would end its work in many frameworks.
const Linger = time.Minute

// The pauses between attempts double from the first to the last.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 500 * time.Millisecond
)

// Outcome says how a call went. It is also the "outcome" label of the metrics.
type Outcome string

// The outcomes of a call.
const (
	Answered     Outcome = "answered"     // the app's reply is in the Answer
	Acknowledged Outcome = "acknowledged" // the app has the message, and no time was left to wait for its reply
	Unavailable  Outcome = "unavailable"  // the app could not be reached until the deadline; WeChat should try again
	BadReply     Outcome = "bad_reply"    // the app answered what must not be passed on
	TimedOut     Outcome = "timed_out"    // as Acknowledged, where WeChat must be told to try again
	Overloaded   Outcome = "overloaded"   // there was no place for one more call until the deadline
)

// Answer is the result of a call.
type Answer struct {
	Outcome Outcome
	Reply   []byte // of an Answered call
	Retries int    // attempts after the first
	Err     error  // why it is Unavailable or a BadReply; holds no byte of a message or reply
}

// Call is one message for the app.
type Call struct {
	URL      string
	Identity Identity // by which an app that is called by HTTPS is known
	Header   http.Header
	Body     []byte
	Deadline time.Time
	// Check says why a reply must not be passed on; nil passes none on, and an answer's status is all that counts.
	Check func(reply []byte) error
}

// Client calls the app. It keeps connections open and is safe for concurrent use.
type Client struct {
	plain   *http.Client
	secure  secured
	pending atomic.Int64
	places  *semaphore.Weighted
}

// New returns a Client that makes at most that many calls at once. One that finds no place waits for it until its
// deadline.
func New(places int64) *Client {
	return &Client{places: semaphore.NewWeighted(places), plain: newHTTPClient(nil)}
}

// newHTTPClient speaks HTTP/1.1, over TLS where it is given.
func newHTTPClient(secure *tls.Config) *http.Client {
	dialer := &net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Client{
		// A redirect is an answer of the app that is not 2xx; following it would send the message elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  nil, // never by an environment variable
			DialContext:            dialer.DialContext,
			TLSClientConfig:        secure,
			TLSHandshakeTimeout:    2 * time.Second,
			DisableCompression:     true,
			MaxIdleConns:           128,
			MaxIdleConnsPerHost:    128,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 16 << 10,
		},
	}
}

// Pending returns how many calls go on, those past their deadline included.
func (c *Client) Pending() int64 { return c.pending.Load() }

// Delivery is one message on its way to the app. Several repeats of the message may wait for it.
type Delivery struct {
	done         chan struct{}
	answer       Answer // once done
	cancel       context.CancelFunc
	wire         wire
	acknowledged atomic.Bool
}

// Start begins a delivery and returns at once. It does not end when WeChat hangs up: the app had better see the message
// through. Ended is called once it is over, with the answer, and whether WeChat was told success before.
func (c *Client) Start(call Call, ended func(answer Answer, acknowledged bool)) *Delivery {
	ctx, cancel := context.WithDeadline(context.Background(), call.Deadline.Add(Linger))
	d := &Delivery{done: make(chan struct{}), cancel: cancel}
	c.pending.Add(1)
	go func() {
		defer c.pending.Add(-1)
		defer cancel()
		unsent := time.AfterFunc(time.Until(call.Deadline), d.giveUp)
		defer unsent.Stop()
		d.answer = c.deliver(ctx, call, &d.wire)
		ended(d.answer, d.acknowledged.Load())
		close(d.done)
	}()
	return d
}

// deliver waits for a place and calls the app.
func (c *Client) deliver(ctx context.Context, call Call, w *wire) Answer {
	waiting, cancel := context.WithDeadline(ctx, call.Deadline)
	defer cancel()
	if c.places.Acquire(waiting, 1) != nil {
		return Answer{Outcome: Overloaded, Err: errors.New("no place for one more call to the app until the deadline")}
	}
	defer c.places.Release(1)
	return c.attempts(ctx, call, w)
}

// Wait returns the answer, or at the deadline what is known then: Acknowledged or TimedOut if the app has the message,
// Unavailable if not, and in that case the delivery ends, or the app would get a message that WeChat is told to send
// again. It returns early when ctx is done, because nobody is there to be answered.
func (d *Delivery) Wait(ctx context.Context, deadline time.Time, acknowledge bool) Answer {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-d.done:
		return d.answer
	case <-ctx.Done():
	case <-timer.C:
	}
	answer := Answer{Outcome: TimedOut, Retries: int(d.wire.retries.Load())}
	switch {
	case !d.wire.written.Load() && ctx.Err() == nil:
		d.giveUp()
		answer.Outcome, answer.Err = Unavailable, errors.New("the app did not take the message until the deadline")
	case acknowledge && ctx.Err() == nil:
		d.acknowledged.Store(true)
		answer.Outcome = Acknowledged
	default:
		answer.Err = errors.New("the app did not answer until the deadline")
	}
	return answer
}

// giveUp ends a delivery that the app does not have yet.
func (d *Delivery) giveUp() {
	if !d.wire.written.Load() {
		d.cancel()
	}
}

// wire is how far the newest attempt came. The transport's goroutines write it.
type wire struct {
	reused, written, replied atomic.Bool
	retries                  atomic.Int64
}

func (w *wire) reset() {
	w.reused.Store(false)
	w.written.Store(false)
	w.replied.Store(false)
}

// safe reports whether the app cannot have begun to work on the attempt: the request was not written as a whole, or it
// went into an idle connection that the app had closed.
func (w *wire) safe() bool {
	return !w.written.Load() || w.reused.Load() && !w.replied.Load()
}

func (w *wire) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn:              func(info httptrace.GotConnInfo) { w.reset(); w.reused.Store(info.Reused) },
		WroteRequest:         func(info httptrace.WroteRequestInfo) { w.written.Store(info.Err == nil) },
		GotFirstResponseByte: func() { w.replied.Store(true) },
	}
}

// attempts calls the app until it took the message or the deadline is too near for another try.
func (c *Client) attempts(ctx context.Context, call Call, w *wire) Answer {
	ctx = httptrace.WithClientTrace(ctx, w.trace())
	pause := firstPause
	for retries := 0; ; retries++ {
		w.retries.Store(int64(retries))
		w.reset()
		response, err := c.send(ctx, call)
		if err == nil {
			answer := judge(response, call.Check)
			answer.Retries = retries
			return answer
		}
		if !w.safe() {
			return Answer{Outcome: BadReply, Retries: retries, Err: fmt.Errorf("the app took the message and broke off: %w", err)}
		}
		if ctx.Err() != nil || time.Until(call.Deadline) < pause {
			return Answer{Outcome: Unavailable, Retries: retries, Err: err}
		}
		time.Sleep(pause)
		pause = min(2*pause, lastPause)
	}
}

// send makes a fresh request from the call: nothing of WeChat's own request passes through but the body.
func (c *Client) send(ctx context.Context, call Call) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, call.URL, bytes.NewReader(call.Body))
	if err != nil {
		return nil, fmt.Errorf("making the request to the app: %w", err)
	}
	request.Header = call.Header.Clone()
	client, err := c.client(call.Identity)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("calling the app: %w", err)
	}
	return response, nil
}

// judge reads the app's reply and says whether WeChat may have it.
func judge(response *http.Response, check func([]byte) error) Answer {
	defer response.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(response.Body, wechat.MaxReplySize+1))
	switch {
	case response.StatusCode < 200 || response.StatusCode > 299:
		err = fmt.Errorf("the app answered with status %d; WeChat's messages want 200", response.StatusCode)
	case err != nil:
		err = fmt.Errorf("reading the app's reply: %w", err)
	case response.Header.Get("Content-Encoding") != "":
		err = errors.New("the app's reply is compressed, which WeChat does not read; turn compression off for this path")
	case check == nil:
		reply = nil
	default:
		err = check(reply)
	}
	if err != nil {
		return Answer{Outcome: BadReply, Err: err}
	}
	return Answer{Outcome: Answered, Reply: reply}
}
