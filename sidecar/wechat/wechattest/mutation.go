// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechattest

import (
	"net/http"
	"strconv"
	"time"
)

// Mutation changes one thing about a request before it is signed. Mutations may come in any order; of two that say
// different things about the same field the later one counts.
type Mutation func(*draft)

// WithTimestamp sends and signs this timestamp.
func WithTimestamp(timestamp string) Mutation {
	return func(d *draft) { d.timestamp = timestamp }
}

// WithTime sends and signs this time.
func WithTime(t time.Time) Mutation {
	return WithTimestamp(strconv.FormatInt(t.Unix(), 10))
}

// WithNonce sends and signs this nonce.
func WithNonce(nonce string) Mutation {
	return func(d *draft) { d.nonce = nonce }
}

// WithToken signs with another token than the Sender's.
func WithToken(token string) Mutation {
	return func(d *draft) { d.token = token }
}

// WithSignature sends this in place of the signature.
func WithSignature(forged string) Mutation {
	return func(d *draft) { d.signature = &forged }
}

// WithEchostr sends this echostr, also on a POST, where WeChat never has one.
func WithEchostr(echostr string) Mutation {
	return func(d *draft) { d.echostr = &echostr }
}

// WithOpenID sends this openid. The signature does not cover it.
func WithOpenID(openid string) Mutation {
	return func(d *draft) { d.openid = &openid }
}

// WithoutParameter leaves out a parameter of WeChat's.
func WithoutParameter(name string) Mutation {
	return func(d *draft) { d.without = append(d.without, name) }
}

// WithParameter adds a parameter after WeChat's. The signature does not cover it.
func WithParameter(name, value string) Mutation {
	return func(d *draft) { d.extra = append(d.extra, parameter{name, value}) }
}

// WithDuplicate sends a parameter a second time, after the signed ones, which is how a smuggler hopes that the gateway
// checks the first and the app reads the last.
func WithDuplicate(name, value string) Mutation {
	return WithParameter(name, value)
}

// WithQuery sends this raw query in place of every parameter.
func WithQuery(raw string) Mutation {
	return func(d *draft) { d.query = &raw }
}

// WithMethod sends another method.
func WithMethod(method string) Mutation {
	return func(d *draft) { d.method = method }
}

// WithPath sends another path than the URL's, as it is.
func WithPath(path string) Mutation {
	return func(d *draft) { d.path = path }
}

// WithHost sends another Host header; empty sends none. The TLS server name stays the Sender's.
func WithHost(host string) Mutation {
	return func(d *draft) { d.host = host }
}

// WithHeader sends a header field with these values in place of those it had; without values it is left out.
func WithHeader(name string, values ...string) Mutation {
	return func(d *draft) {
		name := http.CanonicalHeaderKey(name)
		if delete(d.header, name); len(values) > 0 {
			d.header[name] = values
		}
	}
}

// WithBody sends this body. The signature does not cover it.
func WithBody(body []byte) Mutation {
	return func(d *draft) { d.body = body }
}

// WithContentLength announces n bytes of body, whatever is sent.
func WithContentLength(n int64) Mutation {
	return func(d *draft) { d.announced = &n }
}

// WithChunks sends the body in chunks, without a Content-Length.
func WithChunks() Mutation {
	return func(d *draft) { d.chunked = true }
}

// WithPause waits between the two halves of the body.
func WithPause(pause time.Duration) Mutation {
	return func(d *draft) { d.pause = pause }
}

// WithHTTP10 speaks HTTP/1.0, as some of WeChat's servers were seen to do.
func WithHTTP10() Mutation {
	return func(d *draft) { d.proto = "HTTP/1.0" }
}
