// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

const token, older = "a-fine-token", "an-older-token"

var now = time.Unix(1_700_000_000, 0)

func newGate() *Gate {
	return New(config.Config{Platform: config.PlatformOfficialAccount, MessageMode: config.ModePlaintext, Host: "wx.example.com", Path: "/weixin"},
		config.Credentials{Pairs: []config.Pair{{Generation: 2, Token: token}, {Generation: 1, Token: older}}})
}

// request is a signed message; a row of the table breaks it.
type request struct {
	method, host, path, token, nonce, more, body string
	age                                          time.Duration
}

func (r request) gate() Request {
	timestamp := strconv.FormatInt(now.Add(-r.age).Unix(), 10)
	return Request{
		Method: r.method, Host: r.host, Path: r.path,
		RawQuery: "signature=" + wechat.Sign(r.token, timestamp, r.nonce) + "&timestamp=" + timestamp + "&nonce=" + r.nonce + r.more,
		Body:     func() ([]byte, error) { return []byte(r.body), nil },
	}
}

// checked returns the message that Check makes, or nil where that is zero.
func (g *Gate) checked(r Request, now time.Time) (*Message, error) {
	m := &Message{Body: []byte("of an earlier request")}
	err := g.Check(m, r, now)
	if reflect.ValueOf(*m).IsZero() {
		return nil, err
	}
	return m, err
}

func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		edit    func(*request)
		refused wechat.Reason
		pair    int64
	}{
		"a message":                                {func(*request) {}, "", 2},
		"signed with the older token":              {func(r *request) { r.token = older }, "", 1},
		"signed with another token":                {func(r *request) { r.token = "forged" }, wechat.ReasonBadSignature, 0},
		"signed with no token":                     {func(r *request) { r.token = "" }, wechat.ReasonBadSignature, 0},
		"as old as allowed":                        {func(r *request) { r.age = 5 * time.Minute }, "", 2},
		"a second older":                           {func(r *request) { r.age = 5*time.Minute + time.Second }, wechat.ReasonStale, 0},
		"as far in the future as allowed":          {func(r *request) { r.age = -5 * time.Minute }, "", 2},
		"a second further":                         {func(r *request) { r.age = -5*time.Minute - time.Second }, wechat.ReasonStale, 0},
		"stale and forged tells no more than that": {func(r *request) { r.age, r.token = time.Hour, "forged" }, wechat.ReasonStale, 0},
		"the path with a trailing slash":           {func(r *request) { r.path = "/weixin/" }, "", 2},
		"with two":                                 {func(r *request) { r.path = "/weixin//" }, wechat.ReasonUnknownURL, 0},
		"a path below":                             {func(r *request) { r.path = "/weixin/admin" }, wechat.ReasonUnknownURL, 0},
		"an escaped path":                          {func(r *request) { r.path = "/%77eixin" }, wechat.ReasonUnknownURL, 0},
		"a dot segment":                            {func(r *request) { r.path = "/x/../weixin" }, wechat.ReasonUnknownURL, 0},
		"the host with a port":                     {func(r *request) { r.host = "wx.example.com:80" }, "", 2},
		"the host in capitals":                     {func(r *request) { r.host = "WX.Example.Com" }, "", 2},
		"another host":                             {func(r *request) { r.host = "example.com" }, wechat.ReasonUnknownURL, 0},
		"no host":                                  {func(r *request) { r.host = "" }, wechat.ReasonUnknownURL, 0},
		"another method":                           {func(r *request) { r.method = "PUT" }, wechat.ReasonMalformed, 0},
		"a GET without echostr":                    {func(r *request) { r.method = "GET" }, wechat.ReasonMalformed, 0},
		"an echostr with a space":                  {func(r *request) { r.method, r.more = "GET", "&echostr=1+2" }, wechat.ReasonMalformed, 0},
		"an empty body":                            {func(r *request) { r.body = "" }, wechat.ReasonMalformed, 0},
		"an encrypted message": {func(r *request) {
			r.more, r.body = "&encrypt_type=aes", "<xml><ToUserName>a</ToUserName><Encrypt>b</Encrypt></xml>"
		}, wechat.ReasonWrongMode, 0},
		"an unencrypted one that says so":       {func(r *request) { r.more = "&encrypt_type=raw" }, "", 2},
		"the operator's URL check as a message": {func(r *request) { r.nonce = config.ProbeNoncePrefix + "7" }, wechat.ReasonReplayed, 0},
		"a DOCTYPE":                             {func(r *request) { r.body = "<!DOCTYPE xml><xml/>" }, wechat.ReasonMalformed, 0},
		"a doubled nonce":                       {func(r *request) { r.more = "&nonce=1" }, wechat.ReasonMalformed, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := request{method: "POST", host: "wx.example.com", path: "/weixin", token: token, nonce: "7", body: "<xml/>"}
			test.edit(&r)
			message, err := newGate().checked(r.gate(), now)
			if test.refused == "" {
				if err != nil || string(message.Body) != r.body || message.Generation != test.pair || message.URLCheck() {
					t.Errorf("got %+v, %v", message, err)
				}
				return
			}
			var refusal *wechat.Refusal
			if !errors.As(err, &refusal) || refusal.Reason != test.refused {
				t.Errorf("got %+v, %v; want %s", message, err, test.refused)
			}
			if message != nil {
				t.Errorf("a refused request came through: %+v", message)
			}
		})
	}
}

// TestAUseLastsAsLongAsItsMessage is for the memory of uses, which must not be shorter.
func TestAUseLastsAsLongAsItsMessage(t *testing.T) {
	r := request{method: "POST", host: "wx.example.com", path: "/weixin", token: token, nonce: "7", body: "<xml/>", age: time.Minute}
	message, err := newGate().checked(r.gate(), now)
	if err != nil || !message.StaleAt.Equal(now.Add(4*time.Minute)) {
		t.Errorf("stale at %v, error %v", message.StaleAt, err)
	}
}

// TestPlatformsWithoutURLCheckTakeNoGET, least of all Pay, which has no token: anybody can sign with an empty one.
func TestPlatformsWithoutURLCheckTakeNoGET(t *testing.T) {
	for platform, token := range map[string]string{config.PlatformPay: "", config.PlatformOpenPlatform: token} {
		t.Run(platform, func(t *testing.T) {
			gate := New(config.Config{Platform: platform, Path: "/weixin"}, config.Credentials{Pairs: []config.Pair{{Token: token}}})
			message, err := gate.checked(request{method: "GET", path: "/weixin", token: token, nonce: "7", more: "&echostr=1"}.gate(), now)
			expectRefusal(t, message, err, wechat.ReasonMalformed)
		})
	}
}

// TestOriginalHasTheOpenIDOfTheMessage: the query's own is not signed.
func TestOriginalHasTheOpenIDOfTheMessage(t *testing.T) {
	gate := newGate()
	for from, want := range map[string]bool{"oUser": true, "oOther": false} {
		body := "<xml><FromUserName>" + from + "</FromUserName></xml>"
		message, err := gate.checked(request{method: "POST", host: "wx.example.com", path: "/weixin", token: token, nonce: "7", body: body, more: "&openid=a&openid=oUser"}.gate(), now)
		if err != nil {
			t.Fatal(err)
		}
		if query := gate.Original(message).Query; strings.Contains(query, "openid=") != want {
			t.Errorf("for a message from %s the app is told %s", from, query)
		}
	}
}

func TestURLCheckReturnsEchostrAndReadsNoBody(t *testing.T) {
	r := request{method: "GET", host: "wx.example.com", path: "/weixin", token: token, nonce: "7", more: "&echostr=5%2B6"}.gate()
	r.Body = func() ([]byte, error) { t.Error("the body of a URL check was read"); return nil, nil }
	message, err := newGate().checked(r, now)
	if err != nil || string(message.Echo) != "5+6" || !message.URLCheck() {
		t.Errorf("got %+v, %v", message, err)
	}
}

// TestNoBodyIsReadBeforeTheSignatureHolds keeps strangers from filling the memory.
func TestNoBodyIsReadBeforeTheSignatureHolds(t *testing.T) {
	r := request{method: "POST", host: "wx.example.com", path: "/weixin", token: "forged", nonce: "7"}.gate()
	r.Body = func() ([]byte, error) { t.Error("read"); return nil, nil }
	if _, err := newGate().checked(r, now); err == nil {
		t.Error("a forged message passed")
	}
}

func TestRefusalsHoldNothingOfTheRequest(t *testing.T) {
	r := request{method: "POST", host: "wx.example.com", path: "/weixin", token: "forged", nonce: "NONCE-OF-THE-CLIENT"}.gate()
	_, err := newGate().checked(r, now)
	if err == nil || strings.Contains(err.Error(), "NONCE-OF-THE-CLIENT") {
		t.Errorf("error %v", err)
	}
}

// FuzzCheck holds that nothing passes without a signature of an accepted token over a fresh timestamp, computed anew here.
func FuzzCheck(f *testing.F) {
	signed := request{method: "POST", host: "wx.example.com", path: "/weixin", token: token, nonce: "7", body: "<xml/>"}.gate()
	f.Add("POST", "/weixin", signed.RawQuery)
	f.Add("GET", "/weixin/", signed.RawQuery+"&echostr=1")
	f.Add("GET", "/weixin", "signature=0&timestamp=0&nonce=0")
	f.Fuzz(func(t *testing.T, method, path, query string) {
		message, err := newGate().checked(Request{
			Method: method, Host: "wx.example.com", Path: path, RawQuery: query, Body: func() ([]byte, error) { return []byte("x"), nil },
		}, now)
		if err != nil {
			return
		}
		triple := message.Query.Triple
		if s := wechat.Sign(token, triple.Timestamp, triple.Nonce); s != triple.Signature && wechat.Sign(older, triple.Timestamp, triple.Nonce) != triple.Signature {
			t.Errorf("passed with signature %s", triple.Signature)
		}
		seconds, err := strconv.ParseInt(triple.Timestamp, 10, 64)
		if age := now.Unix() - seconds; err != nil || age > 300 || age < -300 {
			t.Errorf("passed with timestamp %s", triple.Timestamp)
		}
		if path != "/weixin" && path != "/weixin/" {
			t.Errorf("passed on path %q", path)
		}
	})
}

// usualText is a message as long as most of WeChat's.
const usualText = "<xml><ToUserName><![CDATA[gh_7f083739789a]]></ToUserName><FromUserName><![CDATA[oABCDEFGHIJKLMNOPQRSTUVWXYZa]]></FromUserName>" +
	"<CreateTime>1785628800</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[a word and another word]]></Content><MsgId>24000000000000001</MsgId></xml>"

// checks are what WeChat and strangers send, as a benchmark has it: with nothing to be made for the request itself.
func checks(tb testing.TB) map[string]func() error {
	tb.Helper()
	plaintext, encrypted := newGate(), newEncryptedGate()
	try := func(g *Gate, r Request, body string) func() error {
		bytes := []byte(body)
		r.Body = func() ([]byte, error) { return bytes, nil }
		return func() error {
			var m Message
			return g.Check(&m, r, now)
		}
	}
	genuine := request{method: "POST", host: "wx.example.com", path: "/weixin", token: token, nonce: "1811081856", more: "&openid=oABCDEFGHIJKLMNOPQRSTUVWXYZa"}
	echo, forged, stale := genuine, genuine, genuine
	echo.method, echo.more = "GET", "&echostr=5838479218127813673"
	forged.token, stale.age = "forged", time.Hour
	query, body := sealedText(tb, usualText)
	return map[string]func() error{
		"a message in plaintext": try(plaintext, genuine.gate(), usualText),
		"a URL check":            try(plaintext, echo.gate(), ""),
		"a forgery":              try(plaintext, forged.gate(), usualText),
		"a stale message":        try(plaintext, stale.gate(), usualText),
		"an encrypted message":   try(encrypted, Request{Method: "POST", Path: "/weixin", RawQuery: query}, body),
		"a forgery, encrypted":   try(encrypted, Request{Method: "POST", Path: "/weixin", RawQuery: strings.Replace(query, "nonce=7", "nonce=8", 1)}, body),
	}
}

// TestTheCheckAllocatesNothing but the decrypted message, and the echo. What strangers send makes no garbage.
func TestTheCheckAllocatesNothing(t *testing.T) {
	made := map[string]float64{"an encrypted message": 1, "a URL check": 1}
	for name, check := range checks(t) {
		want := made[name]
		least := 1000.
		for range 100 { // what is kept for the next one is not always there, with the race detector above all
			least = min(least, testing.AllocsPerRun(1, func() { _ = check() }))
		}
		if least > want {
			t.Errorf("%s: %v allocations, at most %v", name, least, want)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	for name, check := range checks(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = check()
			}
		})
	}
}
