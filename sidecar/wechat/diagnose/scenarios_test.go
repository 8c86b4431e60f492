// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/sidecartest"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

const (
	token    = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	aesKey   = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
	apiV3Key = "0123456789abcdef0123456789abcdef"
	serial   = "PUB_KEY_ID_1"
	user     = "oUser0123456789abcdefghijklm"
)

// app is behind the sidecar and answers what it is told to.
type app struct {
	mu     sync.Mutex
	answer func(message string) string
	seen   []string
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = append(a.seen, string(body))
	_, _ = io.WriteString(w, a.answer(string(body)))
}

// gateway runs a sidecar before an app and returns the URL of callbacks.
func gateway(t *testing.T, c config.Config, pair config.Pair, a *app) string {
	t.Helper()
	backend := httptest.NewServer(a)
	t.Cleanup(backend.Close)
	c.Generation, c.Endpoint, c.Backend = "g", "shop/demo", config.Backend{URL: backend.URL, Deadline: config.Duration(2 * time.Second)}
	pair.Generation = 1
	callbacks, _ := sidecartest.Run(t, config.Document{Config: c, Credentials: config.Credentials{Pairs: []config.Pair{pair}}})
	return "http://" + callbacks + c.Path
}

func textReply(message, content string) string {
	fields := wechat.ReadFields([]byte(message))
	return "<xml><ToUserName>" + fields.FromUserName + "</ToUserName><FromUserName>" + fields.ToUserName + "</FromUserName><CreateTime>1</CreateTime>" +
		"<MsgType>text</MsgType><Content>" + content + "</Content></xml>"
}

func always(answer string) func(string) string { return func(string) string { return answer } }

func mode(platform, mode string) config.Config {
	return config.Config{Platform: platform, AppID: "wx1", MessageMode: mode, Path: "/weixin"}
}

func TestEveryPlatformIsPlayed(t *testing.T) {
	sealed := caller.Sender{Token: token, EncodingAESKey: aesKey, ReceiverID: "wx1"}
	with := func(change func(*caller.Sender)) caller.Sender { s := sealed; change(&s); return s }
	inJSON := func(s *caller.Sender) { s.Form = wechat.FormJSON }
	inWeCom := func(s *caller.Sender) { s.WeCom, s.Account = true, "wx1" }
	text := func(s *caller.Sender) caller.Scenario { return s.TextScenario(user, "hi") }
	jsonReply := always(`{"ToUserName":"` + user + `","FromUserName":"gh_1","CreateTime":1,"MsgType":"text","Content":"hello"}`)
	xmlReply := func(message string) string { return textReply(message, "hello") }
	for name, test := range map[string]struct {
		config   config.Config
		sender   caller.Sender
		scenario func(*caller.Sender) caller.Scenario
		answer   func(string) string
		told     string // what the app must have been told
		content  string // of the reply
	}{
		"an Official Account in plaintext": {mode("OfficialAccount", "Plaintext"), caller.Sender{Token: token}, text, xmlReply, "<Content><![CDATA[hi]]>", "hello"},
		"an Official Account, encrypted":   {mode("OfficialAccount", "Encrypted"), sealed, text, xmlReply, "<Content><![CDATA[hi]]>", "hello"},
		"an Official Account, compatible":  {mode("OfficialAccount", "Compatible"), with(func(s *caller.Sender) { s.Cleartext = true }), text, xmlReply, "<Content><![CDATA[hi]]>", "hello"},
		"a Mini Program in JSON":           {mode("MiniProgram", "Encrypted"), with(inJSON), text, jsonReply, `"Content":"hi"`, "hello"},
		"a Mini Program in plaintext JSON": {mode("MiniProgram", "Plaintext"), caller.Sender{Token: token, Form: wechat.FormJSON}, text, jsonReply, `"Content":"hi"`, "hello"},
		"a shop's order": {mode("Shop", ""), with(inJSON), func(s *caller.Sender) caller.Scenario { return s.ShopScenario(user) },
			always("success"), `"order_info":{"order_id":3705115058471208928}`, ""},
		"an app of WeCom": {mode("WeCom", ""), with(inWeCom), text, xmlReply, "<AgentID>1000002</AgentID>", "hello"},
		"a bot of WeCom": {func() config.Config { c := mode("WeCom", ""); c.ReceiverIDs = []string{""}; return c }(),
			with(func(s *caller.Sender) { s.WeCom, s.Form, s.ReceiverID = true, wechat.FormJSONLower, "" }), text,
			always(`{"msgtype":"stream","stream":{"id":"1","finish":true,"content":"hello"}}`), `"chattype":"single"`, "hello"},
		"a suite's ticket": {mode("WeCom", ""), with(inWeCom), (*caller.Sender).SuiteTicketScenario, always(""), "<SuiteId><![CDATA[wx1]]>", ""},
		"a third-party platform's ticket": {mode("OpenPlatform", ""), sealed, (*caller.Sender).TicketScenario, always(""),
			"<InfoType>component_verify_ticket</InfoType>", ""},
		"an authorization": {mode("OpenPlatform", ""), sealed, func(s *caller.Sender) caller.Scenario {
			return s.AuthorizationScenario(caller.Authorized, "wx2")
		}, always(""), "<AuthorizationCode>", ""},
		"the end of an authorization": {mode("OpenPlatform", ""), sealed, func(s *caller.Sender) caller.Scenario {
			return s.AuthorizationScenario(caller.Unauthorized, "wx2")
		}, always(""), "<AuthorizerAppid><![CDATA[wx2]]></AuthorizerAppid>\n</xml>", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			behind := &app{answer: test.answer}
			sender := test.sender
			sender.URL = gateway(t, test.config, config.Pair{Token: token, EncodingAESKey: sender.EncodingAESKey}, behind)
			reply, refusal := diagnose.Play(t.Context(), &sender, test.scenario(&sender))
			if refusal != nil || reply.Content != test.content {
				t.Errorf("replied %+v, refused because %v", reply, refusal)
			}
			if len(behind.seen) != 1 || !strings.Contains(behind.seen[0], test.told) {
				t.Errorf("the app was told %q, want %s", behind.seen, test.told)
			}
			if _, refusal := diagnose.Play(t.Context(), &sender, test.scenario(&sender), wechattest.WithToken("another")); refusal == nil {
				t.Error("a forged one was accepted")
			}
		})
	}
}

// ready is a third-party platform that passes the release check.
func ready(message string) string {
	switch {
	case strings.Contains(message, "LOCATION"):
		return textReply(message, "LOCATIONfrom_callback")
	case strings.Contains(message, "QUERY_AUTH_CODE:"):
		return ""
	}
	return textReply(message, "TESTCOMPONENT_MSG_TYPE_TEXT_callback")
}

func TestReleaseCheck(t *testing.T) {
	c := mode("OpenPlatform", "")
	c.Path = "/weixin/$APPID$/callback"
	behind := &app{answer: ready}
	sender := caller.Sender{Token: token, EncodingAESKey: aesKey, ReceiverID: "wx1"}
	sender.URL = gateway(t, c, config.Pair{Token: token, EncodingAESKey: aesKey}, behind)
	for _, account := range caller.ReleaseAccounts {
		check := sender.ReleaseCheck(account, user)
		if want := 3; len(check) != want && !account.MiniProgram || len(check) != want-1 && account.MiniProgram {
			t.Fatalf("%+v: %d messages", account, len(check))
		}
		for _, scenario := range check {
			if _, refusal := diagnose.Play(t.Context(), &sender, scenario); refusal != nil {
				t.Errorf("%s: %s: %v", account.AppID, scenario.Name, refusal)
			}
		}
	}
	asked := "<xml><FromUserName>" + user + "</FromUserName><ToUserName>gh</ToUserName></xml>"
	for what, test := range map[string]struct {
		answer  string
		refused []int // of the three messages
	}{
		"nothing":          {"", []int{0, 2}},
		"success":          {"success", []int{0, 1, 2}},
		"another text":     {textReply(asked, "hello"), []int{0, 1, 2}},
		"what is not XML":  {`{"code":0}`, []int{0, 1, 2}},
		"the right answer": {textReply(asked, "LOCATIONfrom_callback"), []int{0, 1}},
	} {
		behind.mu.Lock()
		behind.answer = always(test.answer)
		behind.mu.Unlock()
		var refused []int
		for i, scenario := range sender.ReleaseCheck(caller.ReleaseAccounts[0], user) {
			// Two equal events of one second are one event, of which the sidecar repeats the first reply.
			scenario.Message = append(scenario.Message, []byte("<!-- "+what+" -->")...)
			if _, refusal := diagnose.Play(t.Context(), &sender, scenario); refusal != nil {
				refused = append(refused, i)
			}
		}
		if !slices.Equal(refused, test.refused) {
			t.Errorf("%s: refused %v, want %v", what, refused, test.refused)
		}
	}
}

func payEndpoint(t *testing.T, a *app) *caller.Sender {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	url := gateway(t, mode("Pay", ""), config.Pair{APIv3Key: apiV3Key, PlatformKeys: map[string]string{serial: public}}, a)
	return &caller.Sender{URL: url, Pay: &caller.PayAccount{PrivateKey: key, Serial: serial, APIv3Key: apiV3Key}}
}

func TestPayIsPlayed(t *testing.T) {
	behind := &app{answer: always("")}
	sender := payEndpoint(t, behind)
	payment := func() caller.Scenario { return sender.PaymentScenario("1900000001", user) }
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		mutation caller.Mutation
		change   func(*caller.PayAccount)
		taken    bool
	}{
		"as it should be":                {taken: true},
		"without its type":               {mutation: wechattest.WithoutParameter(wechat.PayTypeHeader), taken: true},
		"two minutes old":                {mutation: wechattest.WithTime(time.Now().Add(-2 * time.Minute)), taken: true},
		"an hour old":                    {mutation: wechattest.WithTime(time.Now().Add(-time.Hour))},
		"with Tencent's test signature":  {mutation: caller.WithProbeSignature()},
		"with a signature of nothing":    {mutation: wechattest.WithSignature("AAAA")},
		"with another serial":            {mutation: wechattest.WithSerial("PUB_KEY_ID_2")},
		"with another body":              {mutation: wechattest.WithBody([]byte(`{"event_type":"TRANSACTION.SUCCESS"}`))},
		"without its nonce":              {mutation: wechattest.WithoutParameter(wechat.PayNonceHeader)},
		"with two serials":               {mutation: wechattest.WithDuplicate(wechat.PaySerialHeader, serial)},
		"as a PUT":                       {mutation: wechattest.WithMethod("PUT")},
		"signed by a stranger":           {change: func(p *caller.PayAccount) { p.PrivateKey = stranger }},
		"encrypted with another key":     {change: func(p *caller.PayAccount) { p.APIv3Key = strings.Repeat("k", 32) }},
		"with a name of another account": {change: func(p *caller.PayAccount) { p.Serial = "PUB_KEY_ID_9" }},
	} {
		t.Run(name, func(t *testing.T) {
			played, account := *sender, *sender.Pay
			played.Pay = &account
			if test.change != nil {
				test.change(&account)
			}
			var mutations []caller.Mutation
			if test.mutation != nil {
				mutations = append(mutations, test.mutation)
			}
			before := len(behind.seen)
			_, refusal := diagnose.Play(t.Context(), &played, payment(), mutations...)
			if (refusal == nil) != test.taken {
				t.Errorf("refused because %v", refusal)
			}
			if refusal != nil && refusal.Code != diagnose.CodeNotTaken {
				t.Errorf("not the refusal that Pay documents: %+v", refusal)
			}
			if told := len(behind.seen) - before; (told == 1) != test.taken {
				t.Errorf("the app was told %d times", told)
			}
		})
	}
	request, err := sender.NewScenario(payment())
	if err != nil {
		t.Fatal(err)
	}
	if attempts := sender.Deliver(t.Context(), request); len(attempts) != 1 {
		t.Errorf("204 was not enough: %d attempts", len(attempts))
	}
	answer, err := sender.URLCheck(t.Context())
	if err != nil || answer.Status != http.StatusForbidden {
		t.Errorf("a URL check: %d, %v", answer.Status, err)
	}
	if len(behind.seen) == 0 || !strings.Contains(behind.seen[0], `"trade_state":"SUCCESS"`) {
		t.Errorf("the app was told %q", behind.seen)
	}
}

func TestTheProbeMustBeRefused(t *testing.T) {
	behind := &app{answer: always("")}
	sender := payEndpoint(t, behind)
	sender.Pay.PrivateKey = nil // nobody needs one to send a wrong signature
	if _, refusal := diagnose.Play(t.Context(), sender, sender.ProbeScenario("1900000001", user)); refusal != nil || len(behind.seen) > 0 {
		t.Errorf("the sidecar: %v, the app was told %q", refusal, behind.seen)
	}
	if _, err := sender.NewNotification("REFUND.SUCCESS", []byte("{}")); err == nil || !strings.Contains(err.Error(), "private key") {
		t.Errorf("without a private key: %v", err)
	}
	for name, test := range map[string]struct {
		status int
		body   string
		code   diagnose.Code
	}{
		"taken for a payment":       {204, "", diagnose.CodeUnverified},
		"taken, and said otherwise": {200, `{"code":"FAIL"}`, diagnose.CodeUnverified},
		"refused without a word":    {403, "", diagnose.CodeReply},
		"not found":                 {404, "", diagnose.CodeNotFound},
		"a crash":                   {500, "", diagnose.CodeServerError},
		"elsewhere":                 {302, "", diagnose.CodeRedirect},
	} {
		t.Run(name, func(t *testing.T) {
			careless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.ReadAll(r.Body)
				w.WriteHeader(test.status)
				if test.status != http.StatusNoContent {
					_, _ = io.WriteString(w, test.body)
				}
			}))
			defer careless.Close()
			played := *sender
			played.URL = careless.URL
			if _, refusal := diagnose.Play(t.Context(), &played, played.ProbeScenario("1900000001", user)); refusal == nil || refusal.Code != test.code {
				t.Errorf("got %+v, want %s", refusal, test.code)
			}
		})
	}
}
