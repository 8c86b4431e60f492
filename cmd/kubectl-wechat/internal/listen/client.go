// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package listen reads the taps of the pods that serve an endpoint, through the API server, with the caller's rights and the endpoint's gateway key.
//
// A Client opens the tap of one pod. Follow opens the taps of all pods, and of each pod that comes later. Package tap of the sidecar says what is read.
package listen

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
)

// Pod is one that serves the endpoint.
type Pod struct {
	Name string
	// Address is the pod's own: what is sent to one pod is good for no other.
	Address netip.Addr
	// Port is its second one.
	Port uint16
}

// Dial opens a connection to the second port of a pod. PortForward does it as kubectl does.
type Dial func(ctx context.Context, pod Pod) (net.Conn, error)

// Client opens taps of one endpoint. It is safe for concurrent use.
type Client struct {
	// Endpoint is NAMESPACE/NAME.
	Endpoint string
	// GatewayKey is the value of key in the Secret NAME-gateway-key.
	GatewayKey []byte
	Dial       Dial
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Refused is the error of a tap that the pod does not open.
type Refused struct {
	Reason tap.Refusal
	// Ahead is how far this clock is ahead of the pod's, to the second, where that is why.
	Ahead time.Duration
}

func (r *Refused) Error() string { return r.explain().Error() }

// Explain returns an error that says in both languages why a pod is not listened to, and what to do, as far as that is known.
func Explain(err error) error {
	var refused *Refused
	if errors.As(err, &refused) {
		return refused.explain()
	}
	var request *url.Error // whose URL is no place that somebody knows
	if errors.As(err, &request) {
		return request.Err
	}
	return err
}

func (r *Refused) explain() error {
	switch r.Reason {
	case tap.Forbidden:
		return text.Errorf("the pod does not know this gateway key: if the Secret was made anew, wait until the pods have it; if somebody else wrote it, delete it for the operator to make it again")
	case tap.Stale:
		return text.Errorf("the clocks of this computer and of the pod differ by %v, and a minute is allowed: set the one that is wrong", r.Ahead)
	case tap.OtherPod:
		return text.Errorf("another pod answers than was asked: try again")
	case tap.Full:
		return text.Errorf("as many look at messages as may at once, 4 of one endpoint and 16 of all that a pod serves: end one of them, or wait")
	case tap.Ended:
		return text.Errorf("the pod ends")
	case tap.Used, tap.Malformed: // which this client does not bring about
	}
	return text.Errorf("the pod does not open a tap (%s): the plugin and the sidecar may be of different versions, see kubectl wechat version", string(r.Reason))
}

// ErrNoTap is of a sidecar that knows no taps.
var ErrNoTap = text.Errorf("the sidecar of the pod is older than this command: see kubectl wechat version")

// maxLine bounds a line: a message of the largest size in base64, and its head. Bytes.
const maxLine = 4 << 20

// Stream is an open tap. One goroutine calls Next.
type Stream struct {
	// Hello is what the pod said first.
	Hello tap.Hello

	client Client
	pod    Pod
	http   *http.Client
	body   io.Closer
	lines  *bufio.Scanner
	cancel context.CancelFunc
	silent *time.Timer
}

// Open opens the tap of a pod, until ctx is done or Close is called. It returns a *Refused where the pod opens none.
func (c Client) Open(ctx context.Context, pod Pod, query tap.Query) (*Stream, error) {
	query.Endpoint = c.Endpoint
	ctx, cancel := context.WithCancel(ctx)
	s := &Stream{client: c, pod: pod, cancel: cancel, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return c.Dial(ctx, pod) },
	}}}
	s.silent = time.AfterFunc(patience, cancel)
	response, err := s.ask(ctx, http.MethodGet, tap.Path, query.Encode(), nil) //nolint:bodyclose // Close does
	if err != nil {
		s.Close()
		return nil, err
	}
	s.body = response.Body
	s.lines = bufio.NewScanner(response.Body)
	s.lines.Buffer(nil, maxLine)
	first, err := s.Next()
	if err == nil && first.Hello == nil {
		err = errNoHello
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	s.Hello = *first.Hello
	return s, nil
}

var errNoHello = errors.New("what the pod says is no tap")

// patience is how long a pod is waited for that says nothing.
const patience = 3 * tap.Beat

// ask sends a request with the proof that the caller has the key.
func (s *Stream) ask(ctx context.Context, method, path, query string, body []byte) (*http.Response, error) {
	now := time.Now
	if s.client.Now != nil {
		now = s.client.Now
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://pod"+path+"?"+query, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	proof := tap.Proof{At: now(), To: s.pod.Address}
	_, _ = rand.Read(proof.Nonce[:]) // never fails, by its documentation
	asked := tap.Asked{Method: method, Path: path, RawQuery: query, Body: sha256.Sum256(body)}
	request.Header.Set("Authorization", proof.Sign(tap.NewKey(s.client.GatewayKey), asked))
	response, err := s.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode < 300 {
		return response, nil
	}
	defer response.Body.Close()
	var refused tap.Refused
	known := json.NewDecoder(io.LimitReader(response.Body, 1<<10)).Decode(&refused) == nil && refused.Reason != ""
	switch {
	case known:
		return nil, &Refused{Reason: refused.Reason, Ahead: ahead(response, proof.At)}
	case response.StatusCode == http.StatusNotFound:
		return nil, ErrNoTap
	}
	return nil, fmt.Errorf("the pod answers with status %d", response.StatusCode)
}

// ahead is how far this clock is ahead of the pod's.
func ahead(response *http.Response, sent time.Time) time.Duration {
	theirs, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return 0
	}
	return sent.Sub(theirs).Truncate(time.Second)
}

// Next waits for the next line. Its error says that there is none any more: io.EOF behind the last one.
func (s *Stream) Next() (line tap.Line, err error) {
	for s.lines.Scan() {
		s.silent.Reset(patience)
		if len(s.lines.Bytes()) == 0 {
			continue
		}
		return line, json.Unmarshal(s.lines.Bytes(), &line)
	}
	if err := s.lines.Err(); err != nil {
		return line, err
	}
	return line, io.EOF
}

// Answer answers a message that the tap took. Declined leaves it to the app.
func (s *Stream) Answer(ctx context.Context, turn uint64, reply []byte, declined bool) error {
	query := tap.Answer{Endpoint: s.client.Endpoint, Tap: s.Hello.Tap, Turn: turn, Declined: declined}.Encode()
	response, err := s.ask(ctx, http.MethodPost, tap.AnswerPath, query, reply)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// Close ends the tap.
func (s *Stream) Close() {
	s.silent.Stop()
	s.cancel()
	if s.body != nil {
		_ = s.body.Close()
	}
	s.http.CloseIdleConnections()
}
