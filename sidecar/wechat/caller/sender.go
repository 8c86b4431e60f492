// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package caller plays WeChat's server against a callback URL.
//
// A Sender signs with its Token and calls its URL as WeChat does, or with a key as WeChat Pay does. Scenarios are the
// messages of WeChat's documentation with the answers that it asks for. Package diagnose judges an answer as WeChat would:
//
//	sender := caller.Sender{URL: server.URL + "/weixin", Token: token}
//	answer, err := sender.URLCheck(ctx)
//	refusal := diagnose.URLCheck(answer, err) // nil: WeChat would accept the URL
//
// Requests are written to the connection byte by byte, not by net/http's client, which would refuse to send most of
// what an attacker sends (package wechattest).
package caller

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Timeout is 5 seconds: then WeChat hangs up (its developer documentation, on passive replies).
const Timeout = 5 * time.Second

// Tries is how often WeChat sends a message in all, as users of other libraries report and one published access log
// shows; the documentation speaks of three retries.
const Tries = 3

// DefaultAccount is the ToUserName of a text message, an account's original ID (原始ID).
const DefaultAccount = "gh_7f083739789a"

// Sender plays WeChat's server. The zero value of every field but URL and Token is what WeChat does. A Sender may be
// used by many goroutines as long as nobody changes it.
type Sender struct {
	// URL is the callback URL, as it is entered in the console: absolute, http or https. A query is kept, and WeChat's
	// parameters follow it.
	URL string
	// Token is the console's Token. It is never part of an error or an Answer.
	Token string
	// Account is the ToUserName of text messages; empty is DefaultAccount.
	Account string

	// EncodingAESKey is the console's 43 characters; empty sends plaintext.
	EncodingAESKey string
	// ReceiverID stands behind an encrypted message: the AppID, CorpID or suite's id. Empty for WeCom's bots.
	ReceiverID string
	// Form is the notation of the envelope.
	Form wechat.Form
	// WeCom signs with msg_signature alone, and encrypts the echostr too.
	WeCom bool
	// Cleartext puts the message beside its Encrypt, as the compatible mode does.
	Cleartext bool

	// Pay makes the Sender play WeChat Pay; Token, the encoding key and what follows it up to here are not used then.
	Pay *PayAccount

	// Host replaces the URL's host in the Host header, and in the TLS server name without its port.
	Host string
	// Address is the host:port to dial in place of the URL's, which is then not looked up in DNS.
	Address string
	// Dial makes the connection in place of a plain TCP one; TLS for https goes over it. Nil dials TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Timeout bounds one call from the look-up in DNS to the last byte of the answer; 0 is the constant Timeout.
	Timeout time.Duration
	// RootCAs are trusted for https; nil is the computer's own set.
	RootCAs *x509.CertPool

	// Now is the clock of timestamps; nil is time.Now.
	Now func() time.Time
	// Nonce makes the nonces; nil makes ten random digits.
	Nonce func() string
}

// Answer is what came back.
type Answer struct {
	// Status is the HTTP status code, 0 when none came.
	Status int
	// Header is the answer's header.
	Header http.Header
	// Body is the body as sent, never decompressed, as far as the longest reply that WeChat documents.
	Body []byte
	// Truncated says that the body is longer.
	Truncated bool

	// Echostr is the echostr that a URL check sent, empty otherwise.
	Echostr string
	// From is the openid that a message came from, empty otherwise.
	From string
	// Remote is the address that answered, as host:port; empty when no connection was made.
	Remote string
	// Sent is when the request was made, by the clock of the Sender.
	Sent time.Time
	// Elapsed is the time from the look-up in DNS to the last byte, or to the error.
	Elapsed time.Duration

	// Encrypted says that the request was, and Form is that of the messages, which replies follow.
	Encrypted bool
	Form      wechat.Form
	// Sealed says that the body was sealed, and is opened.
	Sealed bool

	hidden []string // the token, the keys and the signatures
}

// Redact replaces the Sender's token and keys and the request's signature in text, for showing what a server sent: an app can
// answer with its own configuration or with the request.
func (a Answer) Redact(text string) string {
	for _, secret := range a.hidden {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	return text
}

// Report is what the sidecar says of a message that was played, after it was verified; false where nobody says anything, as WeChat
// is told nothing.
func (a Answer) Report() (outcome.Report, bool) { return outcome.Parse(a.Header.Get(outcome.Header)) }

// URLCheck does what WeChat does when the console's form is submitted. An error means that no whole answer came; what
// is known of the Answer is returned with it.
func (s *Sender) URLCheck(ctx context.Context, mutations ...Mutation) (Answer, error) {
	request, err := s.NewURLCheck(mutations...)
	if err != nil {
		return Answer{}, err
	}
	return s.Send(ctx, request)
}

// Text sends a text message of the user with the openid from, once. Errors are as in URLCheck.
func (s *Sender) Text(ctx context.Context, from, content string, mutations ...Mutation) (Answer, error) {
	request, err := s.NewText(from, content, mutations...)
	if err != nil {
		return Answer{}, err
	}
	return s.Send(ctx, request)
}

// Post sends body with a signed query and no openid, once. Errors are as in URLCheck.
func (s *Sender) Post(ctx context.Context, body []byte, mutations ...Mutation) (Answer, error) {
	request, err := s.NewPost(body, mutations...)
	if err != nil {
		return Answer{}, err
	}
	return s.Send(ctx, request)
}

// Attempt is one try of a delivery.
type Attempt struct {
	Answer Answer
	Err    error
}

// Deliver sends a message as WeChat delivers it: until it is answered with 200 in time, at most Tries times, each time
// with the same timestamp and nonce and at once after the last. (That the query is the same is observed in one published
// access log, where a 201 was retried; what follows 5 seconds of silence is not documented.) Pay takes 204 too; it signs each
// try anew, and waits longer and longer between them, which is not played.
func (s *Sender) Deliver(ctx context.Context, request *Request) []Attempt {
	var attempts []Attempt
	for range Tries {
		answer, err := s.Send(ctx, request)
		attempts = append(attempts, Attempt{answer, err})
		taken := answer.Status == http.StatusOK || s.Pay != nil && answer.Status == http.StatusNoContent
		if err == nil && taken || ctx.Err() != nil {
			break
		}
	}
	return attempts
}

func (s *Sender) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Sender) nonce() string {
	if s.Nonce != nil {
		return s.Nonce()
	}
	return digits(10)
}

func (s *Sender) account() string {
	if s.Account != "" {
		return s.Account
	}
	return DefaultAccount
}

func (s *Sender) timeout() time.Duration {
	if s.Timeout > 0 {
		return s.Timeout
	}
	return Timeout
}

// digits makes a random number of n digits that does not begin with 0.
func digits(n int64) string {
	low := new(big.Int).Exp(big.NewInt(10), big.NewInt(n-1), nil)
	random, err := rand.Int(rand.Reader, new(big.Int).Mul(low, big.NewInt(9)))
	if err != nil {
		panic(err) // crypto/rand never fails on the platforms that Go supports
	}
	return random.Add(random, low).String()
}
