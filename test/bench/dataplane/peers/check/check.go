// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package check is what the peers that are written in Go verify: the signature, and the timestamp's age. They remember nothing.
package check

import (
	"bytes"
	"strconv"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// window is how old a timestamp may be, and how far ahead.
const window = 5 * time.Minute

// Checker verifies one account's requests. It is safe for concurrent use.
type Checker struct {
	token string
	key   *wechat.Key
}

// Triple is what a query says of a request.
type Triple struct{ Signature, Timestamp, Nonce string }

// New returns a checker for a token and an EncodingAESKey.
func New(token, encodingAESKey string) (*Checker, error) {
	key, err := wechat.ParseEncodingAESKey(encodingAESKey)
	return &Checker{token, key}, err
}

func fresh(timestamp string, now time.Time) bool {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	return err == nil && now.Sub(time.Unix(seconds, 0)).Abs() <= window
}

// Plaintext reports whether a message in plaintext mode, or a URL check, is signed.
func (c *Checker) Plaintext(t Triple, now time.Time) bool {
	return fresh(t.Timestamp, now) && wechat.Verify(t.Signature, c.token, t.Timestamp, t.Nonce)
}

// Envelope reports whether the Encrypt of an envelope is signed.
func (c *Checker) Envelope(t Triple, body []byte, now time.Time) bool {
	_, ok := c.encrypt(t, body, now)
	return ok
}

// Open returns the message of an envelope that is signed.
func (c *Checker) Open(t Triple, body []byte, now time.Time) (message []byte, ok bool) {
	encrypt, ok := c.encrypt(t, body, now)
	if !ok {
		return nil, false
	}
	opened, err := c.key.Open(encrypt)
	return opened.Message, err == nil
}

func (c *Checker) encrypt(t Triple, body []byte, now time.Time) (text []byte, ok bool) {
	_, rest, found := bytes.Cut(body, []byte("<Encrypt><![CDATA["))
	text, _, ended := bytes.Cut(rest, []byte("]]></Encrypt>"))
	return text, found && ended && fresh(t.Timestamp, now) && wechat.VerifyEncrypt(t.Signature, c.token, t.Timestamp, t.Nonce, text)
}
