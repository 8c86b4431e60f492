// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gate decides about every callback. It is pure: it knows no server, no clock and no store, and everything that
// a hostile request can do to the decision can be tried by calling Check.
package gate

import (
	"strconv"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Gate checks callbacks against one configuration and its credentials. It is immutable and safe for concurrent use.
type Gate struct {
	config config.Config
	pairs  []config.Pair
}

// New returns the Gate of a configuration and its credentials.
func New(c config.Config, credentials config.Credentials) *Gate {
	return &Gate{config: c, pairs: credentials.Pairs}
}

// Request is what the gate needs to know of an HTTP request.
type Request struct {
	Method   string
	Host     string // as sent, perhaps with a port
	Path     string // as sent, escapes and all
	RawQuery string // as sent, without the question mark
	// Body returns the whole body. It is called only for a message whose query is verified, so that nobody without the
	// token makes the sidecar hold his bytes. Its error is returned by Check as it is.
	Body func() ([]byte, error)
}

// Message is a verified callback.
type Message struct {
	// Triple is what was verified. It must be bound to its first use, which only a store of used ones can see.
	Triple wechat.Triple
	// Pair is the generation of the credentials that verified it.
	Pair int64
	// Echostr is the answer to a URL check, empty for a message.
	Echostr string
	// Body is the message, byte for byte; nil for a URL check.
	Body []byte
	// StaleAt is when the timestamp will be too old to be accepted again.
	StaleAt time.Time
}

// URLCheck reports whether the callback is the GET that WeChat sends when the form of the console is submitted.
func (m Message) URLCheck() bool { return m.Echostr != "" }

// Check returns the verified message of a request, or a *wechat.Refusal, or the error of r.Body. Cheap checks come first, and nothing of the body
// is read before the signature holds.
//
// What is refused does not depend on anything that the client says about the mode or the credentials: a mode comes from
// the configuration, so that leaving parameters out cannot talk the gate down to a weaker check.
func (g *Gate) Check(r Request, now time.Time) (Message, error) {
	if !g.serves(r.Host, r.Path) {
		return Message{}, wechat.Refuse(wechat.ReasonUnknownURL, "not the host and path of this endpoint; compare the URL in the console with status.url")
	}
	if r.Method != "GET" && r.Method != "POST" {
		return Message{}, wechat.Refuse(wechat.ReasonMalformed, "WeChat uses GET and POST only")
	}
	query, err := wechat.ParseQuery(r.RawQuery)
	if err != nil {
		return Message{}, err
	}
	staleAt, err := g.freshUntil(query.Timestamp, now)
	if err != nil {
		return Message{}, err
	}
	pair, ok := g.verify(query.Triple)
	if !ok {
		return Message{}, wechat.Refuse(wechat.ReasonBadSignature, "signed with a token that is not the Secret's; compare it with Token in the console")
	}
	message := Message{Triple: query.Triple, Pair: pair, StaleAt: staleAt}
	if r.Method == "GET" {
		message.Echostr, err = echo(query)
	} else {
		message.Body, err = read(r, query)
	}
	if err != nil {
		return Message{}, err
	}
	return message, nil
}

// serves compares host and path with the configured ones. The path is compared as sent: an encoded slash or a dot segment
// is another path.
func (g *Gate) serves(host, path string) bool {
	if g.config.Host != "" {
		name, _, _ := strings.Cut(host, ":")
		if !strings.EqualFold(name, g.config.Host) {
			return false
		}
	}
	return path == g.config.Path || len(path) == len(g.config.Path)+1 && path[len(path)-1] == '/' && path[:len(path)-1] == g.config.Path
}

// freshUntil returns when the timestamp will be stale, or refuses it if it is already, or is as far in the future. The
// check comes before the signature, which costs more, and says nothing that the client did not know.
func (g *Gate) freshUntil(timestamp string, now time.Time) (time.Time, error) {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return time.Time{}, wechat.Refuse(wechat.ReasonMalformed, "parameter timestamp is not a number of seconds")
	}
	sent, window := time.Unix(seconds, 0), time.Duration(g.config.Freshness)
	if age := now.Sub(sent); age > window || age < -window {
		return time.Time{}, wechat.Refuse(wechat.ReasonStale, "the timestamp is outside of verification.freshness; if WeChat's own are refused, check the node's clock")
	}
	return sent.Add(window), nil
}

// verify tries every accepted pair, always all of them, so that the time does not tell which one matched.
func (g *Gate) verify(t wechat.Triple) (pair int64, ok bool) {
	for _, p := range g.pairs {
		if wechat.Verify(t.Signature, p.Token, t.Timestamp, t.Nonce) && !ok {
			pair, ok = p.Generation, true
		}
	}
	return pair, ok
}

func echo(query wechat.Query) (string, error) {
	if query.Echostr == "" {
		return "", wechat.Refuse(wechat.ReasonMalformed, "a GET without echostr is no URL check")
	}
	return query.Echostr, nil
}

// read takes the body of a message in plaintext mode. An encrypted message is refused, although its signature holds: the
// app behind could not read it.
func read(r Request, query wechat.Query) ([]byte, error) {
	if query.EncryptType != "" && query.EncryptType != "raw" {
		return nil, wechat.Refuse(wechat.ReasonWrongMode, "the console sends encrypted messages and this endpoint is in plaintext mode; choose 明文模式 in the console")
	}
	body, err := r.Body()
	switch {
	case err != nil:
		return nil, err
	case len(body) == 0:
		return nil, wechat.Refuse(wechat.ReasonMalformed, "a POST without a body is no message")
	}
	return body, nil
}
