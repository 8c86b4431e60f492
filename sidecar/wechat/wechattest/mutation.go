// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package wechattest is for tests only, and no product is linked with it: an endpoint that is correct, and mutations, each of which
// breaks a request of a caller.Sender in one deliberate way.
package wechattest

import (
	"net/http"
	"strconv"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// WithTimestamp sends and signs this timestamp.
func WithTimestamp(timestamp string) caller.Mutation {
	return func(d *caller.Draft) { d.Timestamp = timestamp }
}

// WithTime sends and signs this time.
func WithTime(t time.Time) caller.Mutation {
	return WithTimestamp(strconv.FormatInt(t.Unix(), 10))
}

// WithNonce sends and signs this nonce.
func WithNonce(nonce string) caller.Mutation {
	return func(d *caller.Draft) { d.Nonce = nonce }
}

// WithToken signs with another token than the Sender's.
func WithToken(token string) caller.Mutation {
	return func(d *caller.Draft) { d.Token = token }
}

// WithSignature sends this in place of the signature.
func WithSignature(forged string) caller.Mutation {
	return func(d *caller.Draft) { d.Signature = &forged }
}

// WithEchostr sends this echostr, also on a POST, where WeChat never has one.
func WithEchostr(echostr string) caller.Mutation {
	return func(d *caller.Draft) { d.Echostr = &echostr }
}

// WithOpenID sends this openid. The signature does not cover it.
func WithOpenID(openid string) caller.Mutation {
	return func(d *caller.Draft) { d.OpenID = &openid }
}

// WithoutParameter leaves out a parameter of WeChat's.
func WithoutParameter(name string) caller.Mutation {
	return func(d *caller.Draft) { d.Without = append(d.Without, name) }
}

// WithParameter adds a parameter after WeChat's. The signature does not cover it.
func WithParameter(name, value string) caller.Mutation {
	return func(d *caller.Draft) { d.Extra = append(d.Extra, caller.Parameter{Name: name, Value: value}) }
}

// WithDuplicate sends a parameter a second time, after the signed ones, which is how a smuggler hopes that the gateway
// checks the first and the app reads the last.
func WithDuplicate(name, value string) caller.Mutation {
	return WithParameter(name, value)
}

// WithQuery sends this raw query in place of every parameter.
func WithQuery(raw string) caller.Mutation {
	return func(d *caller.Draft) { d.Query = &raw }
}

// WithMethod sends another method.
func WithMethod(method string) caller.Mutation {
	return func(d *caller.Draft) { d.Method = method }
}

// WithPath sends another path than the URL's, as it is.
func WithPath(path string) caller.Mutation {
	return func(d *caller.Draft) { d.Path = path }
}

// WithHost sends another Host header; empty sends none. The TLS server name stays the Sender's.
func WithHost(host string) caller.Mutation {
	return func(d *caller.Draft) { d.Host = host }
}

// WithHeader sends a header field with these values in place of those it had; without values it is left out.
func WithHeader(name string, values ...string) caller.Mutation {
	return func(d *caller.Draft) {
		name := http.CanonicalHeaderKey(name)
		if delete(d.Header, name); len(values) > 0 {
			d.Header[name] = values
		}
	}
}

// WithBody sends this body. The signature does not cover it.
func WithBody(body []byte) caller.Mutation {
	return func(d *caller.Draft) { d.Body = body }
}

// WithContentLength announces n bytes of body, whatever is sent.
func WithContentLength(n int64) caller.Mutation {
	return func(d *caller.Draft) { d.Announced = &n }
}

// WithChunks sends the body in chunks, without a Content-Length.
func WithChunks() caller.Mutation {
	return func(d *caller.Draft) { d.Chunked = true }
}

// WithPause waits between the two halves of the body.
func WithPause(pause time.Duration) caller.Mutation {
	return func(d *caller.Draft) { d.Pause = pause }
}

// WithHTTP10 speaks HTTP/1.0, as some of WeChat's servers were seen to do.
func WithHTTP10() caller.Mutation {
	return func(d *caller.Draft) { d.Proto = "HTTP/1.0" }
}

// WithSerial names another key of Pay than the one that signs.
func WithSerial(serial string) caller.Mutation {
	return func(d *caller.Draft) { d.Serial = serial }
}
