// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// client calls other pods.
type client struct {
	transport *http.Transport
	patience  time.Duration
}

// Bounds of the heads of a pod's answers, in bytes, and of connections. The other pod closes one after 15 s without a request.
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

// ask sends a request, and waits for its patience until the pod has the message, and then as long as the call says for its answer. The head
// of the HTTP answer says the first, and its body is the second.
func (c client) ask(ctx context.Context, r Request, call Call) (Answer, Result) {
	waits, cancel := context.WithDeadline(ctx, call.Until)
	defer cancel()
	early := time.AfterFunc(c.patience, cancel)
	defer early.Stop()
	r.signature = r.sign(call.Key)
	request, err := r.write(waits, call.Body)
	if err != nil {
		return Answer{}, Refused
	}
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return Answer{}, noAnswer(ctx, waits, false)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, response.Body, maxAnswerHead) // so that the connection can be kept
		return Answer{}, declined(response.StatusCode)
	}
	name, taken := r.Taken(call.Key)
	if !hmac.Equal([]byte(response.Header.Get(name)), []byte(taken)) || !early.Stop() {
		return Answer{}, noAnswer(ctx, waits, false)
	}
	answer, result := r.readAnswer(response.Body, call)
	if result == Lost {
		return Answer{}, noAnswer(ctx, waits, true)
	}
	return answer, result
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
func declined(status int) Result {
	switch status {
	case http.StatusNotFound:
		return Unsupported
	case StatusNotHeld:
		return NotHeld
	}
	return Refused
}

// readAnswer reads an answer, once there is room for it, and verifies it in constant time.
func (r Request) readAnswer(from io.Reader, call Call) (Answer, Result) {
	reader := bufio.NewReaderSize(from, maxAnswerHead)
	line, err := reader.ReadSlice('\n')
	var head answerHead
	if err != nil || json.Unmarshal(line, &head) != nil || head.Length < 0 || head.Length > call.MaxAnswer {
		return Answer{}, Lost
	}
	if !call.Room(head.Length) {
		return Answer{}, NoRoom
	}
	answer := Answer{Status: head.Status, ContentType: head.ContentType, Outcome: head.Outcome, Body: make([]byte, head.Length)}
	if _, err := io.ReadFull(reader, answer.Body); err != nil || !hmac.Equal([]byte(head.Signature), []byte(r.signAnswer(call.Key, answer, sha256.Sum256(answer.Body)))) {
		return Answer{}, Lost
	}
	_, _ = reader.ReadByte() // the end: the connection can be kept then
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

// tell sends what is told, and waits a part of its patience until the pod answers. It waits longer for all that one knows.
func (c client) tell(ctx context.Context, key []byte, t Telling) ([]Use, Result) {
	body, signature := t.Sign(key)
	patience := c.patience / 4 // half of what a pod has to take a message that was handed over
	if t.Back.IsValid() {
		patience = 3 * c.patience
	}
	waits, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(waits, http.MethodPost, "http://"+t.To.String()+UsesPath, bytes.NewReader(body))
	if err != nil {
		return nil, Refused
	}
	request.Header[HeaderUses] = []string{signature}
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return nil, noAnswer(ctx, waits, false)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, int64(MaxKnown*useSize)))
	if err != nil {
		return nil, noAnswer(ctx, waits, false)
	}
	signed := hmac.Equal([]byte(response.Header.Get(HeaderUses)), []byte(SignKnown(key, signature, response.StatusCode, text)))
	switch {
	case signed && response.StatusCode == StatusBound:
		return nil, Bound
	case signed && response.StatusCode == StatusAgreed:
		known, err := ParseUses(text)
		if err != nil {
			return nil, Refused
		}
		return known, Agreed
	}
	return nil, declined(response.StatusCode)
}
