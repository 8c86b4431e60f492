// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

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
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

const (
	apiV3Key = "0123456789abcdef0123456789abcdef"
	serial   = "PUB_KEY_ID_1"
	resource = `{"transaction_id":"1"}`
)

// payer plays WeChat Pay with a key of its own.
type payer struct{ key *rsa.PrivateKey }

func newPayer(t *testing.T) (payer, *Gate) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := payer{key}
	return p, payGate(config.Pair{Generation: 1, APIv3Key: apiV3Key, PlatformKeys: map[string]string{serial: p.public(t)}})
}

func payGate(pairs ...config.Pair) *Gate {
	return New(config.Config{Platform: config.PlatformPay, Path: "/pay"}, config.Credentials{Pairs: pairs})
}

func (p payer) public(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&p.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// notification is a signed request; a row of the table breaks it.
type notification struct {
	header map[string][]string
	body   string
	key    string // of the resource
	age    time.Duration
}

func (p payer) request(t *testing.T, breakIt func(*notification)) Request {
	t.Helper()
	n := notification{key: apiV3Key, header: map[string][]string{}}
	breakIt(&n)
	block, err := aes.NewCipher([]byte(n.key))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	sealed := base64.StdEncoding.EncodeToString(gcm.Seal(nil, []byte("123456789012"), []byte(resource), []byte("transaction")))
	body := fmt.Sprintf(`{"id":"n-1","event_type":"TRANSACTION.SUCCESS","resource":{"algorithm":"AEAD_AES_256_GCM","ciphertext":%q,"associated_data":"transaction","nonce":"123456789012"}}`, sealed)
	timestamp := strconv.FormatInt(now.Add(-n.age).Unix(), 10)
	digest := sha256.Sum256([]byte(timestamp + "\nabc\n" + body + "\n"))
	signature, err := rsa.SignPKCS1v15(rand.Reader, p.key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	header := map[string][]string{
		wechat.PayTimestampHeader: {timestamp}, wechat.PayNonceHeader: {"abc"}, wechat.PaySerialHeader: {serial},
		wechat.PaySignatureHeader: {base64.StdEncoding.EncodeToString(signature)},
	}
	for name, values := range n.header {
		header[name] = values
	}
	return Request{Method: "POST", Path: "/pay", Header: header, Body: func() ([]byte, error) { return []byte(body + n.body), nil }}
}

func TestPay(t *testing.T) {
	payer, gate := newPayer(t)
	for name, test := range map[string]struct {
		breakIt func(*notification)
		refused wechat.Reason
	}{
		"a notification":           {func(*notification) {}, ""},
		"with its type":            {func(n *notification) { n.header[wechat.PayTypeHeader] = []string{wechat.PaySignatureType} }, ""},
		"as old as allowed":        {func(n *notification) { n.age = 5 * time.Minute }, ""},
		"a second older":           {func(n *notification) { n.age = 5*time.Minute + time.Second }, wechat.ReasonStale},
		"a second too early":       {func(n *notification) { n.age = -5*time.Minute - time.Second }, wechat.ReasonStale},
		"another algorithm":        {func(n *notification) { n.header[wechat.PayTypeHeader] = []string{"WECHATPAY2-SM2-WITH-SM3"} }, wechat.ReasonMalformed},
		"a doubled serial":         {func(n *notification) { n.header[wechat.PaySerialHeader] = []string{serial, serial} }, wechat.ReasonMalformed},
		"no nonce":                 {func(n *notification) { n.header[wechat.PayNonceHeader] = nil }, wechat.ReasonMalformed},
		"another nonce":            {func(n *notification) { n.header[wechat.PayNonceHeader] = []string{"abd"} }, wechat.ReasonBadSignature},
		"an unknown serial":        {func(n *notification) { n.header[wechat.PaySerialHeader] = []string{"PUB_KEY_ID_2"} }, wechat.ReasonUnknownSerial},
		"Tencent's test of checks": {func(n *notification) { n.header[wechat.PaySignatureHeader] = []string{"WECHATPAY/SIGNTEST/abc="} }, wechat.ReasonBadSignature},
		"one byte more":            {func(n *notification) { n.body = " " }, wechat.ReasonBadSignature},
		"another APIv3 key":        {func(n *notification) { n.key = "abcdef0123456789abcdef0123456789" }, wechat.ReasonUndecryptable},
	} {
		t.Run(name, func(t *testing.T) {
			message, err := gate.checked(payer.request(t, test.breakIt), now)
			if test.refused == "" {
				if err != nil || string(message.Body) != resource || message.Fields.Event != "TRANSACTION.SUCCESS" || message.payment.notification.ID != "n-1" {
					t.Errorf("got %+v, %v", message, err)
				}
				return
			}
			var refusal *wechat.Refusal
			if !errors.As(err, &refusal) || refusal.Reason != test.refused || message != nil {
				t.Errorf("got %+v, %v; want %s", message, err, test.refused)
			}
		})
	}
	t.Run("a GET", func(t *testing.T) {
		request := payer.request(t, func(*notification) {})
		request.Method = "GET"
		if _, err := gate.checked(request, now); err == nil {
			t.Error("a GET passed")
		}
	})
}

// TestPayTakesTheKeyOfTheSerial, and none of the others that are known.
func TestPayTakesTheKeyOfTheSerial(t *testing.T) {
	genuine, _ := newPayer(t)
	other, _ := newPayer(t)
	gate := payGate(config.Pair{APIv3Key: apiV3Key, PlatformKeys: map[string]string{serial: other.public(t), "PUB_KEY_ID_2": genuine.public(t)}})
	message, err := gate.checked(genuine.request(t, func(*notification) {}), now)
	expectRefusal(t, message, err, wechat.ReasonBadSignature)
}

// TestPayOpensWithEachPair: the APIv3 key may have been changed and the platform's keys not.
func TestPayOpensWithEachPair(t *testing.T) {
	payer, _ := newPayer(t)
	keys := map[string]string{serial: payer.public(t)}
	gate := payGate(config.Pair{Generation: 2, APIv3Key: "abcdef0123456789abcdef0123456789", PlatformKeys: keys}, config.Pair{Generation: 1, APIv3Key: apiV3Key, PlatformKeys: keys})
	if message, err := gate.checked(payer.request(t, func(*notification) {}), now); err != nil || message.Generation != 1 || string(message.Body) != resource {
		t.Errorf("got %+v, %v", message, err)
	}
}

// TestPayOpensWithNoPairThatHasEnded, though another one still knows the serial.
func TestPayOpensWithNoPairThatHasEnded(t *testing.T) {
	payer, _ := newPayer(t)
	keys, ended := map[string]string{serial: payer.public(t)}, now
	gate := payGate(config.Pair{APIv3Key: "abcdef0123456789abcdef0123456789", PlatformKeys: keys}, config.Pair{APIv3Key: apiV3Key, PlatformKeys: keys, NotAfter: &ended})
	message, err := gate.checked(payer.request(t, func(*notification) {}), now)
	expectRefusal(t, message, err, wechat.ReasonUndecryptable)
}

// TestNoBodyOfAnUnknownSerialIsRead keeps strangers from filling the memory.
func TestNoBodyOfAnUnknownSerialIsRead(t *testing.T) {
	payer, gate := newPayer(t)
	request := payer.request(t, func(n *notification) { n.header[wechat.PaySerialHeader] = []string{"PUB_KEY_ID_2"} })
	request.Body = func() ([]byte, error) { t.Error("read"); return nil, nil }
	if _, err := gate.checked(request, now); err == nil {
		t.Error("an unknown serial passed")
	}
}
