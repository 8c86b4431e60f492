// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	payKey   = "0123456789abcdef0123456789abcdef"
	payNonce = "nonce-of-12b"
)

// sealPay is the ciphertext of a resource.
func sealPay(t testing.TB, plain, associatedData string) string {
	t.Helper()
	block, err := aes.NewCipher([]byte(payKey))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(gcm.Seal(nil, []byte(payNonce), []byte(plain), []byte(associatedData)))
}

func TestVerifyPay(t *testing.T) {
	signer, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := rsa.SignPKCS1v15(nil, signer, crypto.SHA256, payDigest("1700000000", "n1", []byte(`{"a":1}`)))
	if err != nil {
		t.Fatal(err)
	}
	signed := base64.StdEncoding.EncodeToString(raw)
	for name, test := range map[string]struct {
		key                               *rsa.PublicKey
		signature, timestamp, nonce, body string
		want                              bool
	}{
		"what was signed verifies":                {&signer.PublicKey, signed, "1700000000", "n1", `{"a":1}`, true},
		"another key does not verify":             {&stranger.PublicKey, signed, "1700000000", "n1", `{"a":1}`, false},
		"a changed body does not":                 {&signer.PublicKey, signed, "1700000000", "n1", `{"a":2}`, false},
		"a body written anew does not":            {&signer.PublicKey, signed, "1700000000", "n1", `{"a": 1}`, false},
		"another timestamp does not":              {&signer.PublicKey, signed, "1700000001", "n1", `{"a":1}`, false},
		"another nonce does not":                  {&signer.PublicKey, signed, "1700000000", "n2", `{"a":1}`, false},
		"parts that were shifted do not":          {&signer.PublicKey, signed, "1700000000\nn1", `{"a":1}`, "", false},
		"Tencent's test of the verifier does not": {&signer.PublicKey, "WECHATPAY/SIGNTEST/" + signed, "1700000000", "n1", `{"a":1}`, false},
		"a signature that is cut off does not":    {&signer.PublicKey, signed[:len(signed)-4], "1700000000", "n1", `{"a":1}`, false},
		"a signature that is no base64 does not":  {&signer.PublicKey, "!" + signed[1:], "1700000000", "n1", `{"a":1}`, false},
		"one with bits behind its end does not":   {&signer.PublicKey, signed[:len(signed)-3] + string(signed[len(signed)-3]+1) + "==", "1700000000", "n1", `{"a":1}`, false},
		"no signature does not":                   {&signer.PublicKey, "", "1700000000", "n1", `{"a":1}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := VerifyPay(test.key, test.signature, test.timestamp, test.nonce, []byte(test.body)); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestPayNotification(t *testing.T) {
	plain := `{"out_trade_no":"1"}`
	resource := fmt.Sprintf(`{"algorithm":"AEAD_AES_256_GCM","ciphertext":%q,"associated_data":"transaction","nonce":%q,"original_type":"transaction"}`,
		sealPay(t, plain, "transaction"), payNonce)
	bare := fmt.Sprintf(`{"algorithm":"AEAD_AES_256_GCM","ciphertext":%q,"nonce":%q}`, sealPay(t, plain, ""), payNonce)
	around := func(resource string) string {
		return `{"id":"1","event_type":"TRANSACTION.SUCCESS","resource" : ` + resource + `,"summary":"支付成功"}`
	}
	for name, test := range map[string]struct {
		body          string
		key           string
		refused       bool
		undecryptable bool
	}{
		"a notification is opened":                {body: around(resource)},
		"one without associated data is opened":   {body: around(bare)},
		"one with white space around is opened":   {body: "\n" + around(" "+resource+" ") + "\r\n"},
		"one with a byte order mark is opened":    {body: "\xef\xbb\xbf" + around(resource)},
		"an escaped name is refused":              {body: strings.Replace(around(resource), `"resource"`, `"\u0072esource"`, 1), refused: true},
		"no data are the same as data of null":    {body: around(strings.Replace(bare, "{", `{"associated_data":null,`, 1))},
		"data are taken with their white space":   {body: around(fmt.Sprintf(`{"algorithm":"AEAD_AES_256_GCM","ciphertext":%q,"associated_data":" a\n","nonce":%q}`, sealPay(t, plain, " a\n"), payNonce))},
		"a wrong key opens nothing":               {body: around(resource), key: strings.Repeat("k", 32), undecryptable: true},
		"a key of a wrong length opens nothing":   {body: around(resource), key: "short", undecryptable: true},
		"another algorithm is not opened":         {body: around(strings.Replace(resource, "AEAD_AES_256_GCM", "AEAD_SM4_GCM", 1)), undecryptable: true},
		"no algorithm is not opened":              {body: around(strings.Replace(resource, "algorithm", "algo", 1)), undecryptable: true},
		"a nonce of 11 bytes is not opened":       {body: around(strings.Replace(resource, payNonce, payNonce[1:], 1)), undecryptable: true},
		"a nonce of 13 bytes is not opened":       {body: around(strings.Replace(resource, payNonce, payNonce+"x", 1)), undecryptable: true},
		"no nonce is not opened":                  {body: around(strings.Replace(resource, `"nonce"`, `"once"`, 1)), undecryptable: true},
		"other associated data is not opened":     {body: around(strings.Replace(resource, `"transaction"`, `"refund"`, 1)), undecryptable: true},
		"a ciphertext that is no base64":          {body: around(strings.Replace(resource, `"ciphertext":"`, `"ciphertext":"!`, 1)), undecryptable: true},
		"a ciphertext that is shorter than a tag": {body: around(`{"algorithm":"AEAD_AES_256_GCM","ciphertext":"AAAA","nonce":"nonce-of-12b"}`), undecryptable: true},
		"two resources are refused":               {body: `{"resource":` + resource + "," + around(resource)[1:], refused: true},
		"a broken one before a good one":          {body: `{"resource":"x",` + around(resource)[1:], refused: true},
		"no resource is refused":                  {body: `{"event_type":"TRANSACTION.SUCCESS"}`, refused: true},
		"a resource in capitals is none":          {body: strings.Replace(around(resource), `"resource"`, `"RESOURCE"`, 1), refused: true},
		"a resource that is a text is refused":    {body: around(`"x"`), refused: true},
		"a resource that is a list is refused":    {body: around(`[]`), refused: true},
		"a resource that is XML in a text":        {body: around(`"<xml><algorithm>AEAD_AES_256_GCM</algorithm></xml>"`), refused: true},
		"XML is refused":                          {body: "<xml><resource/></xml>", refused: true},
		"half a document is refused":              {body: around(resource)[:40], refused: true},
		"more behind the document is refused":     {body: around(resource) + "{}", refused: true},
		"invalid UTF-8 is refused":                {body: around("\"\xff\""), refused: true},
		"nothing is refused":                      {body: "", refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			notification, err := ParsePayNotification([]byte(test.body))
			var refusal *Refusal
			if test.refused {
				if !errors.As(err, &refusal) || refusal.Reason != ReasonMalformed || notification != (PayNotification{}) {
					t.Errorf("got %+v, error %v", notification, err)
				}
				return
			}
			if err != nil || notification.EventType != "TRANSACTION.SUCCESS" {
				t.Fatalf("got %+v, error %v", notification, err)
			}
			key := payKey
			if test.key != "" {
				key = test.key
			}
			opened, err := notification.Open(key)
			switch {
			case test.undecryptable:
				if !errors.Is(err, ErrUndecryptable) || opened != nil {
					t.Errorf("opened %q, error %v", opened, err)
				}
			case string(opened) != plain || err != nil:
				t.Errorf("opened %q, error %v", opened, err)
			}
		})
	}
}

func TestParsePayHeader(t *testing.T) {
	good := map[string][]string{
		PayTimestampHeader: {"1700000000"}, PayNonceHeader: {"n1"}, PaySignatureHeader: {"c2ln"}, PaySerialHeader: {"PUB_KEY_ID_01"},
	}
	want := PayHeader{Timestamp: "1700000000", Nonce: "n1", Signature: "c2ln", Serial: "PUB_KEY_ID_01"}
	typed := want
	typed.Type = PaySignatureType
	for name, test := range map[string]struct {
		header  string
		values  []string
		want    PayHeader
		refused string
	}{
		"the four headers":               {header: "Content-Type", values: []string{"application/json"}, want: want},
		"with the type":                  {header: PayTypeHeader, values: []string{PaySignatureType}, want: typed},
		"another type":                   {header: PayTypeHeader, values: []string{"WECHATPAY2-SM2-WITH-SM3"}, refused: "names another algorithm"},
		"an empty type":                  {header: PayTypeHeader, values: []string{""}, refused: PayTypeHeader},
		"a type twice":                   {header: PayTypeHeader, values: []string{PaySignatureType, PaySignatureType}, refused: PayTypeHeader},
		"no timestamp":                   {header: PayTimestampHeader, refused: PayTimestampHeader},
		"a timestamp that is no number":  {header: PayTimestampHeader, values: []string{"-1"}, refused: "decimal digits"},
		"a timestamp that is too long":   {header: PayTimestampHeader, values: []string{"1700000000000"}, refused: PayTimestampHeader},
		"a nonce twice":                  {header: PayNonceHeader, values: []string{"n1", "n1"}, refused: PayNonceHeader},
		"a nonce with a line feed":       {header: PayNonceHeader, values: []string{"n\n1"}, refused: PayNonceHeader},
		"a signature that is too long":   {header: PaySignatureHeader, values: []string{strings.Repeat("A", 1025)}, refused: PaySignatureHeader},
		"an empty serial":                {header: PaySerialHeader, values: []string{""}, refused: PaySerialHeader},
		"a serial that is no plain text": {header: PaySerialHeader, values: []string{"号"}, refused: PaySerialHeader},
	} {
		t.Run(name, func(t *testing.T) {
			header := maps.Clone(good)
			header[test.header] = test.values
			got, err := ParsePayHeader(header)
			if test.refused != "" {
				var refusal *Refusal
				if !errors.As(err, &refusal) || refusal.Reason != ReasonMalformed || !strings.Contains(refusal.Error(), test.refused) {
					t.Errorf("error %v, want a refusal with %q", err, test.refused)
				}
				return
			}
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Fatalf("error %v; parsed otherwise (-want +got):\n%s", err, diff)
			}
			again := map[string][]string{}
			for name, value := range got.Map() {
				again[name] = []string{value}
			}
			if back, err := ParsePayHeader(again); back != got || err != nil {
				t.Errorf("its map reads as %+v, error %v", back, err)
			}
		})
	}
}

// FuzzParsePayNotification holds that every failure is classified and that what passes is one JSON object with one
// resource, of which nothing is opened without its key.
func FuzzParsePayNotification(f *testing.F) {
	f.Add(fmt.Appendf(nil, `{"event_type":"A","resource":{"algorithm":"AEAD_AES_256_GCM","ciphertext":%q,"nonce":%q}}`, sealPay(f, "{}", ""), payNonce))
	f.Add([]byte(`{"resource":{"algorithm":"AEAD_AES_256_GCM","nonce":"nonce-of-12b"},"resource":{}}`))
	f.Add([]byte("\xef\xbb\xbf{\"resource\" : {\"a\":[1,{}]} }"))
	f.Add([]byte(`<xml><resource/></xml>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		notification, err := ParsePayNotification(body)
		var refusal *Refusal
		if err != nil {
			if !errors.As(err, &refusal) || refusal.Reason != ReasonMalformed || notification != (PayNotification{}) {
				t.Errorf("got %+v and the unclassified error %v", notification, err)
			}
			return
		}
		if FormOf(body) != FormJSON || bytes.Count(body, []byte("resource")) == 0 {
			t.Error("passed a body without a resource")
		}
		if opened, err := notification.Open(strings.Repeat("k", 32)); err != nil && (!errors.Is(err, ErrUndecryptable) || opened != nil) {
			t.Errorf("opened %q, error %v", opened, err)
		}
	})
}
