// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// TestASealedReplyIsNoMessageAnywhere: every reply that is sealed, on every platform and in every notation, is posted back to every kind
// of endpoint with the same credentials, by somebody who saw it pass. Where it is for that account, it is refused by its mark.
func TestASealedReplyIsNoMessageAnywhere(t *testing.T) {
	t.Parallel()
	targets := map[string]*victim{}
	for kind := range accounts() {
		targets[kind] = newVictim(t, kind, nil)
	}
	for kind, account := range accounts() {
		if account.sender.EncodingAESKey == "" || account.reply == "" {
			continue
		}
		t.Run("sealed by "+kind, func(t *testing.T) {
			sealer := newVictim(t, kind, nil)
			sealer.app.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, account.reply) })
			request, _ := sealer.genuine(t)
			sealed, err := wechat.ParseReplyEnvelope(whole(sealer.sender.Send(t.Context(), request)).Body)
			if err != nil {
				t.Fatal(err)
			}
			for at, target := range targets {
				reflected := target.metric(t, `wechat_sidecar_refused_total{reason="reflected"}`)
				for _, form := range []wechat.Form{wechat.FormXML, wechat.FormJSON, wechat.FormJSONLower} {
					back, _ := target.genuine(t)
					back.Query = fmt.Sprintf("timestamp=%s&nonce=%s&msg_signature=%s", sealed.Timestamp, sealed.Nonce, sealed.Signature)
					if !target.sender.WeCom {
						back.Query += "&encrypt_type=aes"
					}
					back.Body = wechat.RequestEnvelope(form, nil, sealed.Encrypt)
					if answer := whole(target.sender.Send(t.Context(), back)); answer.Status != http.StatusForbidden {
						t.Errorf("posted to %s it was answered with %d", at, answer.Status)
					}
					target.expectSeen(t, false, "")
				}
				same := account.sender.ReceiverID == target.kind.sender.ReceiverID && target.kind.sender.EncodingAESKey != ""
				if got := target.metric(t, `wechat_sidecar_refused_total{reason="reflected"}`) - reflected; same && got != 3 {
					t.Errorf("posted three times to %s, %v were known by the mark", at, got)
				}
			}
		})
	}
}

// TestAReplyOfAnAppsOwnSealIsNoMessage: with payload Original the app seals by itself, without the mark. It is known by whom it is from.
func TestAReplyOfAnAppsOwnSealIsNoMessage(t *testing.T) {
	t.Parallel()
	for kind, reply := range map[string]string{
		"an Official Account, encrypted": "<xml><ToUserName>oUser</ToUserName><FromUserName>gh_1</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><Content>a</Content></xml>",
		"a Mini Program, encrypted JSON": `{"ToUserName":"oUser","FromUserName":"gh_1","CreateTime":1,"MsgType":"text","Content":"a"}`,
		"a WeCom app":                    "<xml><ToUserName>user</ToUserName><FromUserName>wx1</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><Content>a</Content></xml>",
	} {
		t.Run(kind, func(t *testing.T) {
			v := newVictim(t, kind, func(c *config.Config) { c.Backend.Payload = config.PayloadOriginal })
			if answer := whole(v.sender.Post(t.Context(), []byte(reply))); answer.Status != http.StatusForbidden {
				t.Errorf("answered %d", answer.Status)
			}
			v.expectSeen(t, false, "")
			if got := v.metric(t, `wechat_sidecar_refused_total{reason="reflected"}`); got != 1 {
				t.Errorf("%v are counted", got)
			}
		})
	}
}

// TestAFrozenAppKeepsNoOthersWaiting: it accepts everything and answers nothing, and messages for it come until no place is left.
func TestAFrozenAppKeepsNoOthersWaiting(t *testing.T) {
	t.Parallel()
	frozen := &app{}
	release := make(chan struct{})
	frozen.answer = func(http.ResponseWriter, *http.Request) { <-release }
	server := httptest.NewServer(frozen)
	t.Cleanup(func() { close(release); server.Close() })
	v := newVictim(t, "an Official Account, plaintext", func(c *config.Config) {
		c.Rules = []config.Rule{{Match: config.Match{MsgType: "image"}, Action: config.ActionForward, Backend: &config.Backend{URL: server.URL}}}
	})
	var group sync.WaitGroup
	for n := range 600 {
		group.Go(func() {
			_, _ = v.sender.Post(t.Context(), fmt.Appendf(nil, "<xml><MsgType>image</MsgType><MsgId>%d</MsgId></xml>", n))
		})
	}
	eventually(t, "no place is left", func() bool { return v.metric(t, "wechat_sidecar_in_flight") > 200 })
	for range 20 {
		v.expectFresh(t)
	}
	group.Wait()
}

// TestAFrozenAppTakesNoOthersRoom: it gets large messages and keeps all of them, and the other app of its endpoint still gets one.
func TestAFrozenAppTakesNoOthersRoom(t *testing.T) {
	t.Parallel()
	frozen := &app{}
	release := make(chan struct{})
	frozen.answer = func(http.ResponseWriter, *http.Request) { <-release }
	server := httptest.NewServer(frozen)
	t.Cleanup(func() { close(release); server.Close() })
	v := newVictim(t, "an Official Account, plaintext", func(c *config.Config) {
		c.Rules = []config.Rule{{Match: config.Match{MsgType: "image"}, Action: config.ActionForward, Backend: &config.Backend{URL: server.URL}}}
	})
	large := func(kind string, n int) []byte {
		return fmt.Appendf(nil, "<xml><MsgType>%s</MsgType><MsgId>%d</MsgId><Content>%s</Content></xml>", kind, n, strings.Repeat(" ", 900<<10))
	}
	var group sync.WaitGroup
	const most = 11 // 10 MiB
	for n := range most + 1 {
		group.Go(func() { _, _ = v.sender.Post(t.Context(), large("image", n)) })
		eventually(t, "it has the message", func() bool { return frozen.count() == min(n+1, most) })
	}
	if answer, err := v.sender.Post(t.Context(), large("text", 0)); err != nil || answer.Status != http.StatusOK {
		t.Errorf("the other app's message is answered with %d, %v", answer.Status, err)
	}
	group.Wait()
}

// TestADeadlineCountsFromTheHead: WeChat counts from then, however slow its body comes.
func TestADeadlineCountsFromTheHead(t *testing.T) {
	t.Parallel()
	const pause, deadline = 1500 * time.Millisecond, config.MaxDeadline
	for _, kind := range []string{"an Official Account, plaintext", "an Official Account, encrypted"} {
		v := newVictim(t, kind, nil)
		request, _ := v.genuine(t, wechattest.WithPause(pause))
		whole(v.sender.Send(t.Context(), request))
		sent := time.Now()
		told, err := time.Parse("2006-01-02T15:04:05.000Z", v.app.last(t).Header.Get("X-Wechat-Deadline"))
		if err != nil || told.After(sent.Add(deadline-pause/2)) {
			t.Errorf("%s: %v after its body the deadline is %v, error %v", kind, sent, told, err)
		}
	}
}

// TestAnAuditedQueryReachesTheAppWhole: what a parser of URLs takes for a fragment too.
func TestAnAuditedQueryReachesTheAppWhole(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(time.Hour)
	v := newVictim(t, "an Official Account, plaintext", func(c *config.Config) { c.Backend.Payload, c.AuditUntil = config.PayloadOriginal, &until })
	for _, query := range []string{"a=#b&c=d", "a=%23b&c=d", `a="<>&c=d`, "a=b?c=d", "a=;&b=%zz"} {
		request, _ := v.genuine(t, wechattest.WithToken("forged-token"))
		request.Query += "&" + query
		text := rawOf(request).sized().with(lastRequest).String()
		v.exchange(t, text, false)
		if got := v.app.last(t).RequestURI; !strings.HasSuffix(got, query) {
			t.Errorf("of %q the app saw %q", query, got)
		}
		v.app.taken()
	}
}
