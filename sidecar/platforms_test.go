// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

const (
	aesKey     = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
	olderKey   = "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR"
	xmlText    = "<xml><ToUserName>gh_1</ToUserName><FromUserName>oUser</FromUserName><MsgType>text</MsgType><Content>hi</Content></xml>"
	jsonText   = `{"ToUserName":"gh_1","FromUserName":"oUser","MsgType":"text","Content":"hi"}`
	botText    = `{"msgid":"1","aibotid":"b","msgtype":"text","text":{"content":"hi"}}`
	ticketText = "<xml><AppId>wx1</AppId><InfoType>component_verify_ticket</InfoType><ComponentVerifyTicket>hi</ComponentVerifyTicket></xml>"
)

// account is one kind of account with a sender that plays WeChat for it.
type account struct {
	edit     func(*config.Config)
	sender   caller.Sender
	message  string
	reply    string // of the app; empty where the platform has none
	answered string // in place of a sealed reply
	noCheck  bool   // the platform has no URL check
	traces   config.Tracing
}

func accounts() map[string]account {
	mode := func(platform, mode string) func(*config.Config) {
		return func(c *config.Config) { c.Platform, c.MessageMode, c.Freshness = platform, mode, 0 }
	}
	xmlReply, jsonReply := "<xml><Content><![CDATA[a]]></Content></xml>", `{"Content":"a"}`
	return map[string]account{
		"an Official Account, plaintext":  {edit: mode("OfficialAccount", "Plaintext"), message: xmlText, reply: xmlReply},
		"an Official Account, compatible": {edit: mode("OfficialAccount", "Compatible"), message: xmlText, reply: xmlReply, sender: caller.Sender{EncodingAESKey: aesKey, ReceiverID: "wx1", Cleartext: true}},
		"an Official Account, encrypted":  {edit: mode("OfficialAccount", "Encrypted"), message: xmlText, reply: xmlReply, sender: caller.Sender{EncodingAESKey: aesKey, ReceiverID: "wx1"}},
		"a Mini Program, compatible JSON": {edit: mode("MiniProgram", "Compatible"), message: jsonText, reply: jsonReply, sender: caller.Sender{EncodingAESKey: aesKey, ReceiverID: "wx1", Form: wechat.FormJSON, Cleartext: true}},
		"a Mini Program, encrypted JSON":  {edit: mode("MiniProgram", "Encrypted"), message: jsonText, reply: jsonReply, sender: caller.Sender{EncodingAESKey: aesKey, ReceiverID: "wx1", Form: wechat.FormJSON}},
		"a Mini Program, encrypted XML":   {edit: mode("MiniProgram", "Encrypted"), message: xmlText, reply: xmlReply, sender: caller.Sender{EncodingAESKey: aesKey, ReceiverID: "wx1"}},
		"a Shop":                          {edit: mode("Shop", ""), message: jsonText, reply: jsonReply, sender: caller.Sender{EncodingAESKey: aesKey, ReceiverID: "wx1", Form: wechat.FormJSON}},
		"a WeCom app":                     {edit: mode("WeCom", ""), message: xmlText, reply: xmlReply, sender: caller.Sender{EncodingAESKey: aesKey, ReceiverID: "wx1", WeCom: true}},
		"a WeCom bot": {
			edit:    func(c *config.Config) { mode("WeCom", "")(c); c.ReceiverIDs = []string{""} },
			message: botText, reply: `{"msgtype":"text"}`, sender: caller.Sender{EncodingAESKey: aesKey, Form: wechat.FormJSONLower, WeCom: true},
		},
		"a suite's data": {
			edit: func(c *config.Config) {
				mode("WeCom", "")(c)
				c.ReceiverIDs, c.Path = []string{"$CORPID$"}, "/weixin/$CORPID$"
			},
			message: xmlText, reply: xmlReply, sender: caller.Sender{URL: "/wwcorp", EncodingAESKey: aesKey, ReceiverID: "wwcorp", WeCom: true},
		},
		"a suite's commands":               {edit: mode("WeCom", ""), message: ticketText, answered: "success", sender: caller.Sender{EncodingAESKey: aesKey, ReceiverID: "wx1", WeCom: true}},
		"a third-party platform's tickets": {edit: mode("OpenPlatform", ""), message: ticketText, answered: "success", noCheck: true, sender: caller.Sender{EncodingAESKey: aesKey, ReceiverID: "wx1"}},
		"a third-party platform's authorizer": {
			edit:    func(c *config.Config) { mode("OpenPlatform", "")(c); c.Path = "/weixin/$APPID$/callback" },
			message: xmlText, reply: xmlReply, noCheck: true, sender: caller.Sender{URL: "/wxother/callback", EncodingAESKey: aesKey, ReceiverID: "wx1"},
		},
	}
}

// newAccountStage starts a sidecar for the account. The older key comes second, and is accepted too.
func newAccountStage(t *testing.T, a account) (*stage, *caller.Sender) {
	t.Helper()
	s := newTracedStage(t, a.edit, a.traces)
	s.config.Generation = "g-2"
	s.writeDocument(t, s.config, config.Credentials{
		GatewayKey: []byte(strings.Repeat("k", 32)),
		Pairs:      []config.Pair{{Generation: 2, Token: token, EncodingAESKey: aesKey}, {Generation: 1, Token: token, EncodingAESKey: olderKey}},
	})
	s.awaitGeneration(t, "g-2")
	sender := a.sender
	sender.URL, sender.Token = s.url+sender.URL, token
	return s, &sender
}

func TestEveryKindOfAccount(t *testing.T) {
	for name, a := range accounts() {
		t.Run(name, func(t *testing.T) {
			s, sender := newAccountStage(t, a)
			s.app.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, a.reply) })

			answer, err := sender.URLCheck(t.Context())
			if refusal := diagnose.URLCheck(answer, err); (refusal == nil) == a.noCheck {
				t.Errorf("the URL check: %v", refusal)
			}

			request, err := sender.NewPost([]byte(a.message))
			if err != nil {
				t.Fatal(err)
			}
			expectReply(t, a, sender, whole(sender.Send(t.Context(), request)))
			if s.app.count() != 1 || s.app.bodies[0] != a.message {
				t.Fatalf("the app saw %q", s.app.bodies)
			}

			for what, mutations := range map[string][]caller.Mutation{
				"forged":       {wechattest.WithToken("forged-token")},
				"stale":        {wechattest.WithTime(time.Now().Add(-26 * time.Hour))},
				"doubled":      {wechattest.WithDuplicate("nonce", "1")},
				"not a method": {wechattest.WithMethod("PUT")},
			} {
				answer, err := sender.Post(t.Context(), []byte(strings.Replace(a.message, "hi", what, 1)), mutations...)
				if must(t, answer, err); answer.Status != http.StatusForbidden || len(answer.Body) > 0 {
					t.Errorf("%s: answered %d %q", what, answer.Status, answer.Body)
				}
			}
			if sender.EncodingAESKey != "" {
				expectDowngradesRefused(t, sender, a)
			}
			if s.app.count() != 1 {
				t.Errorf("the app saw what must not pass: %q", s.app.bodies[1:])
			}
		})
	}
}

// expectDowngradesRefused tries to talk an encrypted endpoint into taking cleartext, or somebody else's message.
func expectDowngradesRefused(t *testing.T, sender *caller.Sender, a account) {
	t.Helper()
	plain, foreign, strange := *sender, *sender, *sender
	plain.EncodingAESKey, plain.WeCom = "", false
	foreign.ReceiverID = "wxforeign"
	strange.EncodingAESKey = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for what, sender := range map[string]*caller.Sender{"plaintext": &plain, "for another account": &foreign, "with another key": &strange} {
		answer, err := sender.Post(t.Context(), []byte(a.message))
		if must(t, answer, err); answer.Status != http.StatusForbidden || len(answer.Body) > 0 {
			t.Errorf("%s: answered %d %q", what, answer.Status, answer.Body)
		}
	}
	answer, err := sender.Post(t.Context(), []byte(a.message), wechattest.WithoutParameter("msg_signature"))
	if must(t, answer, err); answer.Status != http.StatusForbidden {
		t.Errorf("without msg_signature: answered %d", answer.Status)
	}
}

func expectReply(t *testing.T, a account, sender *caller.Sender, got caller.Answer) {
	t.Helper()
	reply := got.Body
	if a.reply != "" && sender.EncodingAESKey != "" {
		opened, err := sender.OpenReply(got.Body)
		if err != nil {
			t.Fatalf("%v in %q", err, got.Body)
		}
		reply = opened
	}
	if got.Status != http.StatusOK || string(reply) != a.reply+a.answered {
		t.Errorf("answered %d %q", got.Status, reply)
	}
}

// whole is an answer that came, or the end of the test.
func whole(answer caller.Answer, err error) caller.Answer {
	if err != nil {
		panic(err)
	}
	return answer
}

// TestRepeatsJoinTheFirst: three at once, as after a network's stumble, reach the app once, and each gets the reply.
func TestRepeatsJoinTheFirst(t *testing.T) {
	a := accounts()["an Official Account, encrypted"]
	s, sender := newAccountStage(t, a)
	s.app.answers(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(100 * time.Millisecond)
		_, _ = io.WriteString(w, a.reply)
	})
	request, err := sender.NewPost([]byte(a.message))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() { expectReply(t, a, sender, whole(sender.Send(t.Context(), request))) })
	}
	group.Wait()
	expectReply(t, a, sender, whole(sender.Send(t.Context(), request)))
	if s.app.count() != 1 {
		t.Errorf("the app saw one message %d times", s.app.count())
	}
}

// TestReplyUsesTheKeyThatOpenedTheMessage while two are accepted.
func TestReplyUsesTheKeyThatOpenedTheMessage(t *testing.T) {
	a := accounts()["an Official Account, encrypted"]
	s, sender := newAccountStage(t, a)
	s.app.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, a.reply) })
	sender.EncodingAESKey = olderKey
	expectReply(t, a, sender, whole(sender.Post(t.Context(), []byte(a.message))))
}

// TestMigrationLosesNothing: at each step of console and resource, in the order of the documentation, messages pass.
func TestMigrationLosesNothing(t *testing.T) {
	all := accounts()
	plain, compatible, encrypted := all["an Official Account, plaintext"], all["an Official Account, compatible"], all["an Official Account, encrypted"]
	for name, step := range map[string]struct{ resource, console account }{
		"the console goes first to compatible": {plain, compatible},
		"the resource follows":                 {compatible, compatible},
		"the console goes on to encrypted":     {compatible, encrypted},
		"the resource may be ahead":            {encrypted, compatible},
	} {
		t.Run(name, func(t *testing.T) {
			console := step.resource
			console.sender = step.console.sender
			s, sender := newAccountStage(t, console)
			if answer, err := sender.Post(t.Context(), []byte(xmlText)); must(t, answer, err).Status != http.StatusOK {
				t.Errorf("answered %d", answer.Status)
			}
			if s.app.count() != 1 || s.app.bodies[0] != xmlText {
				t.Errorf("the app saw %q", s.app.bodies)
			}
		})
	}
}

// TestOriginalCarriesNothingUnverified: an app with an SDK of its own gets the verified Encrypt in a new envelope, and
// never the cleartext that stood beside it.
func TestOriginalCarriesNothingUnverified(t *testing.T) {
	a := accounts()["an Official Account, compatible"]
	edit := a.edit
	a.edit = func(c *config.Config) { edit(c); c.Backend.Payload = config.PayloadOriginal }
	s, sender := newAccountStage(t, a)
	request, err := sender.NewPost([]byte(a.message))
	if err != nil {
		t.Fatal(err)
	}
	request.Body = []byte(strings.Replace(string(request.Body), "hi", "forged", 1))
	whole(sender.Send(t.Context(), request))
	if s.app.count() != 1 || strings.Contains(s.app.bodies[0], "forged") {
		t.Fatalf("the app saw %q", s.app.bodies)
	}
	query, err := wechat.ParseQuery(s.app.seen[0].URL.RawQuery)
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := wechat.ParseEnvelope([]byte(s.app.bodies[0]), false)
	if err != nil || !wechat.VerifyEncrypt(query.MsgSignature, token, query.Timestamp, query.Nonce, envelope.Encrypt) || !wechat.Verify(query.Signature, token, query.Timestamp, query.Nonce) {
		t.Errorf("an SDK would refuse what the app got: %v", err)
	}
}

func TestRulesAndDomainFiles(t *testing.T) {
	second := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(second.Close)
	a := accounts()["an Official Account, encrypted"]
	edit := a.edit
	a.edit = func(c *config.Config) {
		edit(c)
		c.Rules = []config.Rule{
			{Match: config.Match{MsgType: "text"}, Action: config.ActionDiscard},
			{Match: config.Match{MsgType: "voice"}, Action: config.ActionForward, Backend: &config.Backend{URL: second.URL}},
		}
		c.DomainFiles = []config.DomainFile{{Name: "MP_verify_abc.txt", Content: "abc"}}
	}
	s, sender := newAccountStage(t, a)
	if got := whole(sender.Post(t.Context(), []byte(a.message))); string(got.Body) != "success" || s.app.count() != 0 {
		t.Errorf("a discarded message: %d %q, the app saw %d", got.Status, got.Body, s.app.count())
	}
	doubled := strings.Replace(a.message, "<MsgType>", "<MsgType>image</MsgType><MsgType>", 1)
	if whole(sender.Post(t.Context(), []byte(doubled))); s.app.count() != 1 {
		t.Error("a message with two types matched a rule")
	}
	if got := whole(sender.Post(t.Context(), []byte(strings.Replace(a.message, "text", "voice", 1)))); got.Status != http.StatusOK || s.app.count() != 1 {
		t.Errorf("a message for another app: %d %q, the first app saw %d", got.Status, got.Body, s.app.count())
	}
	for _, series := range []string{
		`wechat_sidecar_messages_total{action="Discard",rule="0"}`, `wechat_sidecar_messages_total{action="Forward",rule="1"}`,
		`wechat_sidecar_messages_total{action="Forward",rule="none"}`, `wechat_sidecar_app_duration_seconds_count{app="` + second.URL + `"}`,
	} {
		if n := s.metric(t, series); n != 1 {
			t.Errorf("%s is %v", series, n)
		}
	}
	response, err := http.Get(strings.TrimSuffix(s.url, "/weixin") + "/MP_verify_abc.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if content, err := io.ReadAll(response.Body); err != nil || string(content) != "abc" {
		t.Errorf("the domain file: %q %v", content, err)
	}
}

// TestGatewaySignature computes the signature as its documentation says, from what the app received.
func TestGatewaySignature(t *testing.T) {
	a := accounts()["an Official Account, encrypted"]
	s, sender := newAccountStage(t, a)
	whole(sender.Post(t.Context(), []byte(a.message)))
	expectGatewaySignature(t, s, a.message)
}

func expectGatewaySignature(t *testing.T, s *stage, message string) {
	t.Helper()
	got := s.app.seen[0].Header
	signature := got.Get("X-Wechat-Gateway-Signature")
	seconds, _, _ := strings.Cut(strings.TrimPrefix(signature, "t="), ",")
	var lines []string
	for name := range got {
		if strings.HasPrefix(name, "X-Wechat-") && name != "X-Wechat-Gateway-Signature" {
			lines = append(lines, strings.ToLower(name)+":"+got.Get(name)+"\n")
		}
	}
	slices.Sort(lines)
	mac := hmac.New(sha256.New, []byte(strings.Repeat("k", 32)))
	fmt.Fprintf(mac, "v1\n%s\nPOST\n%s\n%s%x\n", seconds, s.app.seen[0].RequestURI, strings.Join(lines, ""), sha256.Sum256([]byte(message)))
	if want := "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil)); signature != want {
		t.Errorf("signature %q, want %q", signature, want)
	}
}

// TestGatewaySignatureCoversTheQuery, which an app that keeps its own SDK verifies.
func TestGatewaySignatureCoversTheQuery(t *testing.T) {
	a := accounts()["an Official Account, plaintext"]
	edit := a.edit
	a.edit = func(c *config.Config) { edit(c); c.Backend.Payload = config.PayloadOriginal }
	s, sender := newAccountStage(t, a)
	whole(sender.Post(t.Context(), []byte(a.message)))
	expectGatewaySignature(t, s, a.message)
}

// TestOnlyPlainWordsBecomeHeaders: the app reads the others in the message, where they cannot pass for something else.
func TestOnlyPlainWordsBecomeHeaders(t *testing.T) {
	for name, word := range map[string]string{
		"a line break": "a\r\nX-Wechat-App-Id: forged", "a space": "a b", "a character beyond ASCII": "你", "129 characters": strings.Repeat("a", 129),
	} {
		t.Run(name, func(t *testing.T) {
			s, sender := newAccountStage(t, accounts()["an Official Account, plaintext"])
			message := "<xml><FromUserName>" + word + "</FromUserName><MsgType>" + word + "</MsgType><Event>" + word + "</Event></xml>"
			if got := whole(sender.Post(t.Context(), []byte(message))); got.Status != http.StatusOK || s.app.count() != 1 {
				t.Fatalf("answered %d, the app saw %d", got.Status, s.app.count())
			}
			for _, name := range []string{"X-Wechat-Open-Id", "X-Wechat-Message-Type", "X-Wechat-Event"} {
				if values := s.app.seen[0].Header[name]; values != nil {
					t.Errorf("the app was told %s: %q", name, values)
				}
			}
		})
	}
}

// TestASignatureOfAURLCheckIsGoodForNoMessage: both have the same three parameters, and the check's are in more logs.
func TestASignatureOfAURLCheckIsGoodForNoMessage(t *testing.T) {
	a := accounts()["an Official Account, plaintext"]
	s, sender := newAccountStage(t, a)
	same := []caller.Mutation{wechattest.WithTime(time.Now()), wechattest.WithNonce("7")}
	if got := whole(sender.URLCheck(t.Context(), same...)); got.Status != http.StatusOK {
		t.Errorf("the URL check: %d", got.Status)
	}
	if got := whole(sender.Post(t.Context(), []byte(a.message), same...)); got.Status != http.StatusForbidden || s.app.count() != 0 {
		t.Errorf("answered %d, the app saw %d", got.Status, s.app.count())
	}
}

// TestInsecureAudit: what fails a check goes on, marked, and no longer than until the end.
func TestInsecureAudit(t *testing.T) {
	for name, test := range map[string]struct {
		until  time.Duration
		status int
		seen   int
	}{
		"before its end": {time.Hour, http.StatusOK, 2},
		"after its end":  {-time.Second, http.StatusForbidden, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a := accounts()["an Official Account, encrypted"]
			edit, until := a.edit, time.Now().Add(test.until)
			a.edit = func(c *config.Config) { edit(c); c.Backend.Payload, c.AuditUntil = config.PayloadOriginal, &until }
			s, sender := newAccountStage(t, a)
			sender.Token = "forged-token"
			request, err := sender.NewPost([]byte(a.message))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // nothing of it is remembered
				if got := whole(sender.Send(t.Context(), request)); got.Status != test.status {
					t.Errorf("answered %d, want %d", got.Status, test.status)
				}
			}
			if s.app.count() != test.seen || s.metric(t, "wechat_sidecar_unverified_total") != float64(test.seen) {
				t.Errorf("the app saw %d messages, want %d", s.app.count(), test.seen)
			}
			if at := s.metric(t, "wechat_sidecar_last_verified_timestamp_seconds"); at != 0 {
				t.Errorf("WeChat was seen at %v", at)
			}
			for _, request := range s.app.seen {
				if request.Header.Get("X-Wechat-Verified") != "false" || request.Header.Get("X-Wechat-Gateway-Signature") != "" || request.Header.Get("X-Wechat-Verification-Reason") != "bad_signature" {
					t.Errorf("the app was told %v", request.Header)
				}
			}
			if got := whole(sender.URLCheck(t.Context())); got.Status != http.StatusForbidden {
				t.Errorf("a forged URL check: %d", got.Status)
			}
			seen := s.app.count()
			if got := whole(sender.Post(t.Context(), []byte(a.message), wechattest.WithPath("/admin"))); got.Status != http.StatusNotFound || s.app.count() != seen {
				t.Errorf("another path: %d, the app saw %d messages more", got.Status, s.app.count()-seen)
			}
		})
	}
}

// TestAnAuditedMessageJoinsNoOther: whoever posts what WeChat will send must not be the one whose call the genuine message waits for.
func TestAnAuditedMessageJoinsNoOther(t *testing.T) {
	a := accounts()["an Official Account, plaintext"]
	edit, until := a.edit, time.Now().Add(time.Hour)
	a.edit = func(c *config.Config) { edit(c); c.Backend.Payload, c.AuditUntil = config.PayloadOriginal, &until }
	s, sender := newAccountStage(t, a)
	var both sync.WaitGroup
	both.Add(2)
	arrived := make(chan struct{})
	go func() { both.Wait(); close(arrived) }()
	s.app.answers(func(_ http.ResponseWriter, r *http.Request) {
		both.Done()
		select {
		case <-arrived:
		case <-r.Context().Done():
		}
	})
	forger := *sender
	forger.Token = "forged-token"
	var group sync.WaitGroup
	for _, one := range []*caller.Sender{&forger, sender} {
		group.Go(func() {
			if got := whole(one.Post(t.Context(), []byte(a.message))); got.Status != http.StatusOK {
				t.Errorf("answered %d", got.Status)
			}
		})
	}
	group.Wait()
	if s.app.count() != 2 {
		t.Errorf("the app saw %d messages, want both", s.app.count())
	}
}
