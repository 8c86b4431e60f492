// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"crypto/sha256"
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
	return sealedText(tb, messageText)
}

func sealedText(tb testing.TB, text string) (query, body string) {
	tb.Helper()
	key, err := wechat.ParseEncodingAESKey(aesKey)
	if err != nil {
		tb.Fatal(err)
	}
	encrypted, err := key.Seal([wechat.RandomSize]byte{}, []byte(text), "wx1")
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
		message, err := newEncryptedGate().checked(Request{
			Method: "POST", Path: "/weixin", RawQuery: query, Body: func() ([]byte, error) { return []byte(body), nil },
		}, now)
		if err != nil {
			return
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := key.Open(message.encrypt)
		if err != nil || opened.ReceiverID != "wx1" || string(opened.Message) != string(message.Body) {
			t.Errorf("passed %q for %q: %v", message.Body, opened.ReceiverID, err)
		}
		if values.Get("msg_signature") != wechat.Sign(token, values.Get("timestamp"), values.Get("nonce"), string(message.encrypt)) {
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
	raw             bool   // the echostr has a + and is not escaped
	more            string // of the query
	beside          string // what stands before Encrypt
	age             time.Duration
}

func newSealedMessage() sealedMessage {
	return sealedMessage{
		config: config.Config{Platform: config.PlatformOfficialAccount, MessageMode: config.ModeEncrypted, AppID: "wx1", Path: "/weixin"},
		path:   "/weixin", token: token, key: aesKey, text: messageText, receiver: "wx1", more: "&encrypt_type=aes",
	}
}

// check tries it with a gate that accepts two pairs.
func (m sealedMessage) check(t *testing.T) (*Gate, *Message, error) {
	t.Helper()
	key, err := wechat.ParseEncodingAESKey(m.key)
	if err != nil {
		t.Fatal(err)
	}
	var encrypted string
	for n := byte(0); n == 0 || m.raw && !strings.Contains(encrypted, "+"); n++ {
		if encrypted, err = key.Seal([wechat.RandomSize]byte{n}, []byte(m.text), m.receiver); err != nil {
			t.Fatal(err)
		}
	}
	timestamp, signed := strconv.FormatInt(now.Add(-m.age).Unix(), 10), encrypted
	if m.signed != "" {
		signed = m.signed
	}
	r := Request{
		Method: "POST", Path: m.path, RawQuery: "timestamp=" + timestamp + "&nonce=7" + m.more,
		Body: func() ([]byte, error) {
			body := string(wechat.RequestEnvelope(wechat.FormXML, nil, encrypted))
			return []byte(strings.Replace(body, "<xml>", "<xml>"+m.beside, 1)), nil
		},
	}
	if m.without {
		r.RawQuery += "&signature=" + wechat.Sign(m.token, timestamp, "7")
	} else {
		r.RawQuery += "&msg_signature=" + wechat.Sign(m.token, timestamp, "7", signed)
	}
	switch {
	case m.raw:
		r.Method, r.RawQuery = "GET", r.RawQuery+"&echostr="+encrypted
	case m.echoed:
		r.Method, r.RawQuery = "GET", r.RawQuery+"&echostr="+url.QueryEscape(encrypted)
	}
	gate := New(m.config, config.Credentials{Pairs: []config.Pair{
		{Generation: 2, Token: token, EncodingAESKey: aesKey}, {Generation: 1, Token: older, EncodingAESKey: olderKey},
	}})
	message, err := gate.checked(r, now)
	return gate, message, err
}

func expectRefusal(t *testing.T, message *Message, err error, want wechat.Reason) {
	t.Helper()
	var refusal *wechat.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != want || message != nil {
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
		"a message":              {func(*sealedMessage) {}, ""},
		"in the compatible mode": {func(m *sealedMessage) { m.config.MessageMode = config.ModeCompatible }, ""},
		"beside a cleartext":     {func(m *sealedMessage) { m.beside = "<MsgType>text</MsgType><Content>\x1d]]></Content>" }, ""},
		"beside a cleartext, where there is none": {func(m *sealedMessage) {
			m.config.Platform, m.config.MessageMode, m.more = config.PlatformWeCom, "", ""
			m.beside = "<MsgType>text</MsgType><Content>\x1d]]></Content>"
		}, wechat.ReasonMalformed},
		"of the older pair":                        {func(m *sealedMessage) { m.token, m.key = older, olderKey }, ""},
		"signed with another token":                {func(m *sealedMessage) { m.token = "forged" }, wechat.ReasonBadSignature},
		"signed over another text":                 {func(m *sealedMessage) { m.signed = "another" }, wechat.ReasonBadSignature},
		"encrypted with another pair's key":        {func(m *sealedMessage) { m.key = olderKey }, wechat.ReasonUndecryptable},
		"signed as in plaintext mode":              {func(m *sealedMessage) { m.without = true }, wechat.ReasonDowngrade},
		"that says it is not encrypted":            {func(m *sealedMessage) { m.more = "&encrypt_type=raw" }, ""},
		"that does not say it is encrypted":        {func(m *sealedMessage) { m.more = "" }, ""},
		"as in plaintext mode, signed and said":    {func(m *sealedMessage) { m.without, m.more = true, "" }, wechat.ReasonDowngrade},
		"for another account":                      {func(m *sealedMessage) { m.receiver = "wx2" }, wechat.ReasonWrongReceiver},
		"for nobody":                               {func(m *sealedMessage) { m.receiver = "" }, wechat.ReasonWrongReceiver},
		"for another account than the listed":      {func(m *sealedMessage) { m.receiver, m.config.ReceiverIDs = "wx2", []string{"wx1"} }, wechat.ReasonWrongReceiver},
		"for nobody, where that is accepted":       {func(m *sealedMessage) { m.receiver, m.config.ReceiverIDs = "", []string{""} }, ""},
		"for the AppID, where others are accepted": {func(m *sealedMessage) { m.config.ReceiverIDs = []string{"wx2"} }, wechat.ReasonWrongReceiver},
		"for the id of the path":                   {func(m *sealedMessage) { corp(m, "/$CORPID$"); m.path, m.receiver = "/ww1", "ww1" }, ""},
		"for the id of the query": {func(m *sealedMessage) {
			corp(m, "/corp")
			m.config.Query, m.more, m.path, m.receiver = "id=/$CORPID$", "&id=%2Fww1", "/corp", "ww1"
		}, ""},
		"for another id than the query's": {func(m *sealedMessage) {
			corp(m, "/corp")
			m.config.Query, m.more, m.path, m.receiver = "id=/$CORPID$", "&id=/ww1", "/corp", "ww2"
		}, wechat.ReasonWrongReceiver},
		"for anybody":                          {func(m *sealedMessage) { m.receiver, m.config.ReceiverIDs = "ww7", []string{"ww1", config.AnyReceiver} }, ""},
		"for another id than the path's":       {func(m *sealedMessage) { corp(m, "/$CORPID$"); m.path, m.receiver = "/ww1", "ww2" }, wechat.ReasonWrongReceiver},
		"for nobody, where the path has no id": {func(m *sealedMessage) { corp(m, "/weixin"); m.receiver = "" }, wechat.ReasonWrongReceiver},
		"that is an echostr":                   {func(m *sealedMessage) { m.text = "5921731" }, wechat.ReasonMalformed},
		"that is nothing":                      {func(m *sealedMessage) { m.text = "" }, wechat.ReasonMalformed},
		"that is a word":                       {func(m *sealedMessage) { m.text = "word" }, ""},
		"as old as allowed":                    {func(m *sealedMessage) { m.age = 5 * time.Minute }, ""},
		"a second older":                       {func(m *sealedMessage) { m.age = 5*time.Minute + time.Second }, wechat.ReasonStale},
		"a second too early":                   {func(m *sealedMessage) { m.age = -5*time.Minute - time.Second }, wechat.ReasonStale},
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
		"a plus that is not escaped":    {func(m *sealedMessage) { m.raw = true }, ""},
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
	sealed, err := wechat.ParseReplyEnvelope(seal(t, gate, message, "<xml/>"))
	if err != nil || !wechat.Verify(sealed.Signature, older, sealed.Timestamp, sealed.Nonce, sealed.Encrypt) {
		t.Errorf("the reply is not signed with the message's token: %v", err)
	}
	key, err := wechat.ParseEncodingAESKey(olderKey)
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := key.Open([]byte(sealed.Encrypt)); string(opened.Message) != "<xml/>" || opened.ReceiverID != "wx2" || err != nil {
		t.Errorf("the reply opens to %q for %q, error %v", opened.Message, opened.ReceiverID, err)
	}
}

// seal is what WeChat gets for a reply.
func seal(t *testing.T, gate *Gate, message *Message, reply string) []byte {
	t.Helper()
	sealing, err := gate.Seal(message, []byte(reply), [wechat.RandomSize / 2]byte{1, 2, 3}, now)
	if err != nil {
		t.Fatal(err)
	}
	var envelope bytes.Buffer
	if err := sealing.Write(&envelope); err != nil || envelope.Len() != sealing.Len() {
		t.Fatalf("%d bytes of %d were written, error %v", envelope.Len(), sealing.Len(), err)
	}
	return envelope.Bytes()
}

// TestASealedReplyIsNoMessage: posted back as a message or as the echostr of a URL check, with the signature that it came with or with
// a new one of somebody who knows the token.
func TestASealedReplyIsNoMessage(t *testing.T) {
	for kind, edit := range map[string]func(*sealedMessage){
		"of an Official Account":        func(*sealedMessage) {},
		"of one in the compatible mode": func(m *sealedMessage) { m.config.MessageMode = config.ModeCompatible },
		"sealed with the older key":     func(m *sealedMessage) { m.token, m.key = older, olderKey },
		"of a Mini Program":             func(m *sealedMessage) { m.config.Platform = config.PlatformMiniProgram },
		"of a Shop":                     func(m *sealedMessage) { m.config.Platform, m.config.MessageMode = config.PlatformShop, "" },
		"of WeCom":                      func(m *sealedMessage) { m.config.Platform, m.config.MessageMode, m.more = config.PlatformWeCom, "", "" },
		"of a bot, which no message is for": func(m *sealedMessage) {
			m.config.Platform, m.config.MessageMode, m.more, m.receiver, m.config.ReceiverIDs = config.PlatformWeCom, "", "", "", []string{""}
		},
		"of an authorizer of the Open Platform": func(m *sealedMessage) { m.config.Platform, m.config.MessageMode = config.PlatformOpenPlatform, "" },
	} {
		t.Run(kind, func(t *testing.T) {
			m := newSealedMessage()
			edit(&m)
			gate, message, err := m.check(t)
			if err != nil {
				t.Fatal(err)
			}
			reply, err := wechat.ParseReplyEnvelope(seal(t, gate, message, "<xml><MsgType>event</MsgType><Event>xpay_goods_deliver_notify</Event></xml>"))
			if err != nil {
				t.Fatal(err)
			}
			for way, r := range map[string]Request{
				"as it was":            postBack(m, reply.Timestamp, reply.Nonce, reply.Signature, reply.Encrypt),
				"signed anew":          postBack(m, reply.Timestamp, "8", wechat.Sign(m.token, reply.Timestamp, "8", reply.Encrypt), reply.Encrypt),
				"at a later time":      postBack(m, later, "8", wechat.Sign(m.token, later, "8", reply.Encrypt), reply.Encrypt),
				"as an echostr":        echoBack(m, reply),
				"in JSON":              inJSON(postBack(m, reply.Timestamp, reply.Nonce, reply.Signature, reply.Encrypt), reply.Encrypt),
				"for a Compatible one": postBack(m, reply.Timestamp, reply.Nonce, reply.Signature, reply.Encrypt),
			} {
				message, err := gate.checked(r, now)
				if r.Method == "GET" && m.config.Platform != config.PlatformWeCom {
					if err == nil {
						t.Errorf("%s: passed", way)
					}
					continue
				}
				t.Run(way, func(t *testing.T) { expectRefusal(t, message, err, wechat.ReasonReflected) })
			}
		})
	}
}

// later is a minute after a message was answered.
var later = strconv.FormatInt(now.Add(time.Minute).Unix(), 10)

func postBack(m sealedMessage, timestamp, nonce, signature, encrypted string) Request {
	return Request{
		Method: "POST", Path: m.path, RawQuery: "timestamp=" + timestamp + "&nonce=" + nonce + m.more + "&msg_signature=" + signature,
		Body: func() ([]byte, error) { return wechat.RequestEnvelope(wechat.FormXML, nil, encrypted), nil },
	}
}

func inJSON(r Request, encrypted string) Request {
	r.Body = func() ([]byte, error) { return wechat.RequestEnvelope(wechat.FormJSON, nil, encrypted), nil }
	return r
}

func echoBack(m sealedMessage, reply wechat.SealedReply) Request {
	r := postBack(m, reply.Timestamp, reply.Nonce, reply.Signature, reply.Encrypt)
	r.Method, r.RawQuery = "GET", r.RawQuery+"&echostr="+url.QueryEscape(reply.Encrypt)
	return r
}

// TestAMessageFromTheAccountIsNone: it is what an app has sealed by itself, and bears no mark.
func TestAMessageFromTheAccountIsNone(t *testing.T) {
	for name, test := range map[string]struct {
		from, to string
		weCom    bool
		refused  wechat.Reason
	}{
		"from a user":                               {"oUser", "gh_1", false, ""},
		"from the account to a user":                {"gh_1", "oUser", false, wechat.ReasonReflected},
		"from another account to a user":            {"gh_2", "oUser", false, wechat.ReasonReflected},
		"from an account to another":                {"gh_1", "gh_2", false, ""},
		"from nobody":                               {"", "gh_1", false, ""},
		"from a member of the corp":                 {"zhang", "wx1", true, ""},
		"from the corp to a member":                 {"wx1", "zhang", true, wechat.ReasonReflected},
		"from the system":                           {"sys", "wx1", true, ""},
		"from the account, and to nobody":           {"gh_1", "", false, wechat.ReasonReflected},
		"from a user whose text says it is not his": {"oUser", "gh_1", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newSealedMessage()
			if test.weCom {
				m.config.Platform, m.config.MessageMode, m.more = config.PlatformWeCom, "", ""
			}
			m.text = "<xml><ToUserName>" + test.to + "</ToUserName><FromUserName>" + test.from + "</FromUserName><MsgType>text</MsgType>" +
				"<Content><![CDATA[x]]></Content><FromUserName>gh_1</FromUserName><Content><![CDATA[y]]></Content></xml>"
			_, message, err := m.check(t)
			if test.refused != "" {
				expectRefusal(t, message, err, test.refused)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestKeysTellMessagesApart: two that differ in anything that was verified, or told to the app, and that WeChat does not change when it
// repeats a message.
func TestKeysTellMessagesApart(t *testing.T) {
	base := func() *Message { return &Message{ReceiverID: "wx1", PathID: "wx2", Body: []byte("<xml/>")} }
	changed := func(change func(*Message)) *Message { m := base(); change(m); return m }
	notification := func(text string) wechat.PayNotification {
		n, err := wechat.ParsePayNotification([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	seen := map[[sha256.Size]byte]string{}
	const pay = `{"id":"1","event_type":"COMPLAINT.CREATE","resource":{"original_type":"complaint"}}`
	for name, m := range map[string]*Message{
		"another body":                   changed(func(m *Message) { m.Body = []byte("<xml></xml>") }),
		"another receiver":               changed(func(m *Message) { m.ReceiverID = "wx9" }),
		"another id in the path":         changed(func(m *Message) { m.PathID = "wx9" }),
		"the same ids, cut otherwise":    changed(func(m *Message) { m.ReceiverID, m.PathID = "wx1wx2", "" }),
		"an id that goes on in the body": changed(func(m *Message) { m.PathID, m.Body = "", []byte("wx2<xml/>") }),
		"a notification":                 changed(func(m *Message) { m.payment = &payment{notification: notification(pay)} }),
		"another notification": changed(func(m *Message) {
			m.payment = &payment{notification: notification(strings.Replace(pay, `"1"`, `"2"`, 1))}
		}),
		"another kind of notification": changed(func(m *Message) {
			m.payment = &payment{notification: notification(strings.Replace(pay, "CREATE", "STATE_CHANGE", 1))}
		}),
		"another kind of resource": changed(func(m *Message) {
			m.payment = &payment{notification: notification(strings.Replace(pay, `"complaint"`, `"refund"`, 1))}
		}),
		"no id in the path":  changed(func(m *Message) { m.PathID = "" }),
		"the message itself": base(),
	} {
		key := m.Key("team-a/shop")
		if other, known := seen[key]; known {
			t.Errorf("%s has the key of %s", name, other)
		}
		seen[key] = name
	}
	if base().Key("team-a/shop") == base().Key("team-b/shop") {
		t.Error("two endpoints have the same key")
	}
	repeated := changed(func(m *Message) {
		m.Query, m.Generation, m.StaleAt, m.pair, m.encrypt = wechat.Query{Triple: wechat.Triple{Nonce: "8"}}, 2, now, &pair{}, []byte("e")
	})
	if repeated.Key("a/b") != base().Key("a/b") {
		t.Error("a repeat that is encrypted and signed anew has another key")
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
		"the first segment":           {"/$APPID$/callback", "/wx1/callback", "wx1", true},
		"alone":                       {"/$APPID$", "/wx1", "wx1", true},
		"alone, and nothing":          {"/$APPID$", "/", "", false},
		"alone, and a file":           {"/$APPID$", "/MP_verify_a.txt", "", false},
		"the root":                    {"/", "/", "", true},
		"below the root":              {"/", "/a", "", false},
		"twice the root":              {"/", "//", "", false},
		"a trailing slash":            {"/a", "/a/", "", true},
		"below":                       {"/a", "/a/b", "", false},
		"beside":                      {"/a", "/ab", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			gate := New(config.Config{Path: test.pattern}, config.Credentials{})
			if id, ok := gate.serves(Request{Path: test.path}); ok != test.ok || ok && id != test.id {
				t.Errorf("got %q %v", id, ok)
			}
		})
	}
}

func TestQuery(t *testing.T) {
	for name, test := range map[string]struct {
		configured, query, id, told string
		ok                          bool
	}{
		"as it is":                  {"id=5&a=b", "id=5&a=b&signature=1", "", "id=5&a=b", true},
		"in another order":          {"id=5&a=b", "signature=1&a=b&id=5", "", "id=5&a=b", true},
		"escaped otherwise":         {"path=/a%2Fb", "path=%2fa/b", "", "path=/a%2Fb", true},
		"beside another value":      {"id=5", "id=4&id=5&id=%zz", "", "id=5", true},
		"without a value":           {"flag", "flag=", "", "flag", true},
		"without one":               {"id=5&a=b", "id=5", "", "", false},
		"with another value":        {"id=5", "id=55", "", "", false},
		"with a value in capitals":  {"id=a", "id=A", "", "", false},
		"nothing":                   {"id=5", "", "", "", false},
		"an id":                     {"id=$APPID$&a=b", "id=wx1&a=b", "wx1", "id=wx1&a=b", true},
		"an id behind a slash":      {"appid=/$APPID$", "appid=%2Fwx1", "wx1", "appid=/wx1", true},
		"an id between texts":       {"id=a-$CORPID$-b", "id=a-ww1-b", "ww1", "id=a-ww1-b", true},
		"the first that is an id":   {"id=/$APPID$", "id=/&id=/%2e%2e&id=/wx1&id=/wx2", "wx1", "id=/wx1", true},
		"no id":                     {"id=/$APPID$", "id=/", "", "", false},
		"an id without its slash":   {"id=/$APPID$", "id=wx1", "", "", false},
		"an id that holds a query":  {"id=$APPID$", "id=wx1%26admin=1", "", "", false},
		"an id that holds a header": {"id=$APPID$", "id=wx1%0d%0aX:1", "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			gate := New(config.Config{Path: "/a", Query: test.configured}, config.Credentials{})
			id, ok := gate.serves(Request{Path: "/a", RawQuery: test.query})
			if ok != test.ok || ok && (id != test.id || gate.URLQuery(id) != test.told) {
				t.Errorf("got %q %v, and %q is told", id, ok, gate.URLQuery(id))
			}
		})
	}
}

// TestFreshness: what WeChat repeats for a day is taken for one, where its kind is known before its age is judged; of nothing else is
// a captured request good for longer than five minutes.
func TestFreshness(t *testing.T) {
	const short, day = 5 * time.Minute, 25 * time.Hour
	for name, test := range map[string]struct {
		platform, mode, text string
		want                 time.Duration
	}{
		"a text":                            {config.PlatformOfficialAccount, config.ModeEncrypted, "<xml><MsgType>text</MsgType></xml>", short},
		"an event":                          {config.PlatformOfficialAccount, config.ModeCompatible, "<xml><MsgType>event</MsgType><Event>subscribe</Event></xml>", short},
		"a payment":                         {config.PlatformOfficialAccount, config.ModeEncrypted, "<xml><MsgType>event</MsgType><Event>xpay_goods_deliver_notify</Event></xml>", day},
		"a message that cannot be read":     {config.PlatformOfficialAccount, config.ModeEncrypted, "<xml><New/><MsgType>text</MsgType></xml>", day},
		"a text to a mini program":          {config.PlatformMiniProgram, config.ModeEncrypted, `{"MsgType":"text"}`, day},
		"a shop's event":                    {config.PlatformShop, "", `{"MsgType":"event","Event":"a"}`, day},
		"a message to a WeCom app":          {config.PlatformWeCom, "", "<xml><MsgType>text</MsgType></xml>", short},
		"a command to a suite":              {config.PlatformWeCom, "", "<xml><SuiteId>wx1</SuiteId><InfoType>suite_ticket</InfoType></xml>", day},
		"a ticket":                          {config.PlatformOpenPlatform, "", "<xml><AppId>wx1</AppId><InfoType>component_verify_ticket</InfoType></xml>", day},
		"a text to a platform's authorizer": {config.PlatformOpenPlatform, "", "<xml><MsgType>text</MsgType></xml>", day},
	} {
		t.Run(name, func(t *testing.T) {
			for age, fresh := range map[time.Duration]bool{test.want: true, test.want + time.Second: false} {
				m := newSealedMessage()
				m.config.Platform, m.config.MessageMode, m.text, m.age = test.platform, test.mode, test.text, age
				if _, message, err := m.check(t); (err == nil) != fresh || fresh && !message.StaleAt.Equal(now) {
					t.Errorf("%v old: stale at %v, %v", age, message.StaleAt, err)
				}
			}
			m := newSealedMessage()
			m.config.Platform, m.config.MessageMode, m.text, m.age = test.platform, test.mode, test.text, time.Minute
			m.config.Freshness = config.Duration(30 * time.Second)
			_, message, err := m.check(t)
			expectRefusal(t, message, err, wechat.ReasonStale) // as it is configured, whatever the kind
		})
	}
}

// TestWhatIsPlayed: by the nonce, which was signed, and for a probe the InfoType too; what a user writes makes none.
func TestWhatIsPlayed(t *testing.T) {
	const probe = config.ProbeInfoType
	for name, test := range map[string]struct {
		nonce, infoType      string
		echo                 []byte
		played, trial, probe bool
	}{
		"WeChat's message":                 {"7", "", nil, false, false, false},
		"one that says it is a probe":      {"7", probe, nil, false, false, false},
		"WeChat's URL check":               {"7", "", []byte("1"), false, false, false},
		"a probe":                          {config.ProbeNoncePrefix + "7", probe, nil, true, false, true},
		"a probe by a URL check":           {config.ProbeNoncePrefix + "7", "", []byte("1"), true, false, true},
		"a message with a probe's nonce":   {config.ProbeNoncePrefix + "7", "suite_ticket", nil, true, false, false},
		"a message that is to be answered": {config.TrialNoncePrefix + "7", "", nil, true, true, false},
		"a prefix that stands elsewhere":   {"7" + config.TrialNoncePrefix, probe, nil, false, false, false},
	} {
		m := Message{Query: wechat.Query{Triple: wechat.Triple{Nonce: test.nonce}}, Echo: test.echo, Fields: wechat.Fields{InfoType: test.infoType}}
		if m.Played() != test.played || m.Trial() != test.trial || m.Probe() != test.probe {
			t.Errorf("%s: played %v, trial %v, probe %v", name, m.Played(), m.Trial(), m.Probe())
		}
	}
}

// TestAWrongReceiverIsNamed, if it is an id, to who may read the log; and it counts only where it is WeChat's.
func TestAWrongReceiverIsNamed(t *testing.T) {
	for name, test := range map[string]struct{ receiver, nonce, counts, said string }{
		"an id":               {"wx9", "7", "wx9", "wx9"},
		"one that is played":  {"wx9", config.TrialNoncePrefix + "7", "", "wx9"},
		"what is no id":       {"wx9\nforged=1", "7", "", "an account"},
		"nobody":              {"", "7", "", "an account"},
		"one that is endless": {strings.Repeat("w", 65), "7", "", "an account"},
	} {
		m := Message{ReceiverID: test.receiver, Query: wechat.Query{Triple: wechat.Triple{Nonce: test.nonce}}}
		if refusal := wrongReceiver(&m); refusal.Receiver != test.counts || !strings.HasPrefix(refusal.Detail, "encrypted for "+test.said) || strings.Contains(refusal.Detail, "forged") {
			t.Errorf("%s: %+v", name, refusal)
		}
	}
}

// TestAnInfoTypeIsThePlatformsOwn: it is sealed for the platform or suite, and not for a customer or for anybody.
func TestAnInfoTypeIsThePlatformsOwn(t *testing.T) {
	for name, test := range map[string]struct {
		receiver  string
		receivers []string
		want      string
	}{
		"for the AppID":                {"wx1", nil, "suite_ticket"},
		"for one that is listed":       {"suite", []string{"suite", "corp"}, "suite_ticket"},
		"for the id of the path":       {"ww1", []string{config.PlaceholderCorpID}, ""},
		"for anybody":                  {"ww7", []string{config.AnyReceiver}, ""},
		"for the AppID among anybody":  {"wx1", []string{config.AnyReceiver}, "suite_ticket"},
		"for a listed one beside any":  {"suite", []string{"suite", config.AnyReceiver}, "suite_ticket"},
		"for another one beside a few": {"ww7", []string{"suite", config.AnyReceiver}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newSealedMessage()
			m.config.Platform, m.config.MessageMode, m.config.Path, m.path = config.PlatformWeCom, "", "/$CORPID$", "/ww1"
			m.config.ReceiverIDs, m.receiver, m.more = test.receivers, test.receiver, ""
			m.text = "<xml><SuiteId>suite</SuiteId><InfoType>suite_ticket</InfoType></xml>"
			if _, message, err := m.check(t); err != nil || message.Fields.InfoType != test.want {
				t.Errorf("InfoType %q, %v", message.Fields.InfoType, err)
			}
			m.text = "<xml><ToUserName>suite</ToUserName><MsgType>text</MsgType><InfoType>suite_ticket</InfoType></xml>"
			if _, message, err := m.check(t); err != nil || message.Fields.InfoType != "" {
				t.Errorf("a message has the InfoType %q, %v", message.Fields.InfoType, err)
			}
			m.text = "<xml><SuiteId>suite</SuiteId><InfoType>suite_ticket</InfoType></xml>"
			m.config.Platform, m.config.MessageMode = config.PlatformOfficialAccount, config.ModeEncrypted
			if _, message, err := m.check(t); err != nil || message.Fields.InfoType != "" {
				t.Errorf("an Official Account has the InfoType %q, %v", message.Fields.InfoType, err)
			}
		})
	}
}
