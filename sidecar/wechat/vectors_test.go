// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/vectors"
)

// vector is one case, with the package at hand.
type vector struct{ *vectors.Vector }

var vectorKinds = map[string]func(*testing.T, *vector){
	"get-verify-plain":         checkGetPlain,
	"get-verify-encrypted":     checkGetEncrypted,
	"post-plain":               checkPostPlain,
	"post-encrypted":           checkPostEncrypted,
	"post-encrypted-malformed": checkPostEncrypted,
	"reply-encrypt":            checkSeal,
	"encrypt-known-random":     checkSeal,
	"signature-only":           checkSignatureOnly,
	"pay-notify":               checkPayNotify,
	"pay-gcm":                  checkPayGCM,
	"pay-rsa":                  checkPayRSA,
}

// TestVectors compares the package with messages that other programs made. WECHAT_VECTORS names another folder of such
// files than the one beside this test.
func TestVectors(t *testing.T) {
	checks := map[string]func(*testing.T, *vectors.Vector){}
	for kind, check := range vectorKinds {
		checks[kind] = func(t *testing.T, v *vectors.Vector) { check(t, &vector{v}) }
	}
	vectors.Run(t, filepath.Join("testdata", "vectors"), "in memory", checks)
}

// parsedQuery reads the query as it was sent, or as it would be sent.
func (v *vector) parsedQuery(t *testing.T) Query {
	t.Helper()
	values := url.Values{}
	for name, value := range v.Query {
		values.Set(name, value)
	}
	query, err := ParseQuery(values.Encode())
	if err != nil {
		t.Fatalf("the query is refused: %v", err)
	}
	if v.RawQuery != "" {
		sent, err := ParseQuery(v.RawQuery)
		if diff := cmp.Diff(query, sent); diff != "" || err != nil {
			t.Fatalf("error %v; the query as sent reads otherwise (-decoded +sent):\n%s", err, diff)
		}
	}
	return query
}

func (v *vector) key(t *testing.T, encoded string) *Key {
	t.Helper()
	key, err := ParseEncodingAESKey(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// open tries the current key and then the previous one, as a receiver does while the key is being changed.
func (v *vector) open(t *testing.T, encrypted string) ([]byte, string, error) {
	t.Helper()
	message, receiver, err := openText(v.key(t, v.EncodingAESKey), encrypted)
	if err != nil && v.PreviousEncodingAESKey != "" {
		return openText(v.key(t, v.PreviousEncodingAESKey), encrypted)
	}
	return message, receiver, err
}

// verify compares both signatures of a query, and reports whether msg_signature holds.
func (v *vector) verify(t *testing.T, query Query, encrypted string) bool {
	t.Helper()
	holds := Verify(query.MsgSignature, v.Token, query.Timestamp, query.Nonce, encrypted)
	vectors.Expect(t, "whether signature holds", &v.Expect.SignatureOK, Verify(query.Signature, v.Token, query.Timestamp, query.Nonce))
	vectors.Expect(t, "whether msg_signature holds", &v.Expect.MsgSignatureOK, holds)
	return holds
}

func (v *vector) expectReceiver(t *testing.T, receiver string) {
	t.Helper()
	vectors.Expect(t, "the receiver's id", &v.Expect.ReceiveID, receiver)
	vectors.Expect(t, "whether the receiver's id is right", &v.Expect.ReceiveIDOK, receiver == v.ReceiveID)
}

func checkGetPlain(t *testing.T, v *vector) {
	query := v.parsedQuery(t)
	v.verify(t, query, "")
	vectors.Expect(t, "the answer", &v.Expect.ResponseBody, query.Echostr)
}

func checkGetEncrypted(t *testing.T, v *vector) {
	query := v.parsedQuery(t)
	if !v.verify(t, query, query.Echostr) {
		return
	}
	message, receiver, err := v.open(t, query.Echostr)
	if err != nil {
		t.Fatal(err)
	}
	vectors.Expect(t, "the answer", &v.Expect.ResponseBody, string(message))
	v.expectReceiver(t, receiver)
}

// form checks that the notation of the body is told from its first byte.
func (v *vector) form(t *testing.T) []byte {
	t.Helper()
	body := []byte(*v.Body)
	want, known := map[string]Form{"xml": FormXML, "json": FormJSON}[v.BodyFormat]
	if got := FormOf(body); !known || got != want {
		t.Errorf("the form of a body in %q is %v", v.BodyFormat, got)
	}
	return body
}

func checkPostPlain(t *testing.T, v *vector) {
	query := v.parsedQuery(t)
	v.verify(t, query, "")
	if fields := ReadFields(v.form(t)); fields.MsgType == "" || fields.ToUserName == "" {
		t.Errorf("the fields of the message are not read: %+v", fields)
	}
}

// checkPostEncrypted also takes the malformed ones: there msg_signature holds, so that the decryption is what refuses.
func checkPostEncrypted(t *testing.T, v *vector) {
	query := v.parsedQuery(t)
	if v.Body != nil {
		envelope, err := ParseEnvelope(v.form(t), true)
		if (err != nil) != (v.Encrypt == "") || string(envelope.Encrypt) != v.Encrypt {
			t.Errorf("error %v, Encrypt is %q, want %q", err, envelope.Encrypt, v.Encrypt)
		}
	}
	if !v.verify(t, query, v.Encrypt) {
		return
	}
	message, receiver, err := v.open(t, v.Encrypt)
	vectors.Expect(t, "whether it can be decrypted", &v.Expect.DecryptOK, err == nil)
	if v.Kind == "post-encrypted-malformed" {
		if !errors.Is(err, ErrUndecryptable) || message != nil || receiver != "" {
			t.Errorf("got %q for %q and error %v, want ErrUndecryptable alone", message, receiver, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	v.ExpectPlaintext(t, string(message))
	v.expectReceiver(t, receiver)
	vectors.Expect(t, "the answer", &v.Expect.ResponseBody, Success)
	if v.Expect.RandomASCII != nil {
		// Open does not tell the random bytes. Sealing with them must give the same text.
		sealed, err := v.key(t, v.EncodingAESKey).Seal(random(t, *v.Expect.RandomASCII), message, receiver)
		if sealed != v.Encrypt || err != nil {
			t.Errorf("error %v, sealed again it is %s, want %s", err, sealed, v.Encrypt)
		}
		v.Expect.RandomASCII = nil
	}
}

func random(t *testing.T, ascii string) [RandomSize]byte {
	t.Helper()
	if len(ascii) != RandomSize {
		t.Fatalf("%q has not %d bytes", ascii, RandomSize)
	}
	return [RandomSize]byte([]byte(ascii))
}

func checkSeal(t *testing.T, v *vector) {
	sealed, err := v.key(t, v.EncodingAESKey).Seal(random(t, v.RandomASCII), []byte(v.ReplyPlaintext), v.ReceiveID)
	if err != nil {
		t.Fatal(err)
	}
	vectors.Expect(t, "the encrypted text", &v.Expect.Encrypt, sealed)
	message, receiver, err := v.open(t, sealed)
	if string(message) != v.ReplyPlaintext || receiver != v.ReceiveID || err != nil {
		t.Errorf("error %v, opened again it is %q for %q", err, message, receiver)
	}
	if v.Kind == "encrypt-known-random" {
		return
	}
	vectors.Expect(t, "msg_signature", &v.Expect.MsgSignature, Sign(v.Token, v.ReplyTimestamp, v.ReplyNonce, sealed))
	vectors.Expect(t, "the envelope in XML", &v.Expect.EnvelopeXML, string(ReplyEnvelope(FormXML, v.Token, v.ReplyTimestamp, v.ReplyNonce, sealed)))
	if v.Expect.Envelope != nil {
		var envelope vectors.Envelope
		if err := vectors.Strictly(ReplyEnvelope(FormJSON, v.Token, v.ReplyTimestamp, v.ReplyNonce, sealed), &envelope); err != nil {
			t.Error(err)
		}
		vectors.Expect(t, "the envelope in JSON", &v.Expect.Envelope, envelope)
	}
}

func checkSignatureOnly(t *testing.T, v *vector) {
	vectors.Expect(t, "msg_signature", &v.Expect.MsgSignature, Sign(v.Token, v.Timestamp, v.Nonce, v.Encrypt))
}

func checkPayNotify(t *testing.T, v *vector) {
	header := map[string][]string{}
	for name, value := range v.Headers {
		header[name] = []string{value}
	}
	signed, err := ParsePayHeader(header)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(*v.Body)
	holds := VerifyPay(v.publicKey(t), signed.Signature, signed.Timestamp, signed.Nonce, body)
	vectors.Expect(t, "whether the signature holds", &v.Expect.SignatureOK, holds)
	notification, err := ParsePayNotification(body)
	if err != nil {
		t.Fatal(err)
	}
	message, err := notification.Open(v.APIV3Key)
	if err != nil {
		t.Fatal(err)
	}
	v.ExpectPlaintext(t, string(message))
}

// publicKey reads the certificate, or the bare key.
func (v *vector) publicKey(t *testing.T) *rsa.PublicKey {
	t.Helper()
	block, _ := pem.Decode([]byte(v.PlatformCertificate + v.PublicKey))
	if block == nil {
		t.Fatal("the key is not PEM")
	}
	if block.Type == "PUBLIC KEY" {
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return key.(*rsa.PublicKey)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate.PublicKey.(*rsa.PublicKey)
}

func checkPayGCM(t *testing.T, v *vector) {
	message, err := OpenPay(v.APIV3Key, v.Nonce, v.AssociatedData, v.Ciphertext)
	if err != nil {
		t.Fatal(err)
	}
	v.ExpectPlaintext(t, string(message))
}

func checkPayRSA(t *testing.T, v *vector) {
	holds := VerifyPay(v.publicKey(t), v.Signature, v.Timestamp, v.Nonce, []byte(*v.Body))
	vectors.Expect(t, "whether the signature holds", &v.Expect.SignatureOK, holds)
}
