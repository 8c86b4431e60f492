// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechattest

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

func TestMessagesAreReadAsTheyAreMeant(t *testing.T) {
	const nasty = `]]></a>"\ &<`
	now := time.Unix(1_700_000_000, 0)
	for name, test := range map[string]struct {
		message []byte
		want    wechat.Fields
	}{
		"a text":              {TextMessage("gh", "o", nasty, "1", now), wechat.Fields{ToUserName: "gh", FromUserName: "o", MsgType: "text"}},
		"a text in JSON":      {JSONTextMessage("gh", "o", nasty, "22000000000000000001", now), wechat.Fields{ToUserName: "gh", FromUserName: "o", MsgType: "text"}},
		"a text to a bot":     {BotTextMessage("u", nasty, "1"), wechat.Fields{MsgType: "text"}},
		"an order of a shop":  {ShopOrderEvent("gh", "o", "3705115058471208928", now), wechat.Fields{ToUserName: "gh", FromUserName: "o", MsgType: "event", Event: "channels_ec_order_new"}},
		"a ticket":            {ComponentTicket("wx1", nasty, now), wechat.Fields{InfoType: "component_verify_ticket"}},
		"an authorization":    {Authorization("wx1", "unauthorized", nasty, now), wechat.Fields{InfoType: "unauthorized"}},
		"a ticket of a suite": {SuiteTicket("ww1", nasty, now), wechat.Fields{InfoType: "suite_ticket"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, wechat.ReadFields(test.message)); diff != "" {
				t.Errorf("%s reads otherwise (-want +got):\n%s", test.message, diff)
			}
		})
	}
}

func TestCleartextStandsBesideWhatHasAnEnd(t *testing.T) {
	for body, beside := range map[string]bool{"<xml><MsgType>text</MsgType></xml>\n": true, "x": false} {
		sender := Sender{URL: "http://a/weixin", Token: "token", EncodingAESKey: strings.Repeat("a", 43), ReceiverID: "wx1", Cleartext: true}
		request, err := sender.NewPost([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if envelope, err := wechat.ParseEnvelope(request.Body); err != nil || envelope.Cleartext != beside {
			t.Errorf("%q was sent as %s: %v", body, request.Body, err)
		}
	}
}

// releaseReady answers the release check as its documentation asks.
func releaseReady(w http.ResponseWriter, r *http.Request) {
	var m struct{ ToUserName, FromUserName, Content string }
	body, _ := io.ReadAll(r.Body) // what is cut off is no XML
	if xml.Unmarshal(body, &m) != nil || !strings.Contains(r.URL.Path, "/wx") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if m.Content == "TESTCOMPONENT_MSG_TYPE_TEXT" {
		fmt.Fprint(w, textReply(m.FromUserName, m.ToUserName, m.Content+"_callback"))
	}
}

func TestReleaseCheck(t *testing.T) {
	for name, test := range map[string]struct {
		platform http.HandlerFunc
		refused  int
	}{
		"a platform that is ready":           {releaseReady, 0},
		"one that says nothing":              {func(http.ResponseWriter, *http.Request) {}, 2},
		"one that replies with another text": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, textReply("oUser", "gh", "hello")) }, 4},
		"one that is broken":                 {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, 4},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(test.platform)
			defer server.Close()
			sender := Sender{URL: server.URL + "/$APPID$/callback", Token: "token"}
			refused := 0
			for _, step := range ReleaseCheck("oUser", time.Now()) {
				if _, refusal := sender.Play(t.Context(), step); refusal != nil {
					refused++
				}
			}
			if refused != test.refused {
				t.Errorf("%d steps were refused, want %d", refused, test.refused)
			}
		})
	}
}
