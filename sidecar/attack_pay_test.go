// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

const (
	apiV3Key = "0123456789abcdef0123456789abcdef"
	payNonce = "nonce-of-12b"
	serial   = "PUB_KEY_ID_0000000000000024101100397200000006"
)

// payer plays WeChat Pay.
type payer struct{ key *rsa.PrivateKey }

func newPayer(t *testing.T) payer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return payer{key}
}

// public is what the merchant platform gives to the merchant.
func (p payer) public(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&p.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// notification is what Pay signs, before it is signed.
type notification struct {
	timestamp, nonce, serial string
	key                      string // of the resource
	algorithm                string
	associatedData           string // that is sent; another than was encrypted with does not open it
	body                     func(genuine string) string
}

// notify signs a notification of a payment.
func (p payer) notify(t *testing.T, payment string, change func(*notification)) (header http.Header, body string) {
	t.Helper()
	n := notification{
		timestamp: strconv.FormatInt(time.Now().Unix(), 10), nonce: "n0nce", serial: serial,
		key: apiV3Key, algorithm: "AEAD_AES_256_GCM", associatedData: "transaction",
	}
	if change != nil {
		change(&n)
	}
	block, err := aes.NewCipher([]byte(n.key))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	sealed := base64.StdEncoding.EncodeToString(gcm.Seal(nil, []byte(payNonce), []byte(payment), []byte("transaction")))
	body = fmt.Sprintf(`{"id":"1","event_type":"TRANSACTION.SUCCESS","resource_type":"encrypt-resource","resource":`+
		`{"algorithm":%q,"ciphertext":%q,"associated_data":%q,"nonce":%q,"original_type":"transaction"}}`, n.algorithm, sealed, n.associatedData, payNonce)
	if n.body != nil {
		body = n.body(body)
	}
	digest := sha256.Sum256([]byte(n.timestamp + "\n" + n.nonce + "\n" + body + "\n"))
	signature, err := rsa.SignPKCS1v15(nil, p.key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return http.Header{
		wechat.PayTimestampHeader: {n.timestamp}, wechat.PayNonceHeader: {n.nonce}, wechat.PaySerialHeader: {n.serial},
		wechat.PaySignatureHeader: {base64.StdEncoding.EncodeToString(signature)}, wechat.PayTypeHeader: {wechat.PaySignatureType},
		"Content-Type": {"application/json"},
	}, body
}

// newPayVictim starts a sidecar for a merchant.
func newPayVictim(t *testing.T, pair config.Pair) *victim {
	t.Helper()
	s := newStage(t, func(c *config.Config) {
		c.Platform, c.MessageMode, c.AppID, c.Path, c.Freshness = config.PlatformPay, "", "1900000001", "/pay", 0
	})
	v := attack(t, s)
	v.sender = &caller.Sender{URL: strings.TrimSuffix(s.url, "/weixin") + "/pay", Token: token, Timeout: patience}
	v.serve(t, config.Credentials{Pairs: []config.Pair{pair}})
	return v
}

// TestForgedPaymentsAreRefusedAlike has two halves: what an outsider changes in a signed notification, and what would be
// signed by Pay and still must not pass.
func TestForgedPaymentsAreRefusedAlike(t *testing.T) {
	t.Parallel()
	pay, stranger := newPayer(t), newPayer(t)
	v := newPayVictim(t, config.Pair{Generation: 1, APIv3Key: apiV3Key, PlatformKeys: map[string]string{serial: pay.public(t)}})

	set := func(name string, values ...string) func(*caller.Request) {
		return func(r *caller.Request) { r.Header[name] = values }
	}
	doubled := func(name, value string) func(*caller.Request) {
		return func(r *caller.Request) { r.Header[name] = append(r.Header[name][:1:1], value) }
	}
	edited := func(name string, edit func(string) string) func(*caller.Request) {
		return func(r *caller.Request) { r.Header[name] = []string{edit(r.Header[name][0])} }
	}
	aged := func(age time.Duration) func(*notification) {
		return func(n *notification) { n.timestamp = strconv.FormatInt(time.Now().Add(-age).Unix(), 10) }
	}
	bodied := func(old, replacement string) func(*notification) {
		return func(n *notification) {
			n.body = func(genuine string) string {
				if !strings.Contains(genuine, old) {
					t.Errorf("no %s in the body", old)
				}
				return strings.Replace(genuine, old, replacement, 1)
			}
		}
	}
	spaced := func(n *notification) {
		n.body = func(genuine string) string {
			inside := strings.Index(genuine, `"ciphertext":"`) + len(`"ciphertext":"`) + 4
			return genuine[:inside] + " " + genuine[inside:]
		}
	}
	unchanged := func(*caller.Request) {}
	for name, row := range map[string]struct {
		want   verdict
		signed func(*notification)
		sent   func(*caller.Request)
	}{
		"as Pay sends it":                       {accepted, nil, unchanged},
		"without a type":                        {accepted, nil, set(wechat.PayTypeHeader)},
		"a query is not signed and not read":    {accepted, nil, func(r *caller.Request) { r.Query = "signature=forged&a=%zz;" }},
		"4 minutes old":                         {accepted, aged(4 * time.Minute), unchanged},
		"a timestamp between spaces, in a head": {accepted, nil, edited(wechat.PayTimestampHeader, func(v string) string { return " " + v + "\t" })},

		"the body has one byte more":     {refused, nil, rewrite(func(b string) string { return b + " " })},
		"the body has one byte less":     {refused, nil, rewrite(func(b string) string { return b[:len(b)-1] })},
		"the body has another event":     {refused, nil, rewrite(func(b string) string { return strings.Replace(b, "SUCCESS", "success", 1) })},
		"the body is written anew":       {refused, nil, rewrite(func(b string) string { return strings.ReplaceAll(b, `":`, `": `) })},
		"the body has a byte order mark": {refused, nil, prefix("\ufeff")},
		"no body":                        {refused, nil, func(r *caller.Request) { r.Body = nil }},
		"no timestamp":                   {refused, nil, set(wechat.PayTimestampHeader)},
		"no nonce":                       {refused, nil, set(wechat.PayNonceHeader)},
		"no signature":                   {refused, nil, set(wechat.PaySignatureHeader)},
		"no serial":                      {refused, nil, set(wechat.PaySerialHeader)},
		"two timestamps":                 {refused, nil, doubled(wechat.PayTimestampHeader, "1")},
		"two nonces":                     {refused, nil, doubled(wechat.PayNonceHeader, "forged")},
		"two signatures":                 {refused, nil, doubled(wechat.PaySignatureHeader, "Zm9yZ2Vk")},
		"two serials":                    {refused, nil, doubled(wechat.PaySerialHeader, serial)},
		"two types":                      {refused, nil, doubled(wechat.PayTypeHeader, wechat.PaySignatureType)},
		"an empty type":                  {refused, nil, set(wechat.PayTypeHeader, "")},
		"the type of SM2":                {refused, nil, set(wechat.PayTypeHeader, "WECHATPAY2-SM2-WITH-SM3")},
		"a type of nothing":              {refused, nil, set(wechat.PayTypeHeader, "none")},
		"the type in small letters":      {refused, nil, edited(wechat.PayTypeHeader, strings.ToLower)},
		"another timestamp":              {refused, nil, edited(wechat.PayTimestampHeader, func(v string) string { n, _ := strconv.Atoi(v); return strconv.Itoa(n - 1) })},
		"a timestamp with a zero before": {refused, nil, edited(wechat.PayTimestampHeader, func(v string) string { return "0" + v })},
		"a timestamp with a sign":        {refused, nil, edited(wechat.PayTimestampHeader, func(v string) string { return "+" + v })},
		"a timestamp with a space in it": {refused, nil, edited(wechat.PayTimestampHeader, func(v string) string { return v[:4] + " " + v[4:] })},
		"a timestamp on a folded line":   {refused, nil, edited(wechat.PayTimestampHeader, func(v string) string { return v[:4] + "\r\n " + v[4:] })},
		"a timestamp with a fraction":    {refused, nil, edited(wechat.PayTimestampHeader, func(v string) string { return v + ".0" })},
		"a timestamp of milliseconds":    {refused, nil, edited(wechat.PayTimestampHeader, func(v string) string { return v + "000" })},
		"another nonce":                  {refused, nil, set(wechat.PayNonceHeader, "forged")},
		"a nonce with a space in it":     {refused, nil, set(wechat.PayNonceHeader, "n0 nce")},
		"a nonce of 1 KiB":               {refused, nil, set(wechat.PayNonceHeader, strings.Repeat("n", 1024))},
		"a nonce that is not ASCII":      {refused, nil, set(wechat.PayNonceHeader, "n0ncé")},
		"an unknown serial":              {refused, nil, set(wechat.PaySerialHeader, "PUB_KEY_ID_1")},
		"the serial in small letters":    {refused, nil, edited(wechat.PaySerialHeader, strings.ToLower)},
		"a serial that is a path":        {refused, nil, set(wechat.PaySerialHeader, "../"+serial)},
		"Tencent's own test":             {refused, nil, edited(wechat.PaySignatureHeader, func(v string) string { return "WECHATPAY/SIGNTEST/" + v })},
		"Tencent's own test, of length":  {refused, nil, edited(wechat.PaySignatureHeader, func(v string) string { return "WECHATPAY/SIGNTEST/" + v[len("WECHATPAY/SIGNTEST/"):] })},
		"a signature with a bit flipped": {refused, nil, edited(wechat.PaySignatureHeader, func(v string) string { return flippedBits(t, v) })},
		"a signature of zeros":           {refused, nil, set(wechat.PaySignatureHeader, base64.StdEncoding.EncodeToString(make([]byte, 256)))},
		"a signature that is cut off":    {refused, nil, edited(wechat.PaySignatureHeader, func(v string) string { return v[:len(v)-4] })},
		"a signature with a space":       {refused, nil, edited(wechat.PaySignatureHeader, func(v string) string { return v[:9] + " " + v[9:] })},
		"a signature in hexadecimal":     {refused, nil, edited(wechat.PaySignatureHeader, func(v string) string { return fmt.Sprintf("%x", v) })},
		"headers with underscores":       {refused, nil, func(r *caller.Request) { underscored(r.Header) }},
		"message push, in place of Pay": {refused, nil, func(r *caller.Request) {
			clear(r.Header)
			r.Query = "signature=" + strings.Repeat("0", 40) + "&timestamp=1&nonce=1"
		}},
		"PUT":                                  {refused, nil, func(r *caller.Request) { r.Method = "PUT" }},
		"GET":                                  {refused, nil, func(r *caller.Request) { r.Method, r.Body = "GET", nil }},
		"a URL check, which Pay does not know": {refused, nil, func(r *caller.Request) { r.Method, r.Body, r.Query = "GET", nil, "echostr=1" }},

		"5 minutes and a second old":             {refused, aged(5*time.Minute + time.Second), unchanged},
		"a day old":                              {refused, aged(24 * time.Hour), unchanged},
		"6 minutes from the future":              {refused, aged(-6 * time.Minute), unchanged},
		"signed for another serial":              {refused, func(n *notification) { n.serial = "PUB_KEY_ID_1" }, unchanged},
		"signed, and of another cipher":          {refused, func(n *notification) { n.algorithm = "AEAD_SM4_GCM" }, unchanged},
		"signed, and of no cipher":               {refused, func(n *notification) { n.algorithm = "" }, unchanged},
		"signed, and of the cipher in small":     {refused, func(n *notification) { n.algorithm = "aead_aes_256_gcm" }, unchanged},
		"signed, and of another key":             {refused, func(n *notification) { n.key = strings.Repeat("k", 32) }, unchanged},
		"signed, and of other associated data":   {refused, func(n *notification) { n.associatedData = "refund" }, unchanged},
		"signed, and of no associated data":      {refused, func(n *notification) { n.associatedData = "" }, unchanged},
		"signed, and of another nonce":           {refused, bodied(payNonce, "nonce-of-12c"), unchanged},
		"signed, and of a longer nonce":          {refused, bodied(payNonce, payNonce+"0"), unchanged},
		"signed, and of an empty nonce":          {refused, bodied(payNonce, ""), unchanged},
		"signed, and of another ciphertext":      {refused, bodied(`"ciphertext":"`, `"ciphertext":"AAAA`), unchanged},
		"signed, and of an empty ciphertext":     {refused, bodied(`"ciphertext":"`, `"ciphertext":"","other":"`), unchanged},
		"signed, and of ciphertext with a space": {refused, spaced, unchanged},
		"signed, and of two resources":           {refused, bodied(`"resource":`, `"resource":{},"resource":`), unchanged},
		"signed, and of a resource that is text": {refused, bodied(`"resource":{`, `"resource":"a","other":{`), unchanged},
		"signed, and of a resource that is none": {refused, bodied(`"resource":{`, `"resource":null,"other":{`), unchanged},
		"signed, and with something behind":      {refused, bodied(`"transaction"}}`, `"transaction"}}{}`), unchanged},
		"signed, and XML, as in the old protocol": {refused, func(n *notification) {
			n.body = func(string) string { return "<xml><return_code>SUCCESS</return_code></xml>" }
		}, unchanged},
		"signed, and no JSON at all": {refused, func(n *notification) { n.body = func(string) string { return "SUCCESS" } }, unchanged},
	} {
		t.Run(name, func(t *testing.T) {
			v.unique++
			payment := fmt.Sprintf(`{"out_trade_no":"%d"}`, v.unique)
			header, body := pay.notify(t, payment, row.signed)
			attacked := v.payRequest(header, body)
			row.sent(attacked)
			v.expectPayment(t, row.want == accepted, attacked, payment)
			control, body := pay.notify(t, payment, nil)
			v.expectControl(t, v.payRequest(control, body), payment, row.want == accepted)
		})
	}
	t.Run("signed by a stranger", func(t *testing.T) {
		header, body := stranger.notify(t, `{"out_trade_no":"forged"}`, nil)
		v.expectPayment(t, false, v.payRequest(header, body), "")
	})
}

func (v *victim) payRequest(header http.Header, body string) *caller.Request {
	return &caller.Request{Method: http.MethodPost, Path: "/pay", Proto: "HTTP/1.1", Host: v.address(), Header: header, Body: []byte(body)}
}

// underscored spells names as some servers hand them to programs.
func underscored(header http.Header) {
	for name, values := range header.Clone() {
		delete(header, name)
		header[strings.ReplaceAll(name, "-", "_")] = values
	}
}

// expectPayment judges Pay's answers: 204 and nothing, or 403 and a JSON that is always the same.
func (v *victim) expectPayment(t *testing.T, passes bool, request *caller.Request, payment string) {
	t.Helper()
	status, body := http.StatusForbidden, `{"code":"FAIL","message":"not accepted"}`
	if passes {
		status, body = http.StatusNoContent, ""
	}
	for _, s := range v.doors() {
		answer := whole(v.sends(t, s, request))
		if answer.Status != status || string(answer.Body) != body {
			t.Errorf("answered %d %q, want %d", answer.Status, answer.Body, status)
		}
		v.expectSeen(t, passes, payment)
	}
}

// expectControl sends the genuine notification, which the app may have seen.
func (v *victim) expectControl(t *testing.T, request *caller.Request, payment string, again bool) {
	t.Helper()
	if answer := whole(v.sender.Send(t.Context(), request)); answer.Status != http.StatusNoContent {
		t.Errorf("control: the genuine notification was answered with %d", answer.Status)
	}
	v.expectSeen(t, !again, payment)
}
