// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/backend"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// makeCall builds the app's request from verified values and the configuration. Nothing of the client's head goes into
// it, so that no header of his can pass for one of the sidecar's. An unverified message goes with the query that it came with, and
// says why it would have been refused. The call's fields are in f.
func (e *errand) makeCall(f *fields) backend.Call {
	if e.decision.Unverified {
		call := e.callTo(e.request.RawQuery)
		f.describeUnverified(&e.account.config, e.message)
		call.Body, call.Fields = e.message.Body, f.head
		return call
	}
	original := gate.Original{Body: e.message.Body}
	if e.decision.Backend.Payload == config.PayloadOriginal {
		original = e.account.gate.Original(e.message)
	}
	call := e.callTo(e.account.gate.URLQuery(e.message.PathID), original.Query)
	f.tell("Content-Type", wechat.FormOf(original.Body).ContentType())
	for name, value := range original.Header {
		f.tell(name, value)
	}
	f.sign(e.account.gatewayKey, e.request.Arrived, "POST", call.Target)
	f.describe(&e.account.config, &e.key, e.message, e.deadline)
	f.signed(original.Body)
	call.Body, call.Fields = original.Body, f.head
	return call
}

// callTo is a call to the app, still without the message. Its target is the app's own path, or the request's, and the queries.
func (e *errand) callTo(queries ...string) backend.Call {
	app, form := &e.decision.Backend, e.message.Form
	call := backend.Call{Places: e.places, Room: e.bodies, Origin: app.URL, Target: cmp.Or(app.Path, e.request.Path), Deadline: e.deadline, MaxReply: e.maxReply(form)}
	if e.decision.Replies {
		call.Check = checks[form]
	}
	separator := "?"
	for _, query := range queries {
		if query != "" {
			call.Target += separator + query
			separator = "&"
		}
	}
	if app.TLS != nil {
		call.Identity = backend.Identity{CA: app.TLS.CA, ServerName: app.TLS.ServerName}
	}
	return call
}

// checks are of the replies to messages in each form.
var checks = func() (all [wechat.FormOther + 1]func(reply []byte) error) {
	for form := range all {
		all[form] = func(reply []byte) error { return wechat.CheckReply(reply, wechat.Form(form)) }
	}
	return all
}()

// maxReply bounds a reply to a message in that form. The longest of a bot's are beyond what all replies may have together.
func (c *callback) maxReply(message wechat.Form) int64 {
	return min(wechat.MaxReply(message), c.bodies.Most()-1)
}

// fields are the header fields of one request to an app, as they are written, and what of them is signed.
type fields struct {
	head []byte

	signs bool
	at    int64  // seconds since 1970
	lines []byte // to be signed
	// mac is keyed with the key that begins there. Most requests are of the same endpoint as the last one.
	mac hash.Hash
	key *byte
}

var fieldsPool = sync.Pool{New: func() any { return &fields{head: make([]byte, 0, 1<<10), lines: make([]byte, 0, 1<<10)} }}

func newFields() *fields {
	f := fieldsPool.Get().(*fields)
	f.head, f.lines, f.signs = f.head[:0], f.lines[:0], false
	return f
}

func (f *fields) free() { fieldsPool.Put(f) }

// tell adds a field. A value that could be read as more than one is left out: none of the sidecar's own is like that.
func (f *fields) tell(name, value string) {
	if strings.ContainsAny(value, "\r\n\x00") {
		return
	}
	f.head = append(append(append(append(f.head, name...), ": "...), value...), "\r\n"...)
}

// wechat adds a field of the sidecar's own, which is signed. They are added in the order of their names, which begin with X-Wechat-.
func (f *fields) wechat(name, value string) {
	before := len(f.head)
	f.tell(name, value)
	if !f.signs || len(f.head) == before {
		return
	}
	for i := range len(name) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		f.lines = append(f.lines, c)
	}
	f.lines = append(append(append(f.lines, ':'), value...), '\n')
}

// word adds a value from within a message, if it is a plain word.
func (f *fields) word(name, value string) {
	if plainWord(value) {
		f.wechat(name, value)
	}
}

// describe tells the app about a message. A value from within a message is told only if it is a plain word.
func (f *fields) describe(c *config.Config, key *memory.Key, message *gate.Message, deadline time.Time) {
	var array [64]byte
	f.tell("User-Agent", "wechatendpoint")
	f.word("X-Wechat-App-Id", cmp.Or(message.ReceiverID, c.AppID))
	f.wechat("X-Wechat-Deadline", string(deadline.UTC().AppendFormat(array[:0], "2006-01-02T15:04:05.000Z")))
	f.wechat("X-Wechat-Delivery-Id", string(hex.AppendEncode(array[:0], key[:16])))
	f.wechat("X-Wechat-Endpoint", c.Endpoint)
	f.word("X-Wechat-Event", message.Fields.Event)
	if message.Fields.Unreadable {
		f.wechat("X-Wechat-Fields", "unreadable")
	}
	f.word("X-Wechat-Message-Type", message.Fields.MsgType)
	f.word("X-Wechat-Open-Id", message.Fields.FromUserName)
	f.word("X-Wechat-Path-App-Id", message.PathID)
	f.wechat("X-Wechat-Platform", c.Platform)
	f.wechat("X-Wechat-Verified", "true")
}

// describeUnverified tells the app why the message would have been refused.
func (f *fields) describeUnverified(c *config.Config, message *gate.Message) {
	f.tell("Content-Type", message.Form.ContentType())
	f.tell("User-Agent", "wechatendpoint")
	f.wechat("X-Wechat-Endpoint", c.Endpoint)
	f.wechat("X-Wechat-Platform", c.Platform)
	f.wechat("X-Wechat-Verification-Reason", string(message.Unverified.Reason))
	f.wechat("X-Wechat-Verified", "false")
}

// plainWord reports whether a value of a message may stand in a header: visible ASCII of moderate length.
func plainWord(value string) bool {
	for _, r := range []byte(value) {
		if r <= 0x20 || r > 0x7e {
			return false
		}
	}
	return len(value) <= 128 && value != ""
}

// sign begins the signature that lets an app which holds the gateway key know that a request came through this sidecar and is whole. It
// is t=SECONDS,v1=HEX, where HEX is the HMAC-SHA256 over these lines, each ended by a line feed: v1, the seconds, the
// method, the target, then name:value of every X-WeChat header in lower case and sorted by name, and the hexadecimal
// SHA-256 of the body. Without a key nothing is signed.
func (f *fields) sign(key []byte, now time.Time, method, target string) {
	if f.signs = len(key) > 0; !f.signs {
		return
	}
	if f.key != &key[0] { // the last one was another's
		f.key, f.mac = &key[0], hmac.New(sha256.New, key)
	}
	f.at = now.Unix()
	f.lines = strconv.AppendInt(append(f.lines, "v1\n"...), f.at, 10)
	f.lines = append(append(append(append(append(f.lines, '\n'), method...), '\n'), target...), '\n')
}

// signed ends the signature and adds it.
func (f *fields) signed(body []byte) {
	if !f.signs {
		return
	}
	digest := sha256.Sum256(body)
	f.lines = append(hex.AppendEncode(f.lines, digest[:]), '\n')
	f.mac.Reset()
	f.mac.Write(f.lines)
	end := len(f.lines)
	f.lines = f.mac.Sum(f.lines)
	f.head = strconv.AppendInt(append(f.head, "X-Wechat-Gateway-Signature: t="...), f.at, 10)
	f.head = hex.AppendEncode(append(f.head, ",v1="...), f.lines[end:])
	f.head = append(f.head, "\r\n"...)
}
