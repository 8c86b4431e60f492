// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// typed are what users type, as WeChat writes it into its messages.
var typed = map[string]string{
	"a control character":           "\x1d",
	"NUL":                           "\x00",
	"no character":                  "\ufffe",
	"half a character":              "\xe4\xbd",
	"a lone surrogate":              "\xed\xa0\xbd",
	"the end of a section":          "a]]>b",
	"an event":                      "x]]></Content><Event><![CDATA[subscribe]]></Event><Content><![CDATA[y",
	"another MsgType, and an event": "x]]></Content><MsgType><![CDATA[event]]></MsgType><Event>subscribe</Event><Content><![CDATA[y",
	"a payment":                     "x]]></Content><Event>xpay_goods_deliver_notify</Event><Content><![CDATA[y",
	"an InfoType":                   "x]]></Content><InfoType>wechatendpoint_probe</InfoType><Content><![CDATA[y",
	"a ticket":                      "x]]></Content><InfoType>suite_ticket</InfoType><SuiteTicket>a</SuiteTicket><Content><![CDATA[y",
	"another sender":                "x]]></Content><FromUserName>gh_1</FromUserName><Content><![CDATA[y",
	"an Encrypt":                    "x]]></Content><Encrypt>forged</Encrypt><Content><![CDATA[y",
	"the end of the message":        "x]]></Content></xml><xml><Encrypt>forged</Encrypt><Content><![CDATA[",
	"an Encrypt of JSON":            `","Encrypt":"forged","Content":"`,
	"an event of JSON":              `","MsgType":"event","Event":"subscribe","Content":"`,
	"an escape that is broken":      `\ud83d`,
	"markup":                        "<a href='b'>&c;</a><!--",
	"a DOCTYPE":                     "<!DOCTYPE xml [<!ENTITY a 'b'>]>",
}

// write puts a text into a message in place of the word hi. WeChat escapes nothing but the quotes and backslashes of JSON.
func write(message, text string) string {
	if strings.HasPrefix(message, "{") {
		return strings.Replace(message, "hi", strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text), 1)
	}
	return strings.Replace(message, ">hi<", "><![CDATA["+text+"]]><", 1)
}

// TestWhatUsersTypeDecidesNothing: whatever it is, in every notation, mode and payload, the message goes where the same message
// goes with the text a, and the app and WeChat are told the same.
func TestWhatUsersTypeDecidesNothing(t *testing.T) {
	t.Parallel()
	for kind, account := range accounts() {
		if account.message == ticketText {
			continue // nobody types tickets
		}
		for _, payload := range []string{config.PayloadDecrypted, config.PayloadOriginal} {
			t.Run(kind+", "+payload, func(t *testing.T) {
				t.Parallel()
				v := newVictim(t, kind, func(c *config.Config) {
					c.Backend.Payload = payload
					c.Rules = []config.Rule{
						{Match: config.Match{Event: "subscribe"}, Action: config.ActionDiscard},
						{Match: config.Match{InfoType: "suite_ticket"}, Action: config.ActionDiscard},
					}
				})
				send := func(t *testing.T, text string) (told http.Header, answer caller.Answer, body, message string) {
					t.Helper()
					v.unique++
					message = write(v.kind.message, fmt.Sprint(text, v.unique))
					answer, err := v.sender.Post(t.Context(), []byte(message))
					must(t, answer, err)
					seen := v.app.last(t)
					told = seen.Header.Clone()
					for _, of := range []string{"X-Wechat-Delivery-Id", "X-Wechat-Deadline", "X-Wechat-Gateway-Signature", "Content-Length"} {
						told.Del(of)
					}
					return told, answer, v.app.taken()[0], message
				}
				usual, usualAnswer, _, _ := send(t, "a")
				for what, text := range typed {
					t.Run(what, func(t *testing.T) {
						told, answer, body, message := send(t, text)
						if diff := cmp.Diff(usual, told); diff != "" {
							t.Errorf("the app was told otherwise:\n%s", diff)
						}
						if payload == config.PayloadDecrypted && body != message {
							t.Errorf("the app got %q, want %q", body, message)
						}
						if answer.Status != usualAnswer.Status {
							t.Errorf("answered %d, want %d", answer.Status, usualAnswer.Status)
						}
					})
				}
			})
		}
	}
}

// TestWhatCannotBeReadIsNotAcknowledged: a message of which nobody knows what kind it is, because there is more in it than the
// fields before it, goes to the app, which is told so; and WeChat is told to send it again where the app does not take it.
func TestWhatCannotBeReadIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	for kind, message := range map[string]string{
		"an Official Account, encrypted": "<xml><ToUserName>gh_1</ToUserName><Unknown>\x1d</Unknown><MsgType>text</MsgType></xml>",
		"a Mini Program, encrypted JSON": `{"ToUserName":"gh_1","MsgType":"event",Event}`,
		"a WeCom app":                    "<xml><Unknown/><InfoType>suite_ticket</InfoType></xml>",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, kind, func(c *config.Config) { c.Backend.Deadline = config.Duration(200 * time.Millisecond) })
			v.app.answers(func(http.ResponseWriter, *http.Request) { time.Sleep(400 * time.Millisecond) })
			answer, err := v.sender.Post(t.Context(), []byte(message))
			if must(t, answer, err); answer.Status != http.StatusServiceUnavailable {
				t.Errorf("answered %d, want 503", answer.Status)
			}
			if told := v.app.last(t).Header.Get("X-Wechat-Fields"); told != "unreadable" {
				t.Errorf("the app was told X-WeChat-Fields: %q", told)
			}
			if counted := v.metric(t, "wechat_sidecar_unreadable_total"); counted != 1 {
				t.Errorf("%v are counted", counted)
			}
		})
	}
}

// TestTheURLsOwnQuery must come with every callback, and reaches the app with every payload, and nothing else of the query does.
func TestTheURLsOwnQuery(t *testing.T) {
	t.Parallel()
	for kind := range accounts() {
		for _, payload := range []string{config.PayloadDecrypted, config.PayloadOriginal} {
			t.Run(kind+", "+payload, func(t *testing.T) {
				t.Parallel()
				v := newVictim(t, kind, func(c *config.Config) {
					c.Query = "id=5&kind=a%2Fb"
					c.Backend.Payload = payload
					c.Backend.Path = "/callback"
				})
				for name, row := range map[string]struct {
					query string
					want  verdict
				}{
					"as it is":                  {"id=5&kind=a%2Fb", accepted},
					"in another order":          {"kind=a/b&id=%35", accepted},
					"beside others":             {"a=b&id=5&kind=a/b&id=6&encrypt_type=AES", accepted},
					"without one":               {"id=5", unknown},
					"with another value":        {"id=6&kind=a/b", unknown},
					"with a value in two parts": {"id=&id5&kind=a/b", unknown},
					"with a name in capitals":   {"ID=5&kind=a/b", unknown},
					"nothing":                   {"", unknown},
				} {
					t.Run(name, func(t *testing.T) {
						request, message := v.genuine(t)
						request.Query = strings.Trim(row.query+"&"+request.Query, "&")
						answer, err := v.sender.Send(t.Context(), request)
						if row.want != accepted {
							v.judge(t, row.want, answer, err, message)
							return
						}
						if must(t, answer, err); answer.Status != http.StatusOK {
							t.Fatalf("answered %d", answer.Status)
						}
						target := v.app.last(t).URL
						v.app.taken()
						got, err := url.ParseQuery(target.RawQuery)
						if err != nil || target.Path != "/callback" || len(got["id"]) != 1 || got.Get("id") != "5" || got.Get("kind") != "a/b" || got.Has("a") {
							t.Errorf("the app was called with %s", target)
						}
					})
				}
			})
		}
	}
}

// TestAcknowledgementsAreSentAsWeChatReadsThem, whatever frameworks write around them.
func TestAcknowledgementsAreSentAsWeChatReadsThem(t *testing.T) {
	t.Parallel()
	for kind, account := range accounts() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, kind, nil)
			for _, row := range []struct{ reply, want string }{
				{"success", "success"}, {"success\n", "success"}, {" \t\r\nsuccess", "success"}, {"\xef\xbb\xbfsuccess", "success"},
				{"\xef\xbb\xbf success\xef\xbb\xbf\n", "success"}, {"", ""}, {"\r\n", ""}, {"\xef\xbb\xbf", ""},
			} {
				v.app.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, row.reply) })
				answer, err := v.sender.Post(t.Context(), []byte(v.message()))
				must(t, answer, err)
				if account.answered != "" {
					row.want = account.answered
				}
				if answer.Status != http.StatusOK || string(answer.Body) != row.want {
					t.Errorf("%q is passed on as %d %q", row.reply, answer.Status, answer.Body)
				}
			}
		})
	}
}

// TestTencentsSampleReadsTheEnvelope: its XMLParse.java takes the first Encrypt and the first ToUserName of the document, and
// ends in a NullPointerException where either is missing.
func TestTencentsSampleReadsTheEnvelope(t *testing.T) {
	t.Parallel()
	for kind, account := range accounts() {
		if account.sender.EncodingAESKey == "" || account.sender.Form != wechat.FormXML || kind == "a third-party platform's tickets" {
			continue // WeChat itself writes AppId there, and no ToUserName
		}
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, kind, func(c *config.Config) { c.Backend.Payload = config.PayloadOriginal })
			message := strings.Replace(v.message(), "</xml>", "<AgentID>218</AgentID></xml>", 1)
			answer, err := v.sender.Post(t.Context(), []byte(message))
			must(t, answer, err)
			body := v.app.taken()[0]
			if v.sender.WeCom && !strings.Contains(body, "<AgentID><![CDATA[218]]></AgentID>") {
				t.Errorf("AgentID is missing in %s", body)
			}
			for _, name := range []string{"Encrypt", "ToUserName"} {
				_, after, _ := strings.Cut(body, "<"+name+"><![CDATA[")
				if text, _, found := strings.Cut(after, "]]></"+name+">"); !found || text == "" {
					t.Errorf("%s is missing in %s", name, body)
				}
			}
		})
	}
}
