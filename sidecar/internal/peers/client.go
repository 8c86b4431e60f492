// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
)

// client calls other pods.
type client struct {
	transport *http.Transport
	patience  time.Duration
}

// Bounds of a pod's answers, and of connections. The other pod closes one after 15 s without a request.
const (
	maxAnswerHead = 4 << 10
	idleTimeout   = 10 * time.Second
)

// newClient returns a client without a proxy, redirects, cookies and HTTP/2: a hand-over is for the pod that it is signed for.
func newClient(inFlight int, patience time.Duration) client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return client{patience: patience, transport: &http.Transport{
		DialContext:     (&net.Dialer{Timeout: patience}).DialContext,
		MaxConnsPerHost: inFlight, MaxIdleConnsPerHost: inFlight, IdleConnTimeout: idleTimeout,
		MaxResponseHeaderBytes: maxAnswerHead, DisableCompression: true, Protocols: protocols,
	}}
}

func (c client) close() { c.transport.CloseIdleConnections() }

// ask sends a request, and waits for its patience until the pod takes it, and then as long as the call says for its answer.
func (c client) ask(ctx context.Context, r Request, call Call) (Answer, Result) {
	key := call.Key
	waits, cancel := context.WithDeadline(ctx, call.Until)
	defer cancel()
	r.signature = r.sign(key)
	var taken atomic.Bool
	early := time.AfterFunc(c.patience, cancel)
	defer early.Stop()
	traced := httptrace.WithClientTrace(waits, &httptrace.ClientTrace{Got1xxResponse: func(_ int, header textproto.MIMEHeader) error {
		if hmac.Equal([]byte(header.Get(TakenHeader)), []byte(r.SignTaken(key))) && early.Stop() {
			taken.Store(true)
		}
		return nil
	}})
	request, err := r.write(traced, call.Body)
	if err != nil {
		return Answer{}, Refused
	}
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return Answer{}, noAnswer(ctx, waits, taken.Load())
	}
	defer response.Body.Close()
	if response.Header.Get(AnswerHeader) == "" {
		_, _ = io.CopyN(io.Discard, response.Body, maxAnswerHead) // the connection can be kept
		return Answer{}, declined(response.StatusCode, taken.Load())
	}
	answer, result := readAnswer(response, call)
	if result == Answered && !r.verifyAnswer(key, response.Header.Get(AnswerHeader), answer) {
		result = Lost
	}
	if result == Lost {
		return Answer{}, noAnswer(ctx, waits, taken.Load())
	}
	return answer, result
}

// verifyAnswer reports whether the endpoint's key has signed the answer, in constant time.
func (r Request) verifyAnswer(key []byte, signature string, a Answer) bool {
	return hmac.Equal([]byte(signature), []byte(r.SignAnswer(key, a.Status, a.ContentType, a.Outcome, sha256.Sum256(a.Body))))
}

// noAnswer is what came of a request without an answer.
func noAnswer(ctx, waits context.Context, taken bool) Result {
	switch {
	case ctx.Err() != nil:
		return Left
	case taken:
		return Lost
	case waits.Err() != nil:
		return Late
	}
	return Unreachable
}

// declined is what a pod says that does not answer in WeChat's place.
func declined(status int, taken bool) Result {
	switch {
	case taken:
		return Lost
	case status == http.StatusNotFound:
		return Unsupported
	case status == StatusNotHeld:
		return NotHeld
	}
	return Refused
}

// readAnswer reads what is announced of an answer, once there is room for it.
func readAnswer(response *http.Response, call Call) (Answer, Result) {
	answer := Answer{Status: response.StatusCode, ContentType: response.Header.Get("Content-Type"), Outcome: response.Header.Get(outcome.Header)}
	switch {
	case response.ContentLength < 0, response.ContentLength > call.MaxAnswer:
		return Answer{}, Lost
	case !call.Room(response.ContentLength):
		return Answer{}, NoRoom
	}
	answer.Body = make([]byte, response.ContentLength)
	if _, err := io.ReadFull(response.Body, answer.Body); err != nil {
		return Answer{}, Lost
	}
	return answer, Answered
}

// write makes the HTTP request.
func (r Request) write(ctx context.Context, body []byte) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.To.String()+Path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range r.Header {
		request.Header[name] = values
	}
	for name, value := range map[string]string{
		headerMethod: r.Method, headerHost: r.Host, headerPath: r.Path, headerQuery: r.RawQuery, headerTo: r.To.String(),
		headerAge: strconv.FormatInt(r.Age.Milliseconds(), 10), headerBody: hex.EncodeToString(r.Digest[:]), headerSignature: hex.EncodeToString(r.signature),
		"User-Agent": "wechatendpoint",
	} {
		request.Header[name] = []string{value}
	}
	if r.IfHeld {
		request.Header[headerIfHeld] = []string{"true"}
	}
	for _, values := range request.Header {
		if slices.ContainsFunc(values, changes) {
			return nil, errUnwritable
		}
	}
	return request, nil
}

var errUnwritable = errors.New("no header can hold it")

// changes reports whether a value would not be read as it was written.
func changes(value string) bool {
	return strings.TrimSpace(value) != value || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == '\x7f' })
}
