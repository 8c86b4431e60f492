// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/backend"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// makeCall builds the app's request from verified values and the configuration. Nothing of the client's head goes into
// it, so that no header of his can pass for one of the sidecar's. An unverified message goes with the query that it came with, and
// says why it would have been refused.
func (e *errand) makeCall() backend.Call {
	if e.decision.Unverified {
		call := e.callTo(e.request.RawQuery)
		call.Body, call.Header = e.message.Body, describeUnverified(e.account.config, e.message)
		return call
	}
	original := gate.Original{Body: e.message.Body}
	if e.decision.Backend.Payload == config.PayloadOriginal {
		original = e.account.gate.Original(e.message)
	}
	call := e.callTo(e.account.gate.URLQuery(e.message.PathID), original.Query)
	call.Body, call.Header = original.Body, describe(e.account.config, e.key, e.message, e.deadline)
	call.Header["Content-Type"] = []string{wechat.FormOf(original.Body).ContentType()}
	for name, value := range original.Header {
		call.Header[name] = []string{value}
	}
	if key := e.account.gatewayKey; len(key) > 0 {
		signature := gatewaySignature(key, e.request.Arrived, "POST", call.Target, call.Header, call.Body)
		call.Header["X-Wechat-Gateway-Signature"] = []string{signature}
	}
	return call
}

// callTo is a call to the app, still without the message. Its target is the app's own path, or the request's, and the queries.
func (e *errand) callTo(queries ...string) backend.Call {
	app, form := e.decision.Backend, e.message.Form
	call := backend.Call{Places: e.places, Room: e.bodies, Origin: app.URL, Target: cmp.Or(app.Path, e.request.Path), Deadline: e.deadline, MaxReply: e.maxReply(form)}
	if e.decision.Replies {
		call.Check = func(reply []byte) error { return wechat.CheckReply(reply, form) }
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

// maxReply bounds a reply to a message in that form. The longest of a bot's are beyond what all replies may have together.
func (c *callback) maxReply(message wechat.Form) int64 {
	return min(wechat.MaxReply(message), c.bodies.Most()-1)
}

// describe tells the app about a message. A value from within a message is told only if it is a plain word.
func describe(c config.Config, key memory.Key, message gate.Message, deadline time.Time) map[string][]string {
	appID := message.ReceiverID
	if appID == "" {
		appID = c.AppID
	}
	header := map[string][]string{
		"User-Agent":           {"wechatendpoint"},
		"X-Wechat-Verified":    {"true"},
		"X-Wechat-Endpoint":    {c.Endpoint},
		"X-Wechat-Platform":    {c.Platform},
		"X-Wechat-Delivery-Id": {hex.EncodeToString(key[:16])},
		"X-Wechat-Deadline":    {deadline.UTC().Format("2006-01-02T15:04:05.000Z")},
	}
	if message.Fields.Unreadable {
		header["X-Wechat-Fields"] = []string{"unreadable"}
	}
	for name, value := range map[string]string{
		"X-Wechat-App-Id":       appID,
		"X-Wechat-Path-App-Id":  message.PathID,
		"X-Wechat-Open-Id":      message.Fields.FromUserName,
		"X-Wechat-Message-Type": message.Fields.MsgType,
		"X-Wechat-Event":        message.Fields.Event,
	} {
		if plainWord(value) {
			header[name] = []string{value}
		}
	}
	return header
}

// describeUnverified tells the app why the message would have been refused.
func describeUnverified(c config.Config, message gate.Message) map[string][]string {
	return map[string][]string{
		"Content-Type":                 {message.Form.ContentType()},
		"User-Agent":                   {"wechatendpoint"},
		"X-Wechat-Verified":            {"false"},
		"X-Wechat-Verification-Reason": {string(message.Unverified.Reason)},
		"X-Wechat-Endpoint":            {c.Endpoint},
		"X-Wechat-Platform":            {c.Platform},
	}
}

// plainWord reports whether a value of a message may stand in a header: visible ASCII of moderate length.
func plainWord(value string) bool {
	return value != "" && len(value) <= 128 && !strings.ContainsFunc(value, func(r rune) bool { return r <= 0x20 || r > 0x7e })
}

// gatewaySignature lets an app that holds the gateway key know that a request came through this sidecar and is whole. It
// is t=SECONDS,v1=HEX, where HEX is the HMAC-SHA256 over these lines, each ended by a line feed: v1, the seconds, the
// method, the target, then name:value of every X-WeChat header in lower case and sorted by name, and the hexadecimal
// SHA-256 of the body.
func gatewaySignature(key []byte, now time.Time, method, target string, header map[string][]string, body []byte) string {
	seconds := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "v1\n%s\n%s\n%s\n", seconds, method, target)
	var lines []string
	for name, values := range header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-wechat-") {
			lines = append(lines, lower+":"+values[0]+"\n")
		}
	}
	slices.Sort(lines)
	fmt.Fprintf(mac, "%s%x\n", strings.Join(lines, ""), sha256.Sum256(body))
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
