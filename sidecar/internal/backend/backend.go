// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package backend brings verified messages to the app and judges what comes back.
package backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

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
	Header   http.Header
	Body     []byte
	Deadline time.Time
}

// Client calls the app. It keeps connections open and is safe for concurrent use.
type Client struct {
	http    *http.Client
	pending atomic.Int64
	late    func(Answer)
}

// New returns a Client. Late is told how calls ended that went on after their deadline.
func New(late func(Answer)) *Client {
	dialer := &net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}
	return &Client{
		late: late,
		http: &http.Client{
			// A redirect is an answer of the app that is not 2xx; following it would send the message elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				Proxy:                  nil, // never by an environment variable
				DialContext:            dialer.DialContext,
				DisableCompression:     true,
				MaxIdleConns:           128,
				MaxIdleConnsPerHost:    128,
				IdleConnTimeout:        30 * time.Second,
				MaxResponseHeaderBytes: 16 << 10,
			},
		},
	}
}

// Pending returns how many calls go on, those past their deadline included.
func (c *Client) Pending() int64 { return c.pending.Load() }

// Deliver calls the app and returns at the deadline at the latest. It does not end when the caller's client goes away:
// WeChat hangs up and tries again, and the app had better seen the message through. Done is called when the call to the
// app is over, which may be after Deliver has returned.
func (c *Client) Deliver(call Call, done func()) Answer {
	ctx, cancel := context.WithDeadline(context.Background(), call.Deadline.Add(Linger))
	var wire wire
	answers := make(chan Answer, 1)
	c.pending.Add(1)
	go func() {
		defer done()
		defer c.pending.Add(-1)
		defer cancel()
		answers <- c.attempts(ctx, call, &wire)
	}()
	timer := time.NewTimer(time.Until(call.Deadline))
	defer timer.Stop()
	select {
	case answer := <-answers:
		return answer
	case <-timer.C:
	}
	retries := int(wire.retries.Load())
	if wire.written.Load() {
		go func() { c.late(<-answers) }()
		return Answer{Outcome: Acknowledged, Retries: retries}
	}
	cancel() // or the app would get a message that WeChat is told to send again
	return Answer{Outcome: Unavailable, Retries: retries, Err: errors.New("the app did not take the message until the deadline")}
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
			answer := judge(response)
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
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("calling the app: %w", err)
	}
	return response, nil
}

// judge reads the app's reply and says whether WeChat may have it.
func judge(response *http.Response) Answer {
	defer response.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(response.Body, wechat.MaxReplySize+1))
	switch {
	case response.StatusCode < 200 || response.StatusCode > 299:
		err = fmt.Errorf("the app answered with status %d; WeChat's messages want 200", response.StatusCode)
	case err != nil:
		err = fmt.Errorf("reading the app's reply: %w", err)
	case response.Header.Get("Content-Encoding") != "":
		err = errors.New("the app's reply is compressed, which WeChat does not read; turn compression off for this path")
	default:
		err = wechat.CheckReply(reply)
	}
	if err != nil {
		return Answer{Outcome: BadReply, Err: err}
	}
	return Answer{Outcome: Answered, Reply: reply}
}
