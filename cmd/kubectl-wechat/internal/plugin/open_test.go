// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

const (
	captured = "<xml><ToUserName>gh_1</ToUserName><Content>what a user wrote</Content></xml>"
	olderKey = "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR"
)

func sealedSender() caller.Sender {
	return caller.Sender{URL: wxURL, Token: token, EncodingAESKey: aesKey, ReceiverID: "wx1"}
}

// capturePost is what a dump holds of a message.
func capturePost(t *testing.T, s caller.Sender, mutations ...caller.Mutation) *caller.Request {
	t.Helper()
	request, err := s.NewPost([]byte(captured), mutations...)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func dump(r *caller.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.Method, r.URI())
	_ = r.Header.Write(&b)
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(r.Body), r.Body)
	return b.String()
}

// marks are the steps with their marks, in their order.
func (o result) marks() string {
	var all []string
	for line := range strings.Lines(o.errout) {
		for _, mark := range []string{markOK, markSkipped, markFailed, markNotTried} {
			if rest, ok := strings.CutPrefix(line, fmt.Sprintf("%-10s ", mark)); ok {
				all = append(all, strings.Fields(rest)[0]+" "+mark)
			}
		}
	}
	return strings.Join(all, ", ")
}

func TestOpenExplainsEachStep(t *testing.T) {
	genuine := capturePost(t, sealedSender())
	envelope := string(genuine.Body)
	encrypt := envelope[strings.LastIndex(envelope, "<Encrypt><![CDATA[")+18 : strings.LastIndex(envelope, "]]></Encrypt>")]
	// signed puts a text into the envelope and signs it, as a WeChat would that encrypts wrongly.
	signed := func(text string) *caller.Request {
		r := *genuine
		r.Body = []byte(strings.Replace(envelope, encrypt, text, 1))
		q, err := wechat.ParseQuery(r.Query)
		if err != nil {
			t.Fatal(err)
		}
		r.Query = strings.Replace(r.Query, q.MsgSignature, wechat.Sign(token, q.Timestamp, q.Nonce, text), 1)
		return &r
	}
	sealFor := func(receiver string) *caller.Request {
		s := sealedSender()
		s.ReceiverID = receiver
		return capturePost(t, s)
	}
	older, err := wechat.ParseEncodingAESKey(olderKey)
	if err != nil {
		t.Fatal(err)
	}
	// byAnotherKey is encrypted with the older key, so that with the newer one it gets as far as the stage: most do not end
	// like a padding, one of some 250 does.
	byAnotherKey := func(stage int) *caller.Request {
		for n := range 1 << 16 {
			text, err := older.Seal([wechat.RandomSize]byte{byte(n), byte(n >> 8)}, []byte(captured), "wx1")
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			if decrypt(keyring{Pair: config.Pair{EncodingAESKey: aesKey}}, sealed).stage == stage {
				return signed(text)
			}
		}
		t.Fatalf("no text gets as far as stage %d", stage)
		return nil
	}
	const before, tail = "query ok, age ok, body ok, envelope ok, ", "padding not tried, length not tried, receiver not tried"
	for name, test := range map[string]struct {
		request *caller.Request
		marks   string
		words   []string
		opened  bool
	}{
		"a genuine one": {genuine, before + "signature ok, base64 ok, key ok, padding ok, length ok, receiver ok",
			[]string{"msg_signature was made with the token of Secret shop/demo-token, and covers Encrypt", `encrypted for "wx1", as expected`}, true},
		"one that is three hours old": {capturePost(t, sealedSender(), wechattest.WithTime(time.Now().Add(-3*time.Hour))),
			before + "signature ok, base64 ok, key ok, padding ok, length ok, receiver ok", []string{"3h0m", "ago; the sidecar would refuse it by now, after 5m0s"}, true},
		"one that is from the future": {capturePost(t, sealedSender(), wechattest.WithTime(time.Now().Add(time.Hour))),
			before + "signature ok, base64 ok, key ok, padding ok, length ok, receiver ok", []string{"ahead of this computer's clock"}, true},
		"another token": {capturePost(t, sealedSender(), wechattest.WithToken("another")),
			before + "signature FAILED, base64 not tried, key not tried, " + tail, []string{"made with another token than that of Secret shop/demo-token", "compare the token with Token in the console"}, false},
		"a body of another request": {genuine.WithBody(sealFor("wx1").Body),
			before + "signature FAILED, base64 not tried, key not tried, " + tail, []string{"the token of Secret shop/demo-token is right", "did not come with this query"}, false},
		"a message in plaintext": {genuine.WithBody([]byte(captured)),
			"query ok, age ok, body ok, envelope FAILED, signature not tried, base64 not tried, key not tried, " + tail, []string{"no Encrypt", "明文模式"}, false},
		"a query of plaintext mode": {capturePost(t, sealedSender(), wechattest.WithoutParameter("msg_signature")),
			before + "signature FAILED, base64 not tried, key not tried, " + tail, []string{"no msg_signature", "消息加解密方式"}, false},
		"a query that was escaped for HTML": {capturePost(t, sealedSender(), wechattest.WithQuery("signature=a&amp;nonce=1")),
			"query FAILED, age not tried, body not tried, envelope not tried, signature not tried, base64 not tried, key not tried, " + tail, []string{"parameter timestamp must be there", "&amp;"}, false},
		"a text with a space in it": {signed(encrypt[:40] + " " + encrypt[41:]),
			before + "signature ok, base64 FAILED, key not tried, " + tail, []string{"which turns + into a space"}, false},
		"a text that is not base64": {signed("!" + encrypt[1:]),
			before + "signature ok, base64 FAILED, key not tried, " + tail, []string{"not base64 at character 1 of"}, false},
		"a text that is cut": {signed(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 48)))),
			before + "signature ok, base64 FAILED, key not tried, " + tail, []string{"48 bytes are encrypted, which is no multiple of 32"}, false},
		"another key": {byAnotherKey(stageNothing),
			before + "signature ok, base64 ok, key ok, padding FAILED, length not tried, receiver not tried", []string{"decrypts to", "what a wrong key looks like"}, false},
		"another key that ends like a padding by chance": {byAnotherKey(stagePadding),
			before + "signature ok, base64 ok, key ok, padding ok, length FAILED, receiver not tried", []string{"the length says", "right by chance"}, false},
		"another account": {sealFor("wx2"),
			before + "signature ok, base64 ok, key ok, padding ok, length ok, receiver FAILED", []string{`encrypted for "wx2", and accepted is ["wx1"]`, "receiverIDs"}, true},
		"a message for nobody": {sealFor(""),
			before + "signature ok, base64 ok, key ok, padding ok, length ok, receiver FAILED", []string{`encrypted for "", and`}, true},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := demo(encrypted(v1alpha1.PlatformOfficialAccount, "Encrypted"))
			result := run(t, cluster(t, endpoint, encryptedSecret()), dump(test.request), "open", "demo", "--request", "-")
			status := StatusOK
			if strings.Contains(test.marks, markFailed) {
				status = StatusRefused
			}
			result.check(t, status, test.words...)
			if got := result.marks(); got != test.marks {
				t.Errorf("steps: %s\n want: %s", got, test.marks)
			}
			if want := map[bool]string{true: captured + "\n"}[test.opened]; result.out != want {
				t.Errorf("standard output %q, want %q", result.out, want)
			}
		})
	}
}

// quoteHead writes a request as curl -v does.
func quoteHead(request string) string {
	head, body, _ := strings.Cut(request, "\r\n\r\n")
	return "> " + strings.ReplaceAll(head, "\r\n", "\r\n> ") + "\r\n> \r\n" + body
}

func quoteAll(request string) string {
	return "> " + strings.ReplaceAll(strings.ReplaceAll(request, "\r\n", "\n"), "\n", "\n> ")
}

// nginxEscaped writes a body as nginx's log does (ngx_http_log_escape).
func nginxEscaped(body string) string {
	var b strings.Builder
	for _, c := range []byte(body) {
		if c < ' ' || c == '"' || c == '\\' || c > '~' {
			fmt.Fprintf(&b, "\\x%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String() + "\n"
}

// TestOpenUndoesNothingThatNobodyDid: a body that was not escaped may hold what looks like an escape.
func TestOpenUndoesNothingThatNobodyDid(t *testing.T) {
	for name, body := range map[string]string{
		"a text about escapes": "<xml>\n<Content>\\x41</Content></xml>",
		"JSON":                 `{"Content":"\\x41"}`,
		"Chinese":              "<xml><Content>\\x41\\xE4你</Content></xml>",
		"no escape at all":     "<xml><Content>a</Content></xml>",
		"a broken escape":      "<xml><Content>\\x4g</Content></xml>",
		"a quotation":          "> <xml></xml>",
	} {
		c := capture{body: []byte(body)}
		if c.unescape(); string(c.body) != body || c.undone != nil {
			t.Errorf("%s: %q, %v", name, c.body, c.undone)
		}
	}
	for _, request := range []string{"POST /a HTTP/1.1\n\n> quoted\n", "POST /a HTTP/1.1\nHost: a\n\n<xml>\n> a</xml>"} {
		if plain, quoted := unquote([]byte(request)); quoted || string(plain) != request {
			t.Errorf("%q became %q", request, plain)
		}
	}
}

// TestOpenACopyOfCurl, byte for byte as somebody had it.
func TestOpenACopyOfCurl(t *testing.T) {
	endpoint := demo(encrypted(v1alpha1.PlatformOfficialAccount, "Encrypted"), func(e *v1alpha1.WeChatEndpoint) { e.Spec.AppID = "wx5823bf96d3bd56c7" })
	credentials := encryptedSecret()
	credentials.Data[v1alpha1.KeyToken] = []byte("BugHuntToken1")
	credentials.Data[v1alpha1.KeyEncodingAESKey] = []byte("Replace0With0Your0EncodingAESKey0abcdefghij")
	result := run(t, cluster(t, endpoint, credentials), "", "open", "demo", "--request", "testdata/curl-v.txt")
	result.check(t, StatusOK, "capture      took the > of curl -v away", "receiver")
	if !strings.HasPrefix(result.out, "<xml>") {
		t.Errorf("standard output %q", result.out)
	}
}

func TestOpenReadsACaptureInEveryForm(t *testing.T) {
	genuine := capturePost(t, sealedSender())
	whole, body := dump(genuine), string(genuine.Body)
	lined := strings.Replace(body, "<xml>", "<xml>\n", 1)
	for name, test := range map[string]struct {
		stdin string
		args  []string
		words string
	}{
		"a request with line feeds":        {strings.ReplaceAll(whole, "\r\n", "\n"), []string{"--request", "-"}, "signature"},
		"a request with a line end more":   {whole + "\r\n", []string{"--request", "-"}, "signature"},
		"a request in a file":              {"", []string{"--request", file(t, whole)}, "signature"},
		"a request in chunks":              {strings.Replace(strings.Replace(whole, "Content-Length: ", "X-Old: ", 1), "\r\n\r\n", fmt.Sprintf("\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", len(body)), 1) + "\r\n0\r\n\r\n", []string{"--request", "-"}, "signature"},
		"a body and a query":               {body, []string{"--body", "-", "--query", genuine.Query}, "signature"},
		"a body and a query with its mark": {body, []string{"--body", "-", "--query", "?" + genuine.Query}, "signature"},
		"a body and a URL":                 {body, []string{"--body", "-", "--query", "http://wx.example.com" + genuine.URI()}, "signature"},
		"a body and a line of a log": {body, []string{"--body", "-", "--query", `101.226.103.1 - - [23/Nov/2026:03:00:00 +0800] "POST ` + genuine.URI() + ` HTTP/1.1" 403 0 "-" "Mozilla/4.0"`},
			"signature"},
		"curl -v":                     {quoteHead(whole), []string{"--request", "-"}, "took the > of curl -v away"},
		"curl -v, with its own words": {"*   Trying 10.0.0.1:80...\n* Connected to wx.example.com\n" + quoteHead(whole) + "\n", []string{"--request", "-"}, "took the > of curl -v away"},
		"curl -v, quoted in a mail":   {quoteAll(whole), []string{"--request", "-"}, "took the > of curl -v away"},
		"a body as nginx logs it":     {nginxEscaped(lined), []string{"--body", "-", "--query", genuine.Query}, "turned nginx's escapes"},
		"a request as nginx logs it":  {strings.Replace(dump(genuine.WithBody([]byte(lined))), lined, nginxEscaped(lined), 1), []string{"--request", "-"}, "turned nginx's escapes"},
		"a body alone":                {body, []string{"--body", "-"}, "nothing shows who sent this"},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := demo(encrypted(v1alpha1.PlatformOfficialAccount, "Encrypted"))
			result := run(t, cluster(t, endpoint, encryptedSecret()), test.stdin, append([]string{"open", "demo"}, test.args...)...)
			result.check(t, StatusOK, test.words)
			if result.out != captured+"\n" {
				t.Errorf("standard output %q", result.out)
			}
		})
	}
}

func TestOpenOfOtherAccounts(t *testing.T) {
	plain := caller.Sender{URL: wxURL, Token: token}
	suite := sealedSender()
	suite.WeCom, suite.ReceiverID, suite.URL = true, "wwcorp", "http://wx.example.com/weixin/wwcorp"
	weCom := sealedSender()
	weCom.WeCom = true
	check := func(s caller.Sender) *caller.Request {
		r, err := s.NewURLCheck(wechattest.WithNonce("1"))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	weComCheck, plainCheck := check(weCom), check(plain)
	data := demo(encrypted(v1alpha1.PlatformWeCom, ""), func(e *v1alpha1.WeChatEndpoint) {
		e.Spec.ReceiverIDs, e.Spec.URL.Path = []string{"$CORPID$"}, "/weixin/$CORPID$"
	})
	for name, test := range map[string]struct {
		endpoint *v1alpha1.WeChatEndpoint
		request  *caller.Request
		status   int
		out      string
		words    string
	}{
		"plaintext":                    {demo(), capturePost(t, plain), StatusOK, captured, "it does not cover the body"},
		"plaintext of another token":   {demo(), capturePost(t, plain, wechattest.WithToken("another")), StatusRefused, "", "made with another token"},
		"plaintext without signature":  {demo(), capturePost(t, plain, wechattest.WithoutParameter("signature")), StatusRefused, "", "the query has no signature"},
		"what is encrypted already":    {demo(), capturePost(t, sealedSender()), StatusRefused, "", "the endpoint is in plaintext mode"},
		"a URL check":                  {demo(), plainCheck, StatusOK, plainCheck.Echostr, "to be answered as they are"},
		"a URL check of WeCom":         {demo(encrypted(v1alpha1.PlatformWeCom, "")), weComCheck, StatusOK, weComCheck.Echostr, "characters, encrypted"},
		"the data of a suite":          {data, capturePost(t, suite), StatusOK, captured, `encrypted for "wwcorp", as the URL says`},
		"the data of another corp":     {data, capturePost(t, func() caller.Sender { s := suite; s.ReceiverID = "wwother"; return s }()), StatusRefused, captured, `encrypted for "wwother", and accepted is ["$CORPID$"]`},
		"a compatible one, JSON":       {demo(encrypted(v1alpha1.PlatformMiniProgram, "Compatible")), capturePost(t, func() caller.Sender { s := sealedSender(); s.Cleartext = true; return s }()), StatusOK, captured, "with a cleartext beside it"},
		"a body that is cut":           {demo(), &caller.Request{Method: "POST", Path: "/weixin", Query: plainCheck.Query, Header: http.Header{"Content-Length": {"100"}}, Body: []byte("<xml>")}, StatusRefused, "", "its Content-Length says 100"},
		"a body that was not captured": {demo(), &caller.Request{Method: "POST", Path: "/weixin", Query: capturePost(t, plain).Query, Header: http.Header{}}, StatusRefused, "", "an access log holds only the query"},
	} {
		t.Run(name, func(t *testing.T) {
			result := run(t, cluster(t, test.endpoint, encryptedSecret()), "", "open", "demo", "--request", file(t, dump(test.request)))
			result.check(t, test.status, test.words)
			if got := strings.TrimSuffix(result.out, "\n"); got != test.out {
				t.Errorf("standard output %q, want %q", got, test.out)
			}
		})
	}
}

// sidecarSecret is what the operator keeps for the sidecar.
func sidecarSecret(t *testing.T, pairs ...config.Pair) *corev1.Secret {
	t.Helper()
	text, err := json.Marshal(config.Document{Config: config.Config{Generation: "g"}, Credentials: config.Credentials{Pairs: pairs}})
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "demo-sidecar"}, Data: map[string][]byte{config.File: text}}
}

func TestOpenTriesWhatTheSidecarAccepts(t *testing.T) {
	older := sealedSender()
	older.EncodingAESKey = olderKey
	capture := file(t, dump(capturePost(t, older)))
	endpoint := demo(encrypted(v1alpha1.PlatformOfficialAccount, "Encrypted"))
	accepts := sidecarSecret(t, config.Pair{Generation: 2, Token: token, EncodingAESKey: aesKey}, config.Pair{Generation: 1, Token: token, EncodingAESKey: olderKey})
	run(t, cluster(t, endpoint, encryptedSecret(), accepts), "", "open", "demo", "--request", capture).
		check(t, StatusOK, "with the EncodingAESKey of Secret shop/demo-sidecar, generation 1", captured)
	run(t, cluster(t, endpoint, accepts), "", "open", "demo", "--request", capture).
		check(t, StatusOK, "note      reading the token from Secret shop/demo-token", "what the sidecar goes on with is used", captured)
	run(t, cluster(t, endpoint), "", "open", "demo", "--request", capture).check(t, StatusUsage, "reading the token from Secret shop/demo-token")
}

func TestOpenKnowsTheEndpointsFreshness(t *testing.T) {
	capture := file(t, dump(capturePost(t, sealedSender(), wechattest.WithTime(time.Now().Add(-3*time.Hour)))))
	for window, refused := range map[time.Duration]bool{time.Hour: true, 4 * time.Hour: false} {
		endpoint := demo(encrypted(v1alpha1.PlatformOfficialAccount, "Encrypted"), func(e *v1alpha1.WeChatEndpoint) {
			e.Spec.Verification.Freshness = &metav1.Duration{Duration: window}
		})
		result := run(t, cluster(t, endpoint, encryptedSecret()), "", "open", "demo", "--request", capture)
		result.check(t, StatusOK, "3h0m")
		if said := strings.Contains(result.errout, "would refuse it by now, after "+window.String()); said != refused {
			t.Errorf("a window of %v: %s", window, result.errout)
		}
	}
}

func TestOpenSaysThatTheKeyIsMissing(t *testing.T) {
	accepts := sidecarSecret(t, config.Pair{Generation: 1, Token: token}) // of the time before the mode was changed
	endpoint := demo(encrypted(v1alpha1.PlatformOfficialAccount, "Encrypted"))
	run(t, cluster(t, endpoint, secret(token), accepts), "", "open", "demo", "--request", file(t, dump(capturePost(t, sealedSender())))).
		check(t, StatusRefused, "has no key encodingAESKey", "FAILED     key", "is empty", "do: copy the EncodingAESKey")
}

func TestOpenWithoutACluster(t *testing.T) {
	capture := file(t, dump(capturePost(t, sealedSender())))
	args := []string{"open", "--token-file", "-", "--encoding-aes-key-file", file(t, aesKey+"\n"), "--request", capture}
	run(t, noCluster(t), token, args...).check(t, StatusOK, `skipped    receiver     encrypted for "wx1"; pass --receiver-id`, "made with the token of the files", captured)
	run(t, noCluster(t), token, append(args, "--receiver-id", "wx1")...).check(t, StatusOK, "as expected")
	run(t, noCluster(t), token, append(args, "--receiver-id", "wx2")...).check(t, StatusRefused, `accepted is ["wx2"]`)
}

func TestOpenPay(t *testing.T) {
	key, _, public := payKey(t)
	sender := caller.Sender{URL: wxURL, Pay: &caller.PayAccount{PrivateKey: key, Serial: serial, APIv3Key: apiV3Key}}
	const resource = `{"out_trade_no":"1"}`
	notify := func(s caller.Sender, mutations ...caller.Mutation) *caller.Request {
		request, err := s.NewNotification("TRANSACTION.SUCCESS", []byte(resource), mutations...)
		if err != nil {
			t.Fatal(err)
		}
		return request
	}
	genuine := notify(sender)
	otherKey := sender
	otherKey.Pay = &caller.PayAccount{PrivateKey: key, Serial: serial, APIv3Key: strings.Repeat("k", 32)}
	for name, test := range map[string]struct {
		request *caller.Request
		marks   string
		words   []string
	}{
		"a genuine one": {genuine, "headers ok, age ok, serial ok, body ok, signature ok, notification ok, resource ok",
			[]string{"serial " + serial, "over this very body", "event_type TRANSACTION.SUCCESS", "with the APIv3 key of Secret shop/demo-token"}},
		"one that is a day old": {notify(sender, wechattest.WithTime(time.Now().Add(-24*time.Hour))), "headers ok, age ok, serial ok, body ok, signature ok, notification ok, resource ok",
			[]string{"24h0m", "would refuse it by now, after 5m0s"}},
		"WeChat Pay's own test": {notify(sender, caller.WithProbeSignature()), "headers ok, age ok, serial ok, body ok, signature FAILED, notification not tried, resource not tried",
			[]string{"SIGNTEST", "do: nothing"}},
		"another body": {genuine.WithBody(append(genuine.Body, ' ')), "headers ok, age ok, serial ok, body ok, signature FAILED, notification not tried, resource not tried",
			[]string{"not made over this body", "byte for byte"}},
		"another serial": {notify(sender, wechattest.WithSerial("7132D72A")), "headers ok, age ok, serial FAILED, body not tried, signature not tried, notification not tried, resource not tried",
			[]string{"signed with 7132D72A, and known are " + serial}},
		"no signature": {notify(sender, wechattest.WithoutParameter(wechat.PaySignatureHeader)), "headers FAILED, age not tried, serial not tried, body not tried, signature not tried, notification not tried, resource not tried",
			[]string{"Wechatpay-Signature", "proxies drop headers"}},
		"another APIv3 key": {notify(otherKey), "headers ok, age ok, serial ok, body ok, signature ok, notification ok, resource FAILED",
			[]string{"no APIv3 key opens it", "--api-v3-key-file"}},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := demo(encrypted(v1alpha1.PlatformPay, ""))
			result := run(t, cluster(t, endpoint, paySecret(public)), "", "open", "demo", "--request", file(t, dump(test.request)))
			status, out := StatusOK, resource+"\n"
			if strings.Contains(test.marks, markFailed) {
				status, out = StatusRefused, ""
			}
			result.check(t, status, test.words...)
			if got := result.marks(); got != test.marks || result.out != out {
				t.Errorf("steps: %s\n want: %s\nstandard output %q", got, test.marks, result.out)
			}
		})
	}
	t.Run("a body alone, without a cluster", func(t *testing.T) {
		result := run(t, noCluster(t), apiV3Key, "open", "--platform", "Pay", "--api-v3-key-file", "-", "--body", file(t, string(genuine.Body)))
		result.check(t, StatusOK, "nothing shows who sent this", resource)
		if want := "headers skipped, age skipped, serial skipped, body ok, signature skipped, notification ok, resource ok"; result.marks() != want {
			t.Errorf("steps: %s\n want: %s", result.marks(), want)
		}
	})
	t.Run("a request without a cluster", func(t *testing.T) {
		run(t, noCluster(t), apiV3Key, "open", "--platform", "Pay", "--api-v3-key-file", "-", "--request", file(t, dump(genuine))).
			check(t, StatusOK, "the signature is not looked at", resource)
	})
	t.Run("what is no notification", func(t *testing.T) {
		run(t, noCluster(t), apiV3Key, "open", "--platform", "Pay", "--api-v3-key-file", "-", "--body", file(t, captured)).
			check(t, StatusRefused, "those of v2 are XML")
	})
}

func TestWrongArgumentsOfOpen(t *testing.T) {
	for words, args := range map[string][]string{
		"name an endpoint, or pass":          {"open", "--body", "-"},
		"nothing to open":                    {"open", "demo"},
		"--request holds the query":          {"open", "demo", "--request", "x", "--query", "y"},
		"only one file can be -":             {"open", "--token-file", "-", "--body", "-"},
		"reading the body: no such file":     {"open", "--token-file", "-", "--body", "/absent"},
		"reading the request: no such file":  {"open", "--token-file", "-", "--request", "/absent"},
		"does not begin with a line like":    {"open", "--token-file", "-", "--request", file(t, "hello")},
		"a line like POST /weixin":           {"open", "--token-file", "-", "--request", file(t, "POST \n\n")},
		"its body is in chunks, and it is":   {"open", "--token-file", "-", "--request", file(t, "POST /?a=b HTTP/1.1\nTransfer-Encoding: chunked\n\nhello")},
		"there is no flag --url":             {"open", "--url", wxURL},
		"never taken as an argument":         {"open", "demo", "--api-v3-key=" + apiV3Key},
		"reading the request: it has more t": {"open", "--token-file", "-", "--request", file(t, strings.Repeat("x", maxCapture+1))},
	} {
		t.Run(words, func(t *testing.T) {
			run(t, noCluster(t), token, args...).check(t, StatusUsage, words)
		})
	}
}

func TestATerminalIsNotSteered(t *testing.T) {
	if got, want := harmless("a\tb\n\x1b[2J\u202e你"), "a\tb\n\\u001b[2J\\u202e你"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
