// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/vectors"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// TestVectorsOverHTTP plays the messages that other programs made against the running sidecar, each at its own time, and
// compares what the app sees and what WeChat would read. The same files are compared with the protocol's package in its
// own test.
func TestVectorsOverHTTP(t *testing.T) {
	vectors.Run(t, filepath.Join("wechat", "testdata", "vectors"), "over HTTP", map[string]func(*testing.T, *vectors.Vector){
		"get-verify-plain":         playURLCheck,
		"get-verify-encrypted":     playURLCheck,
		"post-plain":               playMessage,
		"post-encrypted":           playMessage,
		"post-encrypted-malformed": playMalformed,
		"reply-encrypt":            playReply,
		"encrypt-known-random":     playReply,
		"signature-only":           playSignature,
		"pay-notify":               playNotification,
		"pay-gcm":                  playResource,
		"pay-rsa":                  playPaySignature,
	})
}

// What stands in for values that a vector does not name, because its kind does not depend on them.
const (
	anyTime  = "1713424427"
	anyNonce = "415670741"
	anyKey   = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)

// vectorStage is a sidecar that serves one vector's account, before an app.
type vectorStage struct {
	url, ops string
	answer   string        // of the app
	seen     []string      // bodies that the app saw
	header   []http.Header // with them
}

// newVectorStage starts a sidecar whose clock stands still at the second of the vector. The configuration is handed over
// without the checks of its files, because a key of Pay's published vector has half the length of a real one.
func newVectorStage(t *testing.T, c config.Config, pairs []config.Pair, second string, random string) *vectorStage {
	t.Helper()
	stage := &vectorStage{}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // what was cut off is not what was sent
		stage.seen, stage.header = append(stage.seen, string(body)), append(stage.header, r.Header)
		_, _ = io.WriteString(w, stage.answer)
	}))
	t.Cleanup(app.Close)
	now, err := strconv.ParseInt(second, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	c.Path = "/weixin"
	c.Backend = config.Backend{URL: app.URL, Deadline: config.Duration(4 * time.Second)}
	address, ops := serveFrozen(t, c, pairs, time.Unix(now, 0), random)
	stage.url, stage.ops = "http://"+address+"/weixin", "http://"+ops
	return stage
}

// serveFrozen starts a sidecar whose clock stands still, and returns the addresses of its ports.
func serveFrozen(t *testing.T, c config.Config, pairs []config.Pair, now time.Time, random string) (publicAddress, opsAddress string) {
	t.Helper()
	c.Endpoint, c.Generation = "team-a/shop", "g-1"
	s := New(Options{ConfigDir: t.TempDir(), Grace: time.Second, Log: slog.New(slog.DiscardHandler)})
	s.clock = func(time.Time) time.Time { return now }
	if random != "" {
		s.random = strings.NewReader(random)
	}
	serveDocument(t, s, config.Document{Config: c, Credentials: config.Credentials{Pairs: pairs}})
	public, ops := listenOnLoopback(t), listenOnLoopback(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, public, ops) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return public.Addr().String(), ops.Addr().String()
}

func listenOnLoopback(t *testing.T) net.Listener {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// call sends one request and returns the status and the body of the answer.
func (s *vectorStage) call(t *testing.T, method, target string, header map[string]string, body []byte) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(read)
}

// expectRefused holds that a request was refused without a word, and that the app saw nothing of it.
func (s *vectorStage) expectRefused(t *testing.T, status int, answer string) {
	t.Helper()
	if status != http.StatusForbidden || answer != "" || len(s.seen) > 0 {
		t.Errorf("answered %d %q, the app saw %q, want a refusal", status, answer, s.seen)
	}
}

// accountsOf is the configuration of each platform that a vector names, and the pairs that it needs.
func accountsOf(t *testing.T, v *vectors.Vector) (configs []config.Config, pairs []config.Pair) {
	t.Helper()
	mode := map[string]string{"": config.ModeEncrypted, "secure": config.ModeEncrypted, "compat": config.ModeCompatible}[v.Mode]
	if v.Kind == "post-plain" {
		mode = config.ModePlaintext
	}
	for name := range strings.SplitSeq(cmp.Or(v.Platform, "any"), "|") {
		c := config.Config{AppID: v.ReceiveID, ReceiverIDs: []string{v.ReceiveID}}
		switch name {
		case "any", "officialaccount", "officialaccount-sandbox":
			c.Platform, c.MessageMode = config.PlatformOfficialAccount, mode
		case "miniprogram":
			c.Platform, c.MessageMode = config.PlatformMiniProgram, mode
		case "store":
			c.Platform = config.PlatformShop
		case "wecom", "wecom-aibot", "wecom-suite":
			c.Platform = config.PlatformWeCom
		case "openplatform":
			c.Platform = config.PlatformOpenPlatform
		default:
			t.Fatalf("the platform %q is not known here", name)
		}
		configs = append(configs, c)
	}
	for i, key := range []string{cmp.Or(v.EncodingAESKey, anyKey), v.PreviousEncodingAESKey} {
		if key != "" {
			pairs = append(pairs, config.Pair{Generation: int64(2 - i), Token: v.Token, EncodingAESKey: key})
		}
	}
	return configs, pairs
}

// query is the query string as it was sent, or as it would be sent.
func query(v *vectors.Vector) string {
	if v.RawQuery != "" {
		return v.RawQuery
	}
	values := url.Values{}
	for name, value := range v.Query {
		values.Set(name, value)
	}
	return values.Encode()
}

// holds reads an expectation that is true unless it says otherwise.
func holds(expected *bool) bool { return expected == nil || *expected }

func playURLCheck(t *testing.T, v *vectors.Vector) {
	genuine := holds(v.Expect.SignatureOK) && holds(v.Expect.MsgSignatureOK)
	configs, pairs := accountsOf(t, v)
	for _, c := range configs {
		s := newVectorStage(t, c, pairs, v.Query["timestamp"], "")
		status, answer := s.call(t, http.MethodGet, s.url+"?"+query(v), nil, nil)
		if !genuine {
			s.expectRefused(t, status, answer)
			continue
		}
		if want := v.Expect.ResponseBody; status != http.StatusOK || answer == "" || want != nil && answer != *want {
			t.Errorf("%s: answered %d %q, want %v", c.Platform, status, answer, want)
		}
	}
	// An encrypted echo for another receiver would have been refused.
	v.Expect.SignatureOK, v.Expect.MsgSignatureOK, v.Expect.ReceiveID, v.Expect.ResponseBody = nil, nil, nil, nil
}

func playMessage(t *testing.T, v *vectors.Vector) {
	configs, pairs := accountsOf(t, v)
	genuine := holds(v.Expect.SignatureOK) && holds(v.Expect.MsgSignatureOK) && holds(v.Expect.ReceiveIDOK)
	for _, c := range configs {
		s := newVectorStage(t, c, pairs, v.Query["timestamp"], "")
		if v.Expect.ResponseBody != nil {
			s.answer = *v.Expect.ResponseBody
		}
		status, answer := s.call(t, http.MethodPost, s.url+"?"+query(v), nil, messageBody(v))
		if !genuine {
			s.expectRefused(t, status, answer)
			continue
		}
		if status != http.StatusOK || len(s.seen) != 1 {
			t.Fatalf("%s: answered %d %q, the app saw %d messages", c.Platform, status, answer, len(s.seen))
		}
		if want := v.Expect.ResponseBody; want != nil && answer != *want {
			t.Errorf("%s: answered %q, want %q", c.Platform, answer, *want)
		}
		if v.Kind == "post-plain" && s.seen[0] != *v.Body {
			t.Errorf("the app saw %q", s.seen[0])
		}
		expected := v.Expect
		v.ExpectPlaintext(t, s.seen[0])
		v.Expect.Plaintext, v.Expect.PlaintextContains = expected.Plaintext, expected.PlaintextContains // for the next platform
		if want := v.Expect.ReceiveID; want != nil && s.header[0].Get("X-WeChat-App-Id") != *want {
			t.Errorf("the app was told of %q, want %q", s.header[0].Get("X-WeChat-App-Id"), *want)
		}
	}
	// What was read and compared above; the random bytes before a message reach nobody.
	v.Expect = vectors.Expectation{}
}

// messageBody is the body as it was sent, or as it would be sent.
func messageBody(v *vectors.Vector) []byte {
	if v.Body != nil {
		return []byte(*v.Body)
	}
	return wechat.RequestEnvelope(wechat.FormXML, nil, v.Encrypt)
}

func playMalformed(t *testing.T, v *vectors.Vector) {
	configs, pairs := accountsOf(t, v)
	for _, c := range configs {
		s := newVectorStage(t, c, pairs, v.Query["timestamp"], "")
		status, answer := s.call(t, http.MethodPost, s.url+"?"+query(v), nil, messageBody(v))
		s.expectRefused(t, status, answer)
	}
	v.Expect.MsgSignatureOK, v.Expect.DecryptOK = nil, nil
}

// playReply sends the expected ciphertext as a message, which the app must see opened, and lets the app answer with what
// it saw. The sealed reply must open to the expected one, with the expected nonce at the same time, in the expected notation; its random
// bytes cannot be the vector's, because they bear the mark of a reply. A vector from the account to a user is a reply and no message: it
// is refused, and is the app's answer to another message.
func playReply(t *testing.T, v *vectors.Vector) {
	second, nonce := cmp.Or(v.ReplyTimestamp, anyTime), cmp.Or(v.ReplyNonce, anyNonce)
	form := wechat.FormOf([]byte(v.ReplyPlaintext))
	repliable := wechat.CheckReply([]byte(v.ReplyPlaintext), form) == nil
	if !repliable {
		form = wechat.FormXML
	}
	key, err := wechat.ParseEncodingAESKey(v.EncodingAESKey)
	if err != nil {
		t.Fatal(err)
	}
	question, err := key.Seal([wechat.RandomSize]byte{}, []byte("<xml><MsgType>text</MsgType></xml>"), v.ReceiveID)
	if err != nil {
		t.Fatal(err)
	}
	fromTheAccount := strings.HasPrefix(wechat.ReadFields([]byte(v.ReplyPlaintext)).FromUserName, "gh_")
	configs, pairs := accountsOf(t, v)
	for _, c := range configs {
		s := newVectorStage(t, c, pairs, second, v.RandomASCII)
		if repliable {
			s.answer = v.ReplyPlaintext
		}
		post := func(encrypted string) (status int, answer string) {
			values := url.Values{"timestamp": {second}, "nonce": {nonce}, "msg_signature": {wechat.Sign(v.Token, second, nonce, encrypted)}}
			if c.Platform != config.PlatformWeCom {
				values.Set("encrypt_type", "aes")
			}
			return s.call(t, http.MethodPost, s.url+"?"+values.Encode(), nil, wechat.RequestEnvelope(form, nil, encrypted))
		}
		status, answer := post(*v.Expect.Encrypt)
		if fromTheAccount {
			s.expectRefused(t, status, answer)
			status, answer = post(question)
		} else if len(s.seen) != 1 || s.seen[0] != v.ReplyPlaintext {
			t.Errorf("%s: the app saw %q, want %q", c.Platform, s.seen, v.ReplyPlaintext)
		}
		if status != http.StatusOK {
			t.Fatalf("%s: answered %d", c.Platform, status)
		}
		if repliable {
			expectSealed(t, v, answer)
		}
	}
	v.Expect = vectors.Expectation{}
}

func expectSealed(t *testing.T, v *vectors.Vector, answer string) {
	t.Helper()
	sealed, err := wechat.ParseReplyEnvelope([]byte(answer))
	if err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	key, err := wechat.ParseEncodingAESKey(v.EncodingAESKey)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := key.Open([]byte(sealed.Encrypt))
	if err != nil || string(opened.Message) != v.ReplyPlaintext || opened.ReceiverID != v.ReceiveID || !key.Marked(opened.Random) {
		t.Errorf("it opens to %q for %q with %q, error %v", opened.Message, opened.ReceiverID, opened.Random, err)
	}
	if !wechat.Verify(sealed.Signature, v.Token, sealed.Timestamp, sealed.Nonce, sealed.Encrypt) {
		t.Error("its signature is wrong")
	}
	own := strings.NewReplacer(sealed.Encrypt, *v.Expect.Encrypt, sealed.Signature, wechat.Sign(v.Token, sealed.Timestamp, sealed.Nonce, *v.Expect.Encrypt))
	asExpected := own.Replace(answer)
	if want := v.Expect.EnvelopeXML; want != nil && asExpected != *want {
		t.Errorf("the envelope is %s, want %s", asExpected, *want)
	}
	if v.Expect.Envelope != nil {
		var envelope vectors.Envelope
		if err := vectors.Strictly([]byte(asExpected), &envelope); err != nil || envelope != *v.Expect.Envelope {
			t.Errorf("error %v, the envelope is %s", err, asExpected)
		}
	}
}

// playSignature has no key for the text, so the sidecar must get past the signature and no further.
func playSignature(t *testing.T, v *vectors.Vector) {
	configs, pairs := accountsOf(t, v)
	for _, c := range configs {
		s := newVectorStage(t, c, pairs, v.Timestamp, "")
		values := url.Values{"timestamp": {v.Timestamp}, "nonce": {v.Nonce}}
		if c.Platform != config.PlatformWeCom {
			values.Set("encrypt_type", "aes")
		}
		for _, signature := range []string{*v.Expect.MsgSignature, wechat.Sign(v.Token, v.Timestamp, v.Nonce)} {
			values.Set("msg_signature", signature)
			status, answer := s.call(t, http.MethodPost, s.url+"?"+values.Encode(), nil, wechat.RequestEnvelope(wechat.FormXML, nil, v.Encrypt))
			s.expectRefused(t, status, answer)
		}
		s.expectRefusedFor(t, "the right signature", wechat.ReasonUndecryptable)
		s.expectRefusedFor(t, "another signature", wechat.ReasonBadSignature)
	}
	v.Expect.MsgSignature = nil
}

// expectRefusedFor holds that exactly one request was refused for the reason.
func (s *vectorStage) expectRefusedFor(t *testing.T, what string, reason wechat.Reason) {
	t.Helper()
	_, metrics := s.call(t, http.MethodGet, s.ops+"/metrics", nil, nil)
	if !strings.Contains(metrics, fmt.Sprintf("wechat_sidecar_refused_total{reason=%q,wechat_endpoint=\"team-a/shop\"} 1\n", reason)) {
		t.Errorf("%s was not refused as %s", what, reason)
	}
}

func playNotification(t *testing.T, v *vectors.Vector) {
	serial := v.Headers[wechat.PaySerialHeader]
	s := newPayStage(t, v.APIV3Key, serial, v.PlatformCertificate, strconv.FormatInt(v.Now, 10))
	status, answer := s.call(t, http.MethodPost, s.url, v.Headers, []byte(*v.Body))
	if status != http.StatusNoContent || answer != "" || len(s.seen) != 1 {
		t.Fatalf("answered %d %q, the app saw %q", status, answer, s.seen)
	}
	v.ExpectPlaintext(t, s.seen[0])
	v.Expect.SignatureOK = nil
}

func newPayStage(t *testing.T, apiV3Key, serial, platformKey, second string) *vectorStage {
	t.Helper()
	pair := config.Pair{Generation: 1, APIv3Key: apiV3Key, PlatformKeys: map[string]string{serial: platformKey}}
	return newVectorStage(t, config.Config{Platform: config.PlatformPay, AppID: "1900000001"}, []config.Pair{pair}, second, "")
}

// playResource puts the encrypted text into a notification that is signed with a key of this test.
func playResource(t *testing.T, v *vectors.Vector) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{
		"id": "1", "event_type": "TRANSACTION.SUCCESS", "resource_type": "encrypt-resource",
		"resource": map[string]string{
			"algorithm": "AEAD_AES_256_GCM", "ciphertext": v.Ciphertext, "nonce": v.Nonce, "associated_data": v.AssociatedData, "original_type": "transaction",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n", anyTime, anyNonce, body))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	s := newPayStage(t, v.APIV3Key, "1A2B", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})), anyTime)
	status, answer := s.call(t, http.MethodPost, s.url, payHeaders(anyTime, anyNonce, "1A2B", base64.StdEncoding.EncodeToString(signature)), body)
	if status != http.StatusNoContent || len(s.seen) != 1 {
		t.Fatalf("answered %d %q, the app saw %q", status, answer, s.seen)
	}
	v.ExpectPlaintext(t, s.seen[0])
}

func payHeaders(timestamp, nonce, serial, signature string) map[string]string {
	return map[string]string{
		wechat.PayTimestampHeader: timestamp, wechat.PayNonceHeader: nonce, wechat.PaySerialHeader: serial, wechat.PaySignatureHeader: signature,
	}
}

// playPaySignature has no key for a resource, so the sidecar must get past the signature and no further.
func playPaySignature(t *testing.T, v *vectors.Vector) {
	s := newPayStage(t, strings.Repeat("k", 32), "1A2B", v.PublicKey+v.PlatformCertificate, v.Timestamp)
	status, _ := s.call(t, http.MethodPost, s.url, payHeaders(v.Timestamp, v.Nonce, "1A2B", v.Signature), []byte(*v.Body))
	if status != http.StatusForbidden || len(s.seen) > 0 {
		t.Errorf("answered %d, the app saw %q", status, s.seen)
	}
	if !*v.Expect.SignatureOK {
		s.expectRefusedFor(t, "a wrong signature", wechat.ReasonBadSignature)
	} else {
		s.expectRefusedFor(t, "a notification without a resource", wechat.ReasonMalformed)
	}
	v.Expect.SignatureOK = nil
}
