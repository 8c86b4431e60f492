// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadFields(t *testing.T) {
	for name, test := range map[string]struct {
		message string
		want    Fields
	}{
		"a message": {
			"<xml><ToUserName><![CDATA[gh_1]]></ToUserName>\n<FromUserName>o1</FromUserName><CreateTime>1</CreateTime><MsgType> text </MsgType><Content>hi</Content><MsgId>1</MsgId></xml>",
			Fields{ToUserName: "gh_1", FromUserName: "o1", MsgType: "text"},
		},
		"an event": {
			"<?xml version=\"1.0\"?><xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><MsgType>event</MsgType><Event>subscribe</Event><EventKey><![CDATA[]]></EventKey></xml>",
			Fields{ToUserName: "gh_1", FromUserName: "o1", MsgType: "event", Event: "subscribe"},
		},
		"a message of WeCom": {
			"<xml><ToUserName>ww1</ToUserName><FromUserName>u</FromUserName><MsgType>text</MsgType><Content>hi</Content><MsgId>1</MsgId><AgentID>218</AgentID></xml>",
			Fields{ToUserName: "ww1", FromUserName: "u", MsgType: "text", AgentID: "218"},
		},
		"an event of WeCom": {
			"<xml><ToUserName>ww1</ToUserName><MsgType>event</MsgType><AgentID>218</AgentID><Event>click</Event><EventKey>k</EventKey></xml>",
			Fields{ToUserName: "ww1", MsgType: "event", Event: "click", AgentID: "218"},
		},
		"what the Open Platform tells":      {"<xml><AppId>wx1</AppId><CreateTime>1</CreateTime><InfoType>authorized</InfoType><AuthorizerAppid>wx2</AuthorizerAppid></xml>", Fields{InfoType: "authorized"}},
		"what a suite is told":              {"<xml><SuiteId>ww1</SuiteId><AuthCode>c</AuthCode><InfoType>create_auth</InfoType><TimeStamp>1</TimeStamp></xml>", Fields{InfoType: "create_auth"}},
		"JSON":                              {`{"MsgType":"text","AgentID":218,"ToUserName":"gh_1","FromUserName":"o1"}`, Fields{MsgType: "text", AgentID: "218", ToUserName: "gh_1", FromUserName: "o1"}},
		"JSON in any order":                 {`{"Event":"subscribe","Content":"hi","MsgType":"event"}`, Fields{MsgType: "event", Event: "subscribe"}},
		"JSON with lower-case names":        {`{"msgtype":"text","tousername":"ww1"}`, Fields{MsgType: "text", ToUserName: "ww1"}},
		"an event of a bot":                 {`{"msgtype":"event","event":{"eventtype":"enter_chat"}}`, Fields{MsgType: "event", Event: "enter_chat"}},
		"an event of a bot with more in it": {`{"event":{"a":{},"eventtype":"template_card_event","b":[]},"msgtype":"event"}`, Fields{MsgType: "event", Event: "template_card_event"}},

		"an event of a message that is none":       {"<xml><MsgType>text</MsgType><Event>subscribe</Event></xml>", Fields{MsgType: "text"}},
		"the same in JSON":                         {`{"MsgType":"text","Event":"subscribe"}`, Fields{MsgType: "text"}},
		"an event without a type":                  {"<xml><Event>subscribe</Event></xml>", Fields{}},
		"a field that stands twice is empty":       {"<xml><MsgType>text</MsgType><MsgType>event</MsgType><Event>a</Event></xml>", Fields{}},
		"a field that stands three times is empty": {"<xml><MsgType>a</MsgType><MsgType>b</MsgType><MsgType>c</MsgType></xml>", Fields{}},
		"a field and its twin in lower case":       {`{"MsgType":"text","msgtype":"event"}`, Fields{}},
		"an empty field before another is empty":   {"<xml><MsgType/><MsgType>text</MsgType></xml>", Fields{}},
		"a field that is a list is empty":          {`{"MsgType":["text"]}`, Fields{}},
		"a field that is a number is empty":        {`{"MsgType":1}`, Fields{}},
		"a field of a child is another":            {`{"a":{"MsgType":"text"}}`, Fields{}},
		"a document without any of them has none":  {"<xml></xml>", Fields{}},
		"so has JSON": {`{"demo_resp":"good luck"}`, Fields{}},
		"a text that cannot be decoded leaves others": {"{\"MsgType\":\"text\",\"Content\":\"\x1d\xff\"}", Fields{MsgType: "text"}},

		"a control character of the user's":       {"<xml><MsgType>text</MsgType><Content><![CDATA[\x1d]]></Content></xml>", Fields{MsgType: "text"}},
		"half a character of the user's":          {"<xml><MsgType>text</MsgType><Content><![CDATA[\xe4\xb8]]></Content></xml>", Fields{MsgType: "text"}},
		"the end of the section":                  {"<xml><MsgType>text</MsgType><Content><![CDATA[]]>]]></Content></xml>", Fields{MsgType: "text"}},
		"an Event of the user's":                  {"<xml><MsgType>text</MsgType><Content><![CDATA[x]]></Content><Event><![CDATA[subscribe]]></Event><Content><![CDATA[y]]></Content></xml>", Fields{MsgType: "text"}},
		"an EventKey of the user's":               {"<xml><MsgType>event</MsgType><Event>VIEW</Event><EventKey><![CDATA[x]]></EventKey><Event>subscribe</Event><EventKey><![CDATA[]]></EventKey></xml>", Fields{MsgType: "event", Event: "VIEW"}},
		"an AgentID of the user's":                {"<xml><MsgType>text</MsgType><Content><![CDATA[x]]></Content><AgentID>9</AgentID><Content><![CDATA[y]]></Content><AgentID>1</AgentID></xml>", Fields{MsgType: "text", AgentID: "1"}},
		"an AgentID of the user's and none other": {"<xml><MsgType>text</MsgType><Content><![CDATA[x]]></Content><AgentID>9</AgentID><Content><![CDATA[y]]></Content></xml>", Fields{MsgType: "text"}},

		"a head that is torn":                    {"<xml><ToUserName><![CDATA[gh_1]]></ToUserName><MsgType><![CDATA[te]]>xt]]></MsgType></xml>", Fields{ToUserName: "gh_1", Unreadable: true}},
		"a field with a namespace is unreadable": {`<xml><MsgType xmlns="urn:a">text</MsgType></xml>`, Fields{Unreadable: true}},
		"a field with children is unreadable":    {"<xml><MsgType>te<b>x</b>t</MsgType></xml>", Fields{Unreadable: true}},
		"an event whose kind is torn":            {"<xml><MsgType>event</MsgType><Event><![CDATA[a]]>b]]></Event></xml>", Fields{MsgType: "event", Unreadable: true}},
		"a document that nobody knows":           {"<xml><a>1</a><MsgType>text</MsgType></xml>", Fields{Unreadable: true}},
		"a text that is no document":             {"success", Fields{Unreadable: true}},
		"JSON that is no object to its end":      {`{"MsgType":"text"`, Fields{Unreadable: true}},
		"JSON with a field of a broken escape":   {`{"FromUserName":"o1","MsgType":"\x"}`, Fields{Unreadable: true}},
		"nothing":                                {"", Fields{Unreadable: true}},
		"a root that is another":                 {"<html><MsgType>text</MsgType></html>", Fields{Unreadable: true}},
		"a document whose end is missing":        {"<xml><MsgType>text</MsgType>", Fields{MsgType: "text"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, ReadFields([]byte(test.message))); diff != "" {
				t.Errorf("read otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

// kinds are messages with a place for what a user wrote, as Tencent's documents have them, one for each kind of place.
var kinds = []string{
	"<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[o1]]></FromUserName><CreateTime>1</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[%s]]></Content><MsgId>1</MsgId></xml>",
	"<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[o1]]></FromUserName><CreateTime>1</CreateTime><MsgType><![CDATA[voice]]></MsgType><MediaId><![CDATA[m]]></MediaId><Format><![CDATA[amr]]></Format><Recognition><![CDATA[%s]]></Recognition><MsgId>1</MsgId></xml>",
	"<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[o1]]></FromUserName><CreateTime>1</CreateTime><MsgType><![CDATA[location]]></MsgType><Location_X>1</Location_X><Location_Y>2</Location_Y><Scale>1</Scale><Label><![CDATA[%s]]></Label><MsgId>1</MsgId></xml>",
	"<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[o1]]></FromUserName><CreateTime>1</CreateTime><MsgType><![CDATA[link]]></MsgType><Title><![CDATA[%s]]></Title><Description><![CDATA[%[1]s]]></Description><Url><![CDATA[%[1]s]]></Url><MsgId>1</MsgId></xml>",
	"<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[o1]]></FromUserName><CreateTime>1</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[scancode_push]]></Event><EventKey><![CDATA[k]]></EventKey><ScanCodeInfo><ScanType><![CDATA[qrcode]]></ScanType><ScanResult><![CDATA[%s]]></ScanResult></ScanCodeInfo></xml>",
	"<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[o1]]></FromUserName><CreateTime>1</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[location_select]]></Event><EventKey><![CDATA[k]]></EventKey><SendLocationInfo><Label><![CDATA[%s]]></Label><Poiname><![CDATA[%[1]s]]></Poiname></SendLocationInfo></xml>",
	"<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[o1]]></FromUserName><CreateTime>1</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[xpay_goods_deliver_notify]]></Event><OpenId><![CDATA[o1]]></OpenId><GoodsInfo><Attach><![CDATA[%s]]></Attach></GoodsInfo></xml>",
	"<xml><ToUserName><![CDATA[ww1]]></ToUserName><FromUserName><![CDATA[u]]></FromUserName><CreateTime>1</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[%s]]></Content><MsgId>1</MsgId><AgentID>218</AgentID></xml>",
	"<xml><ToUserName><![CDATA[ww1]]></ToUserName><FromUserName><![CDATA[sys]]></FromUserName><CreateTime>1</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[change_contact]]></Event><ChangeType>update_user</ChangeType><UserID><![CDATA[u]]></UserID><Name><![CDATA[%s]]></Name></xml>",
	"<xml><SuiteId><![CDATA[ww9]]></SuiteId><AuthCorpId><![CDATA[ww1]]></AuthCorpId><InfoType><![CDATA[change_contact]]></InfoType><TimeStamp>1</TimeStamp><ChangeType>update_user</ChangeType><Name><![CDATA[%s]]></Name></xml>",
	"<xml><AppId><![CDATA[wx1]]></AppId><CreateTime>1</CreateTime><InfoType><![CDATA[notify_third_fasteregister]]></InfoType><info><name><![CDATA[%s]]></name></info></xml>",
}

// TestAUsersTextDecidesNothing with texts that have the form of what decides.
func TestAUsersTextDecidesNothing(t *testing.T) {
	for _, text := range usersTexts {
		sameDecision(t, text)
	}
}

// usersTexts are what people type, or could.
var usersTexts = []string{
	"]]>", "]]></Content>", "x]]></Content><Event><![CDATA[subscribe]]></Event><Content><![CDATA[y", "<InfoType>wechatendpoint_probe</InfoType>",
	"]]></Content><InfoType>suite_ticket</InfoType><Content><![CDATA[", "]]></Content><MsgType>event</MsgType><Event>xpay_refund</Event></xml>",
	"]]></Content></xml>", "]]></Content><AgentID>9</AgentID></xml>", "]]></Content><AgentID>9</AgentID><Content><![CDATA[", "\x1d", "\x00", "\ufffe", "\xe4\xb8", "\xff\xfe",
	"<!--", "<![CDATA[", "<!DOCTYPE xml>", "&amp;&#0;&", "]]></Name><AgentID>9", "]]></Name><AgentID><![CDATA[9]]></AgentID><Name><![CDATA[",
	`","MsgType":"event","Event":"subscribe","a":"`, `\`, `"`, `\"`, "\n", strings.Repeat("]]>", 1000),
}

// FuzzUsersText holds that whatever a user writes, in whatever place of whatever kind of message, decides no more than the letter a.
//
// In JSON, quotes, backslashes and control characters are escaped (encoding/json does it here); what WeChat leaves as it is beyond
// that, half characters above all, is put in raw.
func FuzzUsersText(f *testing.F) {
	for _, text := range usersTexts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { sameDecision(t, text) })
}

func sameDecision(t *testing.T, text string) {
	t.Helper()
	for _, kind := range kinds {
		want, got := ReadFields(fmt.Appendf(nil, kind, "a")), ReadFields([]byte(strings.ReplaceAll(strings.ReplaceAll(kind, "%[1]s", "%s"), "%s", text)))
		if want != got || want.Unreadable {
			t.Errorf("with %q in %s: %+v, want %+v", text, kind, got, want)
		}
	}
	escaped, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	raw := strings.NewReplacer("\\", `\\`, `"`, `\"`).Replace(text)
	for _, quoted := range []string{string(escaped), `"` + raw + `"`} {
		for _, kind := range []string{
			`{"ToUserName":"gh_1","FromUserName":"o1","MsgType":"text","Content":%s,"MsgId":1}`,
			`{"Content":%s,"ToUserName":"gh_1","FromUserName":"o1","MsgType":"event","Event":"user_enter_tempsession","SessionFrom":%[1]s}`,
			`{"msgid":"1","from":{"userid":"u"},"msgtype":"text","text":{"content":%s},"quote":[%[1]s]}`,
			`{"msgtype":"event","event":{"a":%s,"eventtype":"enter_chat","b":%[1]s}}`,
		} {
			want, got := ReadFields(fmt.Appendf(nil, kind, `"a"`)), ReadFields([]byte(strings.ReplaceAll(strings.ReplaceAll(kind, "%[1]s", "%s"), "%s", quoted)))
			if want != got || want.Unreadable {
				t.Errorf("with %q in %s: %+v, want %+v", quoted, kind, got, want)
			}
		}
	}
}

// TestWhatMustNotBeLost is what WeChat repeats for hours, and what nobody knows.
func TestWhatMustNotBeLost(t *testing.T) {
	for name, test := range map[string]struct {
		fields Fields
		want   bool
	}{
		"a text":                       {Fields{MsgType: "text"}, false},
		"an event":                     {Fields{MsgType: "event", Event: "subscribe"}, false},
		"a ticket":                     {Fields{InfoType: "suite_ticket"}, true},
		"goods that were paid for":     {Fields{MsgType: "event", Event: "xpay_goods_deliver_notify"}, true},
		"a refund of virtual payment":  {Fields{MsgType: "event", Event: "xpay_refund_notify"}, true},
		"a game's goods":               {Fields{MsgType: "event", Event: "minigame_game_pay_goods_deliver_notify"}, true},
		"a payment to the platform":    {Fields{MsgType: "event", Event: "funds_order_pay"}, true},
		"an event with payment inside": {Fields{MsgType: "event", Event: "my_xpay_event"}, false},
		"a message of no known kind":   {Fields{Unreadable: true}, true},
	} {
		if got := test.fields.MustNotBeLost(); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestMaxReply(t *testing.T) {
	for form, want := range map[Form]int64{FormXML: MaxReplySize, FormJSON: MaxReplySize, FormOther: MaxReplySize, FormJSONLower: MaxBotReplySize} {
		if got := MaxReply(form); got != want {
			t.Errorf("form %d: %d bytes", form, got)
		}
	}
}
