// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

const (
	aesKey      = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
	olderKey    = "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR"
	messageText = "<xml><MsgType>text</MsgType></xml>"
)

func newEncryptedGate() *Gate {
	return New(config.Config{Platform: config.PlatformOfficialAccount, MessageMode: config.ModeEncrypted, AppID: "wx1", Path: "/weixin"},
		config.Credentials{Pairs: []config.Pair{{Generation: 1, Token: token, EncodingAESKey: aesKey}}})
}

// sealed is a genuine query and body.
func sealed(tb testing.TB) (query, body string) {
	tb.Helper()
	key, err := wechat.ParseEncodingAESKey(aesKey)
	if err != nil {
		tb.Fatal(err)
	}
	encrypted, err := key.Seal([wechat.RandomSize]byte{}, []byte(messageText), "wx1")
	if err != nil {
		tb.Fatal(err)
	}
	query = "timestamp=1700000000&nonce=7&encrypt_type=aes&msg_signature=" + wechat.Sign(token, "1700000000", "7", encrypted)
	return query, string(wechat.RequestEnvelope(wechat.FormXML, nil, encrypted))
}

// FuzzCheckEncrypted holds that whatever passes was signed with the token over its Encrypt, which opens to what passes.
func FuzzCheckEncrypted(f *testing.F) {
	query, body := sealed(f)
	f.Add(query, body)
	f.Add(strings.Replace(query, "msg_signature", "signature", 1), body)
	f.Add(query, strings.Replace(body, "</xml>", "<Encrypt>a</Encrypt></xml>", 1))
	f.Add(query, `{"Encrypt":"a","encrypt":"b"}`)
	key, err := wechat.ParseEncodingAESKey(aesKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, query, body string) {
		message, err := newEncryptedGate().Check(Request{
			Method: "POST", Path: "/weixin", RawQuery: query, Body: func() ([]byte, error) { return []byte(body), nil },
		}, now)
		if err != nil {
			return
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		opened, receiver, err := key.Open(message.encrypt)
		if err != nil || receiver != "wx1" || string(opened) != string(message.Body) {
			t.Errorf("passed %q for %q: %v", message.Body, receiver, err)
		}
		if values.Get("msg_signature") != wechat.Sign(token, values.Get("timestamp"), values.Get("nonce"), message.encrypt) {
			t.Errorf("passed unsigned: %q", query)
		}
	})
}

// sealedMessage is an encrypted message and whom it meets; a row of a table breaks it.
type sealedMessage struct {
	config          config.Config
	path            string
	token, key      string
	text, receiver  string
	signed          string // in place of the Encrypt
	without, echoed bool   // msg_signature is left out; the text is in echostr
	more            string // of the query
	age             time.Duration
}

func newSealedMessage() sealedMessage {
	return sealedMessage{
		config: config.Config{Platform: config.PlatformOfficialAccount, MessageMode: config.ModeEncrypted, AppID: "wx1", Path: "/weixin"},
		path:   "/weixin", token: token, key: aesKey, text: messageText, receiver: "wx1", more: "&encrypt_type=aes",
	}
}

// check tries it with a gate that accepts two pairs.
func (m sealedMessage) check(t *testing.T) (*Gate, Message, error) {
	t.Helper()
	key, err := wechat.ParseEncodingAESKey(m.key)
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := key.Seal([wechat.RandomSize]byte{}, []byte(m.text), m.receiver)
	if err != nil {
		t.Fatal(err)
	}
	timestamp, signed := strconv.FormatInt(now.Add(-m.age).Unix(), 10), encrypted
	if m.signed != "" {
		signed = m.signed
	}
	r := Request{
		Method: "POST", Path: m.path, RawQuery: "timestamp=" + timestamp + "&nonce=7" + m.more,
		Body: func() ([]byte, error) { return wechat.RequestEnvelope(wechat.FormXML, nil, encrypted), nil },
	}
	if m.without {
		r.RawQuery += "&signature=" + wechat.Sign(m.token, timestamp, "7")
	} else {
		r.RawQuery += "&msg_signature=" + wechat.Sign(m.token, timestamp, "7", signed)
	}
	if m.echoed {
		r.Method, r.RawQuery = "GET", r.RawQuery+"&echostr="+url.QueryEscape(encrypted)
	}
	gate := New(m.config, config.Credentials{Pairs: []config.Pair{
		{Generation: 2, Token: token, EncodingAESKey: aesKey}, {Generation: 1, Token: older, EncodingAESKey: olderKey},
	}})
	message, err := gate.Check(r, now)
	return gate, message, err
}

func expectRefusal(t *testing.T, message Message, err error, want wechat.Reason) {
	t.Helper()
	var refusal *wechat.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != want || message.Body != nil || message.Echo != nil {
		t.Errorf("got %+v, %v; want %s", message, err, want)
	}
}

func TestCheckEncrypted(t *testing.T) {
	corp := func(m *sealedMessage, path string) {
		m.config.Platform, m.config.MessageMode, m.config.ReceiverIDs, m.config.Path, m.more = config.PlatformWeCom, "", []string{config.PlaceholderCorpID}, path, ""
	}
	for name, test := range map[string]struct {
		edit    func(*sealedMessage)
		refused wechat.Reason
	}{
		"a message":                                {func(*sealedMessage) {}, ""},
		"in the compatible mode":                   {func(m *sealedMessage) { m.config.MessageMode = config.ModeCompatible }, ""},
		"of the older pair":                        {func(m *sealedMessage) { m.token, m.key = older, olderKey }, ""},
		"signed with another token":                {func(m *sealedMessage) { m.token = "forged" }, wechat.ReasonBadSignature},
		"signed over another text":                 {func(m *sealedMessage) { m.signed = "another" }, wechat.ReasonBadSignature},
		"encrypted with another pair's key":        {func(m *sealedMessage) { m.key = olderKey }, wechat.ReasonUndecryptable},
		"signed as in plaintext mode":              {func(m *sealedMessage) { m.without = true }, wechat.ReasonDowngrade},
		"that says it is not encrypted":            {func(m *sealedMessage) { m.more = "&encrypt_type=raw" }, wechat.ReasonDowngrade},
		"that does not say it is encrypted":        {func(m *sealedMessage) { m.more = "" }, wechat.ReasonDowngrade},
		"as in plaintext mode, signed and said":    {func(m *sealedMessage) { m.without, m.more = true, "" }, wechat.ReasonDowngrade},
		"for another account":                      {func(m *sealedMessage) { m.receiver = "wx2" }, wechat.ReasonWrongReceiver},
		"for nobody":                               {func(m *sealedMessage) { m.receiver = "" }, wechat.ReasonWrongReceiver},
		"for nobody, where that is accepted":       {func(m *sealedMessage) { m.receiver, m.config.ReceiverIDs = "", []string{""} }, ""},
		"for the AppID, where others are accepted": {func(m *sealedMessage) { m.config.ReceiverIDs = []string{"wx2"} }, wechat.ReasonWrongReceiver},
		"for the id of the path":                   {func(m *sealedMessage) { corp(m, "/$CORPID$"); m.path, m.receiver = "/ww1", "ww1" }, ""},
		"for another id than the path's":           {func(m *sealedMessage) { corp(m, "/$CORPID$"); m.path, m.receiver = "/ww1", "ww2" }, wechat.ReasonWrongReceiver},
		"for nobody, where the path has no id":     {func(m *sealedMessage) { corp(m, "/weixin"); m.receiver = "" }, wechat.ReasonWrongReceiver},
		"that is an echostr":                       {func(m *sealedMessage) { m.text = "5921731" }, wechat.ReasonMalformed},
		"that is nothing":                          {func(m *sealedMessage) { m.text = "" }, wechat.ReasonMalformed},
		"that is a word":                           {func(m *sealedMessage) { m.text = "word" }, ""},
		"as old as allowed":                        {func(m *sealedMessage) { m.age = 5 * time.Minute }, ""},
		"a second older":                           {func(m *sealedMessage) { m.age = 5*time.Minute + time.Second }, wechat.ReasonStale},
		"a second too early":                       {func(m *sealedMessage) { m.age = -5*time.Minute - time.Second }, wechat.ReasonStale},
		"a second too early, where a message lasts a day": {func(m *sealedMessage) {
			m.config.Freshness, m.age = config.Duration(24*time.Hour), -5*time.Minute-time.Second
		}, wechat.ReasonStale},
	} {
		t.Run(name, func(t *testing.T) {
			m := newSealedMessage()
			test.edit(&m)
			_, message, err := m.check(t)
			if test.refused != "" {
				expectRefusal(t, message, err, test.refused)
			} else if err != nil || string(message.Body) != m.text || message.ReceiverID != m.receiver {
				t.Errorf("got %+v, %v", message, err)
			}
		})
	}
}

func TestCheckEncryptedEcho(t *testing.T) {
	for name, test := range map[string]struct {
		edit    func(*sealedMessage)
		refused wechat.Reason
	}{
		"digits":                        {func(*sealedMessage) {}, ""},
		"letters":                       {func(m *sealedMessage) { m.text = "aZ09" }, ""},
		"a message":                     {func(m *sealedMessage) { m.text = "<xml></xml>" }, wechat.ReasonMalformed},
		"nothing":                       {func(m *sealedMessage) { m.text = "" }, wechat.ReasonMalformed},
		"a line break":                  {func(m *sealedMessage) { m.text = "1\r\n2" }, wechat.ReasonMalformed},
		"a character beyond ASCII":      {func(m *sealedMessage) { m.text = "你" }, wechat.ReasonMalformed},
		"an echo for another account":   {func(m *sealedMessage) { m.receiver = "wx2" }, wechat.ReasonWrongReceiver},
		"an echo signed as push's is":   {func(m *sealedMessage) { m.without = true }, wechat.ReasonDowngrade},
		"an echo with another's key":    {func(m *sealedMessage) { m.key = olderKey }, wechat.ReasonUndecryptable},
		"an echo signed by a stranger":  {func(m *sealedMessage) { m.token = "forged" }, wechat.ReasonBadSignature},
		"an echo from a quarter before": {func(m *sealedMessage) { m.age = 15 * time.Minute }, wechat.ReasonStale},
	} {
		t.Run(name, func(t *testing.T) {
			m := newSealedMessage()
			m.config.Platform, m.config.MessageMode, m.text, m.more, m.echoed = config.PlatformWeCom, "", "5921731", "", true
			test.edit(&m)
			_, message, err := m.check(t)
			if test.refused != "" {
				expectRefusal(t, message, err, test.refused)
			} else if err != nil || string(message.Echo) != m.text || message.Body != nil {
				t.Errorf("got %+v, %v", message, err)
			}
		})
	}
}

// TestSealUsesWhatVerifiedTheMessage, and not the newest pair or the account's own id.
func TestSealUsesWhatVerifiedTheMessage(t *testing.T) {
	m := newSealedMessage()
	m.token, m.key, m.receiver, m.config.ReceiverIDs = older, olderKey, "wx2", []string{"wx2"}
	gate, message, err := m.check(t)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := gate.Seal(message, []byte("<xml/>"), [wechat.RandomSize]byte{}, now)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := wechat.ParseReplyEnvelope(reply)
	if err != nil || !wechat.Verify(sealed.Signature, older, sealed.Timestamp, sealed.Nonce, sealed.Encrypt) {
		t.Errorf("the reply is not signed with the message's token: %v", err)
	}
	key, err := wechat.ParseEncodingAESKey(olderKey)
	if err != nil {
		t.Fatal(err)
	}
	if opened, receiver, err := key.Open(sealed.Encrypt); string(opened) != "<xml/>" || receiver != "wx2" || err != nil {
		t.Errorf("the reply opens to %q for %q, error %v", opened, receiver, err)
	}
}

func TestPlaceholder(t *testing.T) {
	for name, test := range map[string]struct {
		pattern, path, id string
		ok                bool
	}{
		"at the end":                  {"/a/$APPID$", "/a/wx1", "wx1", true},
		"with a trailing slash":       {"/a/$APPID$", "/a/wx1/", "wx1", true},
		"with two":                    {"/a/$APPID$", "/a/wx1//", "", false},
		"in the middle":               {"/a/$CORPID$/b", "/a/ww1/b", "ww1", true},
		"nothing in its place":        {"/a/$APPID$", "/a/", "", false},
		"nothing between its ends":    {"/a/$CORPID$/b", "/a//b", "", false},
		"no end":                      {"/a/$CORPID$/b", "/a/ww1", "", false},
		"more than one segment":       {"/a/$APPID$", "/a/wx1/admin", "", false},
		"a dot segment":               {"/a/$APPID$", "/a/..", "", false},
		"an escape":                   {"/a/$APPID$", "/a/wx%2f1", "", false},
		"another beginning":           {"/a/$APPID$", "/b/wx1", "", false},
		"another end":                 {"/a/$APPID$/b", "/a/wx1/c", "", false},
		"an id longer than any known": {"/a/$APPID$", "/a/" + strings.Repeat("w", 65), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			gate := New(config.Config{Path: test.pattern}, config.Credentials{})
			if id, ok := gate.serves("", test.path); ok != test.ok || ok && id != test.id {
				t.Errorf("got %q %v", id, ok)
			}
		})
	}
}

// BenchmarkCheckEncrypted opens a message of the size of a text.
func BenchmarkCheckEncrypted(b *testing.B) {
	query, body := sealed(b)
	gate := newEncryptedGate()
	r := Request{Method: "POST", Path: "/weixin", RawQuery: query, Body: func() ([]byte, error) { return []byte(body), nil }}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := gate.Check(r, now); err != nil {
			b.Fatal(err)
		}
	}
}
