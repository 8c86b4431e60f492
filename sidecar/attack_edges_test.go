// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// The edge cases of the protocol, one by one, and where an outsider plays them:
//
//	+ in echostr             TestEchostrIsDecodedOnce
//	base64 trailing bits     of a ciphertext: TestMalformedCiphertextsAreRefusedAlike. Of a key: not an outsider's; config
//	base64 and white space   TestMalformedCiphertextsAreRefusedAlike: line ends pass, spaces do not
//	key length               not an outsider's; config
//	padding block            TestMessagesOfEveryLength, TestMalformedCiphertextsAreRefusedAlike
//	padding oracle           TestMalformedCiphertextsAreRefusedAlike compares whole answers. Time is not measured here
//	lenient peers            TestMalformedVectorsAreRefusedAlike; that they differ is theirs
//	length of the message    TestMalformedCiphertextsAreRefusedAlike
//	order of the parts       TestNoncesOfEveryOrder
//	parts that are not ASCII TestNoParameterCanBePolluted
//	case of hexadecimal      TestParametersThatAreNotThere
//	doubled parameters       TestNoParameterCanBePolluted
//	empty parameters         TestNoParameterCanBePolluted; timestamp and nonce cut elsewhere: TestParametersThatAreNotThere
//	semicolons, broken %     TestNoParameterCanBePolluted
//	echostr on the wrong one TestTheMethodDecides
//	white space in XML       TestHostileXML
//	DOCTYPE and entities     TestHostileXML
//	Encrypt twice            TestHostileXML, TestHostileJSON
//	names in JSON            TestHostileJSON
//	byte order mark          TestHostileXML, TestHostileJSON; none in an answer: TestEchostrIsDecodedOnce compares bytes
//	]]> in a content         TestMessagesPassByteForByte
//	nonce in a reply         TestNoncesOfEveryOrder
//	ids of 64 bits           TestMessagesPassByteForByte
//	skew of the timestamp    TestTimestamps
//	redirects                TestPathsAndHosts: each answer has its status
//	wrapped answers          TestEchostrIsDecodedOnce
//	HTTP/1.0                 TestHostileHTTP, TestEchostrIsDecodedOnce
//	timestamps as int32      TestTimestamps: those after 2038 are far in the future, until they are not

// TestEchostrIsDecodedOnce, whatever compression or version the client offers.
func TestEchostrIsDecodedOnce(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "an Official Account, plaintext", nil)
	v.check = true
	for name, row := range map[string]struct {
		want         verdict
		sent, echoed string
	}{
		"digits":                    {accepted, "4854452082868266014", "4854452082868266014"},
		"more digits than a number": {accepted, strings.Repeat("9", 40), strings.Repeat("9", 40)},
		"an escaped plus":           {accepted, "a%2Bb%2F%3D", "a+b/="},
		"a plus escaped twice":      {accepted, "a%252Bb", "a%2Bb"},
		"a bare plus is a space":    {refused, "a+b", ""},
		"an escaped space":          {refused, "a%20b", ""},
		"braces and quotation":      {accepted, "%7B%22a%22%3A1%7D", `{"a":1}`},
	} {
		for _, client := range []struct {
			name  string
			proto string
			field string
		}{{"HTTP/1.1", "HTTP/1.1", ""}, {"HTTP/1.0", "HTTP/1.0", ""}, {"with compression", "HTTP/1.1", "gzip, br, deflate"}} {
			t.Run(name+", "+client.name, func(t *testing.T) {
				request, _ := v.genuine(t)
				attacked := *request
				attacked.Header = request.Header.Clone()
				attacked.Query, attacked.Proto = replaced(request.Query, "echostr", row.sent), client.proto
				if client.field != "" {
					attacked.Header.Set("Accept-Encoding", client.field)
				}
				for _, s := range v.doors() {
					answer, err := v.sends(t, s, &attacked)
					v.judge(t, row.want, answer, err, "")
					if row.want == accepted && (string(answer.Body) != row.echoed || answer.Header.Get("Content-Encoding") != "" || answer.Header.Get("Content-Length") != fmt.Sprint(len(row.echoed))) {
						t.Errorf("echoed %q with %v", answer.Body, answer.Header)
					}
				}
				v.expectAccepted(t, request, "", false)
			})
		}
	}
}

// TestMessagesOfEveryLength: half of them fail where the padding is taken for one of 16.
func TestMessagesOfEveryLength(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "an Official Account, encrypted", nil)
	for size := range 33 {
		message := strings.Replace(v.message(), "</Content>", strings.Repeat("a", size)+"</Content>", 1)
		request, err := v.sender.NewPost([]byte(message))
		if err != nil {
			t.Fatal(err)
		}
		v.expectAccepted(t, request, message, false)
	}
}

// TestNoncesOfEveryOrder: the parts are sorted by their bytes, before, after and between each other, and a nonce comes back
// in the reply without leaving its element.
func TestNoncesOfEveryOrder(t *testing.T) {
	t.Parallel()
	for kind, a := range map[string]string{"XML": "an Official Account, encrypted", "JSON": "a Mini Program, encrypted JSON"} {
		v := newVictim(t, a, nil)
		v.app.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, v.kind.reply) })
		for _, nonce := range []string{
			"0", "1", "!", "~", "+a", "/a", "A", "Z", "a", "z", "zzz", token, token + "a", strings.ToUpper(token), "%2B", "]]>", "]]]]>",
			"]]><Encrypt>forged</Encrypt>", `","Encrypt":"forged`, `\`, `\"`, "<", "&amp;", "'", strings.Repeat("n", 128),
		} {
			t.Run(kind+", "+nonce, func(t *testing.T) {
				request, message := v.genuine(t, wechattest.WithNonce(nonce))
				answer := whole(v.sender.Send(t.Context(), request))
				opened, err := v.sender.OpenReply(answer.Body)
				if err != nil || string(opened) != v.kind.reply {
					t.Errorf("the reply %q, %v", answer.Body, err)
				}
				sealed, err := wechat.ParseReplyEnvelope(answer.Body)
				if err != nil || sealed.Nonce != nonce {
					t.Errorf("the reply's nonce is %q, %v", sealed.Nonce, err)
				}
				v.expectSeen(t, true, message)
			})
		}
	}
}

// TestTheMethodDecides what a request is, and no parameter does.
func TestTheMethodDecides(t *testing.T) {
	t.Parallel()
	for kind, parameter := range map[string]string{
		"an Official Account, plaintext": "echostr=1", "an Official Account, encrypted": "echostr=1",
		"a WeCom app": "echostr=" + url.QueryEscape(base64.StdEncoding.EncodeToString(make([]byte, 64))),
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, kind, nil)
			request, message := v.genuine(t)
			request.Query += "&" + parameter
			answer := whole(v.sender.Send(t.Context(), request))
			if answer.Status != http.StatusOK || len(answer.Body) > 0 {
				t.Errorf("a message with an echostr was answered %d %q", answer.Status, answer.Body)
			}
			v.expectSeen(t, true, message)
			v.check = true
			v.expect(t, refused, func(r *caller.Request) {
				r.Query = strings.Replace(r.Query, "echostr="+parameters(r.Query)["echostr"]+"&", "", 1)
			})
			v.expect(t, refused, func(r *caller.Request) { r.Method = http.MethodHead })
			v.expect(t, refused, func(r *caller.Request) { r.Method, r.Body = http.MethodPost, nil })
		})
	}
	t.Run("a platform without a URL check has none", func(t *testing.T) {
		t.Parallel()
		v := newVictim(t, "a third-party platform's tickets", nil)
		request, err := v.sender.NewURLCheck()
		if err != nil {
			t.Fatal(err)
		}
		v.expectRefusal(t, refused, whole(v.sender.Send(t.Context(), request)))
	})
}

// TestMessagesPassByteForByte: what two parsers would read or write differently reaches the app as it was encrypted.
func TestMessagesPassByteForByte(t *testing.T) {
	t.Parallel()
	for kind, messages := range map[string][]string{
		"an Official Account, encrypted": {
			"<xml><Content><![CDATA[a]]]]><![CDATA[>b]]></Content></xml>", "<xml><MsgId>9223372036854775808</MsgId></xml>",
			"<xml>\r\n<Content>a\tb</Content>\r\n</xml>\r\n", "<xml><Content>&#20320;&#x597D; 你好 👋</Content></xml>",
			"\ufeff<xml><Content>a</Content></xml>", "<xml><MsgId>49d72d67b16d_1555684067</MsgId></xml>",
		},
		"a Shop": {
			`{"order_id":90071992547409931,"amount":1.10,"rate":1e400}`, `{"a":"\u4f60\ud83d\udc4b\/","b":"<&>"}`, "{ \"a\" :\t1 }\r\n", `{"a":1,"a":2}`,
		},
	} {
		v := newVictim(t, kind, nil)
		for i, message := range messages {
			t.Run(fmt.Sprintf("%s %d", kind, i), func(t *testing.T) {
				request, err := v.sender.NewPost([]byte(message))
				if err != nil {
					t.Fatal(err)
				}
				v.expectAccepted(t, request, message, false)
			})
		}
	}
}

// TestTimestamps are signed with the right token, each. The seconds at the bounds are left to the clock.
func TestTimestamps(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	type row struct {
		want verdict
		age  time.Duration
	}
	short := map[string]row{
		"now": {accepted, 0}, "4 minutes old": {accepted, 4 * time.Minute}, "4 minutes ahead": {accepted, -4 * time.Minute},
		"6 minutes old": {refused, 6 * time.Minute}, "6 minutes ahead": {refused, -6 * time.Minute},
		"a day old": {refused, day}, "a day ahead": {refused, -day}, "13 years ahead": {refused, -13 * 365 * day}, "20 years old": {refused, 20 * 365 * day},
	}
	long := map[string]row{
		"now": {accepted, 0}, "24 hours old": {accepted, day}, "26 hours old": {refused, 26 * time.Hour}, "4 minutes ahead": {accepted, -4 * time.Minute},
		"6 minutes ahead": {refused, -6 * time.Minute}, "24 hours ahead": {refused, -day},
	}
	for kind, messages := range map[string]map[string]row{
		"an Official Account, plaintext": short, "an Official Account, encrypted": short, "a WeCom app": short,
		"a Shop": long, "a third-party platform's authorizer": long,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, kind, nil)
			for check, rows := range map[bool]map[string]row{true: short, false: messages} {
				if check && kind == "a third-party platform's authorizer" {
					continue // it has none
				}
				for name, row := range rows {
					t.Run(fmt.Sprintf("%s, URL check %v", name, check), func(t *testing.T) {
						v.expectAged(t, check, row.want, wechattest.WithTime(time.Now().Add(-row.age)))
					})
				}
			}
			for _, timestamp := range []string{"0", "1", "4294967296", "2147483648000", "999999999999", "9223372036854775807", "18446744073709551615", "１７００００００００", "1e9", "NaN", "-1", "+1", "0x1", " 1", "1 "} {
				t.Run(timestamp, func(t *testing.T) { v.expectAged(t, false, refused, wechattest.WithTimestamp(timestamp)) })
			}
		})
	}
}

// expectAged sends a message and a URL check with another timestamp, and then a message of now.
func (v *victim) expectAged(t *testing.T, check bool, want verdict, mutation caller.Mutation) {
	t.Helper()
	v.check = check
	request, message := v.genuine(t, mutation)
	for _, s := range v.doors() {
		answer, err := v.sends(t, s, request)
		v.judge(t, want, answer, err, message)
	}
	v.expectFresh(t)
}

// TestWeComsURLCheckDecryptsNoMessage: what msg_signature covers is the same for an echostr and a message, so that one can
// be sent in place of the other by whoever saw it pass.
func TestWeComsURLCheckDecryptsNoMessage(t *testing.T) {
	t.Parallel()
	for name, message := range map[string]string{
		"XML without white space": "<xml><SuiteId>wx1</SuiteId><InfoType>suite_ticket</InfoType><SuiteTicket>asdf</SuiteTicket></xml>",
		"JSON":                    `{"SuiteTicket":"asdf"}`,
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t, "a suite's commands", nil)
			captured, err := v.sender.NewPost([]byte(message))
			if err != nil {
				t.Fatal(err)
			}
			check := *captured
			check.Method, check.Body = http.MethodGet, nil
			check.Query += "&echostr=" + url.QueryEscape(encryptOf(captured))
			answer := whole(v.sender.Send(t.Context(), &check))
			if answer.Status != http.StatusForbidden || len(answer.Body) > 0 {
				t.Errorf("answered %d %q", answer.Status, answer.Body)
			}
			if answer := whole(v.sender.Send(t.Context(), captured)); answer.Status != http.StatusOK {
				t.Errorf("the message itself is answered %d", answer.Status)
			}
		})
	}
}

func TestWeComsEchostrIsNoMessage(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "a WeCom app", nil)
	captured, err := v.sender.NewURLCheck()
	if err != nil {
		t.Fatal(err)
	}
	query, err := url.ParseQuery(captured.Query)
	if err != nil {
		t.Fatal(err)
	}
	message := *captured
	message.Method, message.Body = http.MethodPost, []byte("<xml><Encrypt>"+query.Get("echostr")+"</Encrypt></xml>")
	if answer := whole(v.sender.Send(t.Context(), &message)); answer.Status != http.StatusForbidden || v.app.count() > 0 {
		t.Errorf("answered %d, the app saw %q", answer.Status, v.app.bodies)
	}
	if answer := whole(v.sender.Send(t.Context(), captured)); answer.Status != http.StatusOK {
		t.Errorf("the URL check itself is answered %d", answer.Status)
	}
}

// TestPlaintextHasNoDoctype: the signature covers no body, so that a captured query that this replica has not seen brings
// any document to the app's parser.
func TestPlaintextHasNoDoctype(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "an Official Account, plaintext", nil)
	request, _ := v.genuine(t)
	for _, prefix := range []string{"", "<?xml version=\"1.0\"?>\n", "<!-- a -->"} {
		attack := request.WithBody([]byte(prefix + `<!DOCTYPE xml [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + strings.Replace(string(request.Body), "hi", "&x;", 1)))
		if answer := whole(v.sender.Send(t.Context(), attack)); answer.Status != http.StatusForbidden || v.app.count() > 0 {
			t.Errorf("answered %d, the app saw %q", answer.Status, v.app.bodies)
		}
	}
	if answer := whole(v.sender.Send(t.Context(), request)); answer.Status != http.StatusOK {
		t.Errorf("the message itself is answered %d", answer.Status)
	}
}

func TestOptionsOfTheServerAreNotAnswered(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "an Official Account, plaintext", nil)
	answers := v.exchange(t, "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", true)
	if len(answers) != 1 || answers[0].Status != http.StatusNotFound {
		t.Errorf("answered %+v", answers)
	}
}
