// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// echoing is an app that says back what a user says, in the user's notation, and passes the release check.
func echoing(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	message, fields := string(body), wechat.ReadFields(body)
	switch {
	case strings.Contains(message, "QUERY_AUTH_CODE:") || fields.InfoType != "" || r.Header.Get("X-WeChat-Platform") == platformPay:
	case strings.Contains(message, `"aibotid"`):
		_, _ = io.WriteString(w, `{"msgtype":"stream","stream":{"id":"1","content":"a bot's words"}}`)
	case strings.Contains(message, "order_info"):
		_, _ = io.WriteString(w, "success")
	case wechat.FormOf(body) == wechat.FormJSON:
		_, _ = io.WriteString(w, `{"ToUserName":"`+fields.FromUserName+`","FromUserName":"gh","CreateTime":1,"MsgType":"text","Content":"words in JSON"}`)
	case fields.Event == "LOCATION":
		_, _ = io.WriteString(w, xmlReply(fields, "LOCATIONfrom_callback"))
	case strings.Contains(message, "TESTCOMPONENT_MSG_TYPE_TEXT"):
		_, _ = io.WriteString(w, xmlReply(fields, "TESTCOMPONENT_MSG_TYPE_TEXT_callback"))
	default:
		_, _ = io.WriteString(w, xmlReply(fields, "words in XML"))
	}
}

func xmlReply(fields wechat.Fields, content string) string {
	return "<xml><ToUserName>" + fields.FromUserName + "</ToUserName><FromUserName>" + fields.ToUserName + "</FromUserName><CreateTime>1</CreateTime>" +
		"<MsgType>text</MsgType><Content>" + content + "</Content></xml>"
}

func TestSendPlaysEveryPlatform(t *testing.T) {
	path := func(path string) func(*v1alpha1.WeChatEndpoint) {
		return func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Path = path }
	}
	receivers := func(ids ...string) func(*v1alpha1.WeChatEndpoint) {
		return func(e *v1alpha1.WeChatEndpoint) { e.Spec.ReceiverIDs = ids }
	}
	for name, test := range map[string]struct {
		endpoint *v1alpha1.WeChatEndpoint
		args     []string
		words    []string
	}{
		"an Official Account in compatible mode": {demo(encrypted(v1alpha1.PlatformOfficialAccount, "Compatible")), nil, []string{"message   a text message\n", "reply     words in XML\n"}},
		"a Mini Program in XML":                  {demo(encrypted(v1alpha1.PlatformMiniProgram, "Encrypted")), nil, []string{"sealed    yes", "reply     words in XML\n"}},
		"a Mini Program in JSON":                 {demo(encrypted(v1alpha1.PlatformMiniProgram, "Encrypted")), []string{"--json"}, []string{"sealed    yes", "reply     words in JSON\n"}},
		"a Mini Program in plaintext JSON":       {demo(encrypted(v1alpha1.PlatformMiniProgram, "Plaintext")), []string{"--json"}, []string{"reply     words in JSON\n"}},
		"a shop":                                 {demo(encrypted(v1alpha1.PlatformShop, "")), nil, []string{"message   the event channels_ec_order_new\n", "reply     success"}},
		"an app of WeCom":                        {demo(encrypted(v1alpha1.PlatformWeCom, "")), nil, []string{"reply     words in XML\n"}},
		"a suite of WeCom":                       {demo(encrypted(v1alpha1.PlatformWeCom, "")), []string{"--scenario", "suite-ticket"}, []string{"message   a suite_ticket\n", "reply     success"}},
		"a suite by its own id":                  {demo(encrypted(v1alpha1.PlatformWeCom, ""), receivers("corp", "suite")), []string{"--scenario", "suite-ticket", "--receiver-id", "suite"}, []string{"reply     success"}},
		"the data of a suite":                    {demo(encrypted(v1alpha1.PlatformWeCom, ""), receivers("$CORPID$"), path("/weixin/$CORPID$")), []string{"--path-id", "wwcorp"}, []string{"/weixin/wwcorp?", "reply     words in XML\n"}},
		"a bot of WeCom by its receivers":        {demo(encrypted(v1alpha1.PlatformWeCom, ""), receivers("")), nil, []string{"reply     a bot's words\n"}},
		"a bot of WeCom by its name":             {demo(encrypted(v1alpha1.PlatformWeCom, ""), receivers("corp", "")), []string{"--scenario", "bot"}, []string{"reply     a bot's words\n"}},
		"a third-party platform":                 {demo(encrypted(v1alpha1.PlatformOpenPlatform, "")), nil, []string{"message   a component_verify_ticket\n", "reply     success"}},
		"an authorization":                       {demo(encrypted(v1alpha1.PlatformOpenPlatform, "")), []string{"--scenario", "authorized"}, []string{"message   the event authorized\n"}},
		"the end of an authorization":            {demo(encrypted(v1alpha1.PlatformOpenPlatform, "")), []string{"--scenario", "unauthorized"}, []string{"message   the event unauthorized\n"}},
		"a text to an authorizer":                {demo(encrypted(v1alpha1.PlatformOpenPlatform, ""), path("/weixin/$APPID$/callback")), []string{"--scenario", "text", "--path-id", "wx2"}, []string{"reply     words in XML\n"}},
		"the release check": {demo(encrypted(v1alpha1.PlatformOpenPlatform, ""), path("/weixin/$APPID$/callback")), []string{"--scenario", "release-check"},
			[]string{"/weixin/wx570bc396a51b8ff8/callback?", "/weixin/wxd101a85aa106f53e/callback?", "reply     TESTCOMPONENT_MSG_TYPE_TEXT_callback\n", "reply     LOCATIONfrom_callback\n", "reply     empty", "customer service API"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := gateway(t, test.endpoint, config.Pair{Token: token, EncodingAESKey: aesKey}, echoing)
			args := append([]string{"send", "demo", "--address", address}, test.args...)
			run(t, cluster(t, test.endpoint, encryptedSecret()), "", args...).check(t, StatusOK, append(test.words, "ok: ")...)
		})
	}
}

func TestSendWithoutACluster(t *testing.T) {
	for name, test := range map[string]struct {
		endpoint *v1alpha1.WeChatEndpoint
		args     []string
	}{
		"an Official Account, encrypted": {demo(encrypted(v1alpha1.PlatformOfficialAccount, "Encrypted")), nil},
		"a shop":                         {demo(encrypted(v1alpha1.PlatformShop, "")), []string{"--platform", "Shop"}},
		"a third-party platform":         {demo(encrypted(v1alpha1.PlatformOpenPlatform, "")), []string{"--platform=OpenPlatform"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := gateway(t, test.endpoint, config.Pair{Token: token, EncodingAESKey: aesKey}, echoing)
			args := append([]string{"send", "--url", wxURL, "--address", address, "--token-file", "-", "--encoding-aes-key-file", file(t, aesKey+"\n"), "--receiver-id", "wx1"}, test.args...)
			run(t, noCluster(t), token, args...).check(t, StatusOK, "ok: ")
		})
	}
}

func TestSendSaysThatTheReleaseCheckWouldFail(t *testing.T) {
	endpoint := demo(encrypted(v1alpha1.PlatformOpenPlatform, ""), func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Path = "/weixin/$APPID$" })
	address := gateway(t, endpoint, config.Pair{Token: token, EncodingAESKey: aesKey}, answer("success"))
	run(t, cluster(t, endpoint, encryptedSecret()), "", "send", "demo", "--scenario", "release-check", "--address", address).check(t, StatusRefused,
		"refused: the release check would fail: the reply is \"success\", and the release check asks for the text TESTCOMPONENT_MSG_TYPE_TEXT_callback\n",
		"asks for an empty one\n", "asks for the text LOCATIONfrom_callback\n")
}

func TestSendPay(t *testing.T) {
	_, private, public := payKey(t)
	_, stranger, _ := payKey(t)
	endpoint := demo(encrypted(v1alpha1.PlatformPay, ""))
	pair := config.Pair{APIv3Key: apiV3Key, PlatformKeys: map[string]string{serial: public}}
	address := gateway(t, endpoint, pair, echoing)
	for name, test := range map[string]struct {
		args   []string
		status int
		words  []string
	}{
		"a payment signed with a test key": {[]string{"--pay-private-key", file(t, private)}, StatusOK,
			[]string{"message   the notification of a payment\n", "sent      POST http://wx.example.com/weixin\n", "received  204 No Content", "ok: WeChat Pay would take this answer\n"}},
		"the probe without a key":      {[]string{"--scenario", "signtest"}, StatusOK, []string{"received  403 Forbidden", "ok: the wrong signature was refused"}},
		"a payment without a key":      {nil, StatusUsage, []string{"WeChat Pay's own private key is nowhere but at WeChat Pay", "--pay-private-key FILE", "--scenario signtest"}},
		"a key that is not the Secret": {[]string{"--pay-private-key", file(t, stranger)}, StatusUsage, []string{"belongs to none of the keys in the Secret (" + serial + ")", "nowhere but at WeChat Pay"}},
		"a public key for a private":   {[]string{"--pay-private-key", file(t, public)}, StatusUsage, []string{"not an RSA key", "openssl genrsa"}},
		"something else for a key":     {[]string{"--pay-private-key", file(t, "hello")}, StatusUsage, []string{"not PEM"}},
		"no such key":                  {[]string{"--pay-private-key", "/absent"}, StatusUsage, []string{"reading the private key: no such file"}},
		"a text to a merchant":         {[]string{"--scenario", "text", "--pay-private-key", file(t, private)}, StatusUsage, []string{"--scenario is one of [payment signtest]"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"send", "demo", "--address", address}, test.args...)
			run(t, cluster(t, endpoint, paySecret(public)), "", args...).check(t, test.status, test.words...)
		})
	}
	t.Run("another APIv3 key", func(t *testing.T) {
		other := paySecret(public)
		other.Data[v1alpha1.KeyAPIv3Key] = []byte(strings.Repeat("k", 32))
		run(t, cluster(t, endpoint, other), "", "send", "demo", "--address", address, "--pay-private-key", file(t, private)).
			check(t, StatusRefused, "refused: WeChat Pay would send it again: the server answered 403", "then its APIv3 key")
	})
	t.Run("without a cluster", func(t *testing.T) {
		args := []string{"send", "--platform", "Pay", "--url", wxURL, "--address", address, "--api-v3-key-file", "-", "--pay-private-key", file(t, private)}
		run(t, noCluster(t), apiV3Key, args...).check(t, StatusUsage, "--serial says under which serial")
		run(t, noCluster(t), apiV3Key, append(args, "--serial", serial)...).check(t, StatusOK, "ok: WeChat Pay would take this answer")
	})
	t.Run("a probe that is taken", func(t *testing.T) {
		careless := serve(t, answer(`{"code":"SUCCESS"}`))
		run(t, cluster(t, endpoint, paySecret(public)), "", "send", "demo", "--scenario", "signtest", "--address", careless).
			check(t, StatusRefused, "anybody can tell it of payments", "verify Wechatpay-Signature")
	})
}

// certificate is what WeChat Pay signed with before it had public keys.
func certificate(t *testing.T, key *rsa.PrivateKey, number int64) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(number), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestSendPayWithCertificates(t *testing.T) {
	older, _, _ := payKey(t)
	key, private, _ := payKey(t)
	endpoint := demo(encrypted(v1alpha1.PlatformPay, ""))
	newest := certificate(t, key, 0x7132D72A)
	address := gateway(t, endpoint, config.Pair{APIv3Key: apiV3Key, PlatformKeys: map[string]string{"7132D72A": newest}}, echoing)
	args := []string{"send", "demo", "--address", address, "--pay-private-key", file(t, private)}
	for name, test := range map[string]struct {
		certificates string
		status       int
		words        string
	}{
		"the second of two":     {certificate(t, older, 1) + newest, StatusOK, "ok: WeChat Pay would take this answer"},
		"only another":          {certificate(t, older, 1), StatusUsage, "none of the keys in the Secret (01)"},
		"something beside them": {newest + "hello", StatusUsage, "holds something that is not PEM"},
		"a broken one":          {"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n", StatusUsage, "holds a certificate that is"},
	} {
		t.Run(name, func(t *testing.T) {
			credentials := paySecret("")
			credentials.Data = map[string][]byte{v1alpha1.KeyAPIv3Key: []byte(apiV3Key), v1alpha1.KeyCertificates: []byte(test.certificates)}
			run(t, cluster(t, endpoint, credentials), "", args...).check(t, test.status, test.words)
		})
	}
	t.Run("a public key that is none", func(t *testing.T) {
		run(t, cluster(t, endpoint, paySecret("hello")), "", args...).check(t, StatusUsage, "the key publicKey of Secret shop/demo-token", "not one PEM block")
	})
	t.Run("no Secret", func(t *testing.T) {
		run(t, cluster(t, endpoint), "", append(args, "--api-v3-key-file", file(t, apiV3Key))...).
			check(t, StatusUsage, "reading WeChat Pay's public keys from Secret shop/demo-token")
	})
}

func TestSendRefusesAReplyThatWeChatCannotOpen(t *testing.T) {
	endpoint := demo(encrypted(v1alpha1.PlatformOfficialAccount, "Encrypted"))
	run(t, cluster(t, endpoint, encryptedSecret()), "", "send", "demo", "--address", serve(t, answer("<xml><MsgType>text</MsgType></xml>"))).
		check(t, StatusRefused, diagnose.FaultNotice, "the reply cannot be opened", "let the sidecar seal it")
}

func TestWrongArgumentsOfSend(t *testing.T) {
	for words, args := range map[string][]string{
		"--platform must be one of":           {"send", "--url", wxURL, "--token-file", "-", "--platform", "Alipay"},
		"leave it out, or the endpoint's":     {"send", "demo", "--platform", "Pay"},
		"only one file can be -":              {"send", "--url", wxURL, "--token-file", "-", "--encoding-aes-key-file", "-"},
		"with --receiver-id":                  {"send", "--url", wxURL, "--token-file", "-", "--encoding-aes-key-file", file(t, aesKey)},
		"is read from a file":                 {"send", "--url", wxURL, "--token-file", "-", "--platform", "Shop"},
		"nobody sends that to an account":     {"send", "--url", wxURL, "--token-file", "-", "--scenario", "ticket"},
		"the other URL, for tickets":          {"send", "--url", wxURL, "--token-file", "-", "--scenario", "release-check"},
		"the EncodingAESKey in the":           {"send", "--url", wxURL, "--token-file", "-", "--encoding-aes-key-file", file(t, aesKey+"\n\n")},
		"a token or key is never taken as an": {"send", "demo", "--encoding-aes-key", aesKey},
	} {
		t.Run(words, func(t *testing.T) {
			result := run(t, noCluster(t), token, args...)
			result.check(t, StatusUsage, words)
			if result.out != "" || strings.Contains(result.errout, aesKey) {
				t.Errorf("standard output: %s, standard error: %s", result.out, result.errout)
			}
		})
	}
}

// TestSendCallsTheAppsFaultTheApps, and not its proxy's: the sidecar says what became of a message that it has verified.
func TestSendCallsTheAppsFaultTheApps(t *testing.T) {
	says := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, test := range map[string]struct {
		app   http.HandlerFunc
		words []string
	}{
		"status 500":   {says(500, ""), []string{"app       POST /weixin at Service app, port 8080: bad reply\n", "the app answered with status 500", "do: see the app's log"}},
		"status 302":   {says(302, ""), []string{"the app answered with status 302"}},
		"status 404":   {says(404, ""), []string{"the app answered with status 404", "backend.path"}},
		"JSON for XML": {says(200, `{"code":0}`), []string{"the reply is JSON, and the message was XML", "do: answer in XML"}},
		"HTML":         {says(200, "<!DOCTYPE html><p>Welcome"), []string{"the reply is an HTML page"}},
		"a long reply": {says(200, "<xml>"+strings.Repeat("a", 64<<10)), []string{"longer than 65536 bytes"}},
		"broken off":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, []string{"the app took the message and broke off"}},
		"too slow": {func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(2500 * time.Millisecond)
			_, _ = io.WriteString(w, "success")
		}, []string{"port 8080: too slow: it took 2.5", "refused: WeChat would show the user nothing: the app did not answer until its deadline, and WeChat was told success in its place", "do: answer at once"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint := demo(encrypted(v1alpha1.PlatformOfficialAccount, "Encrypted"))
			address := gateway(t, endpoint, config.Pair{Token: token, EncodingAESKey: aesKey}, test.app)
			result := run(t, cluster(t, endpoint, encryptedSecret()), "", "send", "demo", "--address", address)
			result.check(t, StatusRefused, test.words...)
			if strings.Contains(result.out, "proxy") || strings.Contains(result.out, "logs") {
				t.Errorf("it blames somebody else:\n%s", result.out)
			}
		})
	}
}

// TestARefusalLeadsToItsLog: what a check found is told to nobody but who may read the sidecar's log.
func TestARefusalLeadsToItsLog(t *testing.T) {
	endpoint := demo(encrypted(v1alpha1.PlatformOfficialAccount, "Encrypted"))
	address := gateway(t, endpoint, config.Pair{Token: token, EncodingAESKey: aesKey}, echoing)
	const log = "kubectl -n shop logs -l wechatendpoint.io/endpoint=demo --since 1m --tail 100"
	result := run(t, cluster(t, endpoint, encryptedSecret()), "", "send", "demo", "--address", address, "--receiver-id", "wx9")
	result.check(t, StatusRefused, "it has another token or EncodingAESKey, or takes messages for others only", "receiverIDs", log)
	result = run(t, cluster(t, endpoint, encryptedSecret()), "", "verify", "demo", "--address", address, "--token-file", file(t, "another"))
	result.check(t, StatusRefused, "another token", "do: see the reason in the sidecar's log: "+log)
}

// TestWhatIsNotPublishedIsNotCalledGood, whoever answers at its URL, and letters are not the cause.
func TestWhatIsNotPublishedIsNotCalledGood(t *testing.T) {
	waiting := metav1.Condition{Type: v1alpha1.ConditionRouteProgrammed, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonWaiting}
	for name, condition := range map[string]metav1.Condition{
		"without its Secret":       {Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonSecretNotFound, Message: "CredentialsResolved: there is no Secret"},
		"lost to another endpoint": {Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonURLConflict, Message: "team-b/shop holds wx.example.com/weixin"},
		"without a route":          {Type: v1alpha1.ConditionRouteProgrammed, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonIngressClassNotFound, Message: "there is no IngressClass nginx"},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := demo(encrypted(v1alpha1.PlatformOfficialAccount, "Encrypted"), func(e *v1alpha1.WeChatEndpoint) {
				e.Status.Conditions = []metav1.Condition{waiting}
				meta.SetStatusCondition(&e.Status.Conditions, condition)
			})
			address := gateway(t, endpoint, config.Pair{Token: token, EncodingAESKey: aesKey}, echoing)
			result := run(t, cluster(t, endpoint, encryptedSecret()), "", "verify", "demo", "--address", address)
			result.check(t, StatusRefused, "the endpoint does not have this URL: "+condition.Reason+": "+condition.Message, "kubectl -n shop describe wechatendpoint demo")
			other := demo(encrypted(v1alpha1.PlatformOfficialAccount, "Encrypted"), func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Path = "/other" })
			address = gateway(t, other, config.Pair{Token: token, EncodingAESKey: aesKey}, echoing)
			result = run(t, cluster(t, endpoint, encryptedSecret()), "", "send", "demo", "--address", address)
			result.check(t, StatusRefused, "the endpoint does not have this URL: "+condition.Reason)
			if strings.Contains(result.out, "letter by letter") {
				t.Errorf("it speaks of letters:\n%s", result.out)
			}
		})
	}
}
