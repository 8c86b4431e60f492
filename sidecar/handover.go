// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/door"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/metrics"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/peers"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Each message has one owner among the pods of a fleet. A callback that comes to another pod is handed over to it, once it is verified.

// Peers says where the pods of the fleet are. The zero value knows none: this is the only one.
type Peers struct {
	// Host is a name that leads to the addresses of all ready pods, and Port is their second one.
	Host string
	Port uint16
	// Lookup returns the addresses of a host; nil asks DNS.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Interval is about how long it is from one lookup to the next; zero is 5 s.
	Interval time.Duration
	// Patience is how long another pod is waited for until it takes a message; zero is 300 ms.
	Patience time.Duration
}

// ParsePeers reads HOST:PORT. Nothing is the zero value.
func ParsePeers(text string) (Peers, error) {
	if text == "" {
		return Peers{}, nil
	}
	host, port, err := net.SplitHostPort(text)
	number, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || host == "" || number == 0 {
		return Peers{}, fmt.Errorf("%q is not HOST:PORT", text)
	}
	return Peers{Host: host, Port: uint16(number)}, nil
}

func (s *Sidecar) joinFleet() {
	told := metrics.UsesTold(s.metrics, peers.TellResults)
	if p := s.options.Peers; p.Host != "" {
		s.peers = peers.New(peers.Options{
			Host: p.Host, Port: p.Port, Lookup: p.Lookup, Interval: p.Interval, Patience: p.Patience,
			InFlight: s.bounds.handovers, Failed: s.tellFailed, Unlisted: s.tellUnlisted,
			Greet: s.greet, CountTold: told,
		})
	}
	s.handovers = metrics.Handovers(s.metrics, peers.Results, func() int {
		if s.peers == nil {
			return 0
		}
		return s.peers.Others()
	})
}

// tellFailed logs, within bounds, that another pod does not take what it should.
func (s *Sidecar) tellFailed(pod netip.Addr, because peers.Result) {
	if s.failed.Allow() {
		s.options.Log.Warn("another pod of the fleet does not take messages and is left out for some seconds", "pod", pod, "result", because)
	}
}

// tellUnlisted logs, within bounds, that the other pods cannot be found.
func (s *Sidecar) tellUnlisted(err error) {
	if s.failed.Allow() {
		s.options.Log.Warn("the other pods of the fleet cannot be looked up; those that were known stay", "error", err)
	}
}

// handover is a callback that another pod has handed over.
type handover struct {
	peers.Request
	until    time.Time // when the other pod does not wait any more
	take     func()    // says that this pod has the message
	declined int       // why this pod does not answer; 0 if it does
}

// seekOwner finds the pod that remembers a callback for all of them, and reports whether that is another one than this. A callback
// that is not verified is nobody's, and the operator's own is for this very pod.
func (c *callback) seekOwner(ctx context.Context, message *gate.Message, err error) (answer Answer, elsewhere bool) {
	switch {
	case c.handover != nil:
		return Answer{}, !c.handover.concerns(c, message, err)
	case err != nil, c.peers == nil, c.account.peersKey == nil, message.Probe(), !c.isRemembered(message), c.remembers(message):
		return Answer{}, false
	}
	asks := c.peers.Order(message.OwnerKey(c.account.config.Endpoint))
	if len(asks) == 0 {
		return Answer{}, false
	}
	if !c.handing.Take("", 0, 1, time.Now()) {
		c.handovers(peers.Busy)
		return Answer{}, false
	}
	defer c.handing.Give("", 1)
	return c.handOver(ctx, message, asks)
}

// isRemembered reports whether anything is remembered of a callback: the use of its signature, or what the app answered.
func (c *callback) isRemembered(message *gate.Message) bool {
	return message.Bind || !message.URLCheck() && !c.decide(message).Discard
}

// remembers reports whether this pod remembers it.
func (c *callback) remembers(message *gate.Message) bool {
	if message.Bind {
		return c.memory.Used(message.Query.Signature, c.now)
	}
	return c.memory.Claimed(message.Key(c.account.config.Endpoint), c.now)
}

// handoverSlack is how much later than the deadline another pod's answer may come.
const handoverSlack = 100 * time.Millisecond

// handOver asks other pods to take the callback, one after the other. It reports false if none did: then this pod takes it.
func (c *callback) handOver(ctx context.Context, message *gate.Message, asks []peers.Ask) (answer Answer, elsewhere bool) {
	decision := c.decide(message)
	body, deadline := c.parcel.body, c.deadline(decision)
	if !c.parcel.move(c.bodies, decision.Backend.URL, message.Forms()) {
		return c.refuse(errOverloaded), true
	}
	c.request.Body = func() ([]byte, error) { return body, nil } // an audit may want it
	door.Proven(ctx)
	if message.Trial() {
		deadline = c.request.Arrived.Add(awaitRetryPatience)
	}
	call := peers.Call{
		Request: peers.Request{
			Method: c.request.Method, Host: c.request.Host, Path: c.request.Path, RawQuery: c.request.RawQuery,
			Header: c.payHeader(), Digest: sha256.Sum256(body),
		},
		Body: body, Key: c.account.peersKey, Until: deadline.Add(handoverSlack), MaxAnswer: maxSealed(c.maxReply(message.Form)),
	}
	for _, ask := range asks {
		room := &parcel{budget: c.bodies, app: decision.Backend.URL, deadline: deadline}
		call.Room = func(size int64) bool { return room.hold(size - freeBody) }
		call.Request.Age = time.Since(c.request.Arrived)
		got, result := c.peers.Ask(ctx, ask, call)
		c.handovers(result)
		if result == peers.Answered {
			return Answer{
				Status: got.Status, ContentType: got.ContentType, Body: got.Body, Outcome: got.Outcome,
				Refused: got.Status == statusRefused, room: room,
			}, true
		}
		room.free()
		switch {
		case result == peers.NoRoom:
			return c.refuse(errOverloaded), true
		case result == peers.Left: // the other pod counts it
			return c.fail(statusAgain), true
		case time.Now().After(deadline):
			c.conclude(message, outcome.Report{Outcome: outcome.TimedOut, Took: time.Since(c.request.Arrived)})
			return c.fail(statusAgain), true
		}
	}
	return Answer{}, false
}

// maxSealed is how long a reply of so many bytes may be that another pod has sealed: base64, an envelope, and what is encrypted with it.
func maxSealed(reply int64) int64 { return reply/3*4 + 4<<10 }

// payHeader is what a callback of Pay has in its head.
func (c *callback) payHeader() map[string][]string {
	header := map[string][]string{}
	for _, name := range wechat.PayHeaders {
		if values := c.request.Header[name]; values != nil {
			header[name] = values
		}
	}
	return header
}

// takeHandover answers a callback that another pod hands over, as if it had come by this pod's own door. It returns the key that signs
// the answer; or, in place of both, the status of a pod that does not answer.
func (s *Sidecar) takeHandover(ctx context.Context, r peers.Request, stream io.Reader, length int64, take func(key []byte)) (answer Answer, key []byte, declined int) {
	came := time.Now()
	request := gate.Request{
		Method: r.Method, Host: r.Host, Path: r.Path, RawQuery: r.RawQuery, Header: r.Header,
		Stream: stream, Length: length, Arrived: came.Add(-r.Age),
	}
	a := s.table.Load().find(&request)
	if a == nil {
		return Answer{}, nil, peers.StatusElsewhere
	}
	key = a.peersKey
	switch {
	case !r.Verify(key), !s.peers.IsOwn(r.To):
		return Answer{}, nil, peers.StatusForged
	case length < 0, !a.endpoint.handing.Take("", 0, 1, came):
		return Answer{}, nil, peers.StatusFull
	}
	defer a.endpoint.handing.Give("", 1)
	r.IfHeld = r.IfHeld || s.draining.Load()
	h := &handover{Request: r, until: came.Add(s.peers.Patience()), take: func() { take(key) }}
	c := a.newCallback(&request)
	c.handover = h
	return c.answer(ctx), key, h.declined
}

// concerns reports whether the callback is for this pod: its own check passes it, and it remembers what it is asked for.
func (h *handover) concerns(c *callback, message *gate.Message, err error) bool {
	switch {
	case err != nil || message.Probe():
		h.declined = peers.StatusRefused
	case h.IfHeld && !c.remembers(message):
		h.declined = peers.StatusNotHeld
	}
	return h.declined == 0
}

// takes says to the other pod that this one has the message, unless that does not wait any more. It reports whether the message goes on;
// one that came by this pod's own door always does.
func (h *handover) takes(ctx context.Context) bool {
	switch {
	case h == nil:
		return true
	case door.Gone(ctx) || time.Now().After(h.until):
		h.declined = peers.StatusFull
		return false
	}
	h.take()
	return true
}

// declines leaves a message to the other pod for which there is no room; one that came by this pod's own door is refused.
func (h *handover) declines(refuse func(error) Answer, err error) Answer {
	if h == nil {
		return refuse(err)
	}
	h.declined = peers.StatusFull
	return Answer{}
}

// read returns a body that is the one that the other pod has signed.
func (h *handover) read(body []byte, err error) ([]byte, error) {
	if h != nil && err == nil && sha256.Sum256(body) != h.Digest {
		return nil, errors.New("the body is not the one that was signed")
	}
	return body, err
}

// patience is how long room for a body is waited for.
func (c *callback) patience() time.Time {
	if c.handover != nil {
		return c.handover.until
	}
	return c.request.Arrived.Add(bodyPatience)
}
