// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vectorFile is one file of testdata/vectors. Its README says what the fields mean. What describes the origin is not read
// any further, so it may have any shape; a vector may not.
type vectorFile struct {
	Half       string          `json:"half"`
	Source     json.RawMessage `json:"source"`
	Provenance string          `json:"provenance"`
	Vectors    []vector        `json:"vectors"`
}

type vector struct {
	ID            string `json:"id"`
	Kind          string `json:"kind"`
	Platform      string `json:"platform"`
	Mode          string `json:"mode"`
	Notes         string `json:"notes"`
	Informational bool   `json:"informational"`

	Token                  string `json:"token"`
	EncodingAESKey         string `json:"encoding_aes_key"`
	PreviousEncodingAESKey string `json:"previous_encoding_aes_key"`
	ReceiveID              string `json:"receive_id"`
	APIV3Key               string `json:"api_v3_key"`

	Query      map[string]string `json:"query"`
	RawQuery   string            `json:"raw_query"`
	Body       *string           `json:"body"`
	BodyFormat string            `json:"body_format"`
	Encrypt    string            `json:"encrypt"`

	ReplyPlaintext string `json:"reply_plaintext"`
	ReplyTimestamp string `json:"reply_timestamp"`
	ReplyNonce     string `json:"reply_nonce"`
	RandomASCII    string `json:"random_ascii"`

	Timestamp           string            `json:"timestamp"`
	Nonce               string            `json:"nonce"`
	AssociatedData      string            `json:"associated_data"`
	Ciphertext          string            `json:"ciphertext"`
	PlatformCertificate string            `json:"platform_certificate"`
	Headers             map[string]string `json:"headers"`
	Now                 int64             `json:"now"`

	Expect expectation `json:"expect"`
}

// expectation holds pointers, because false and the empty text are expected too. A check takes out what it has compared;
// what is left at the end was compared by nobody.
type expectation struct {
	SignatureOK       *bool           `json:"signature_ok"`
	MsgSignatureOK    *bool           `json:"msg_signature_ok"`
	DecryptOK         *bool           `json:"decrypt_ok"`
	ReceiveIDOK       *bool           `json:"receive_id_ok"`
	Plaintext         *string         `json:"plaintext"`
	PlaintextContains []string        `json:"plaintext_contains"`
	ReceiveID         *string         `json:"receive_id"`
	ResponseBody      *string         `json:"response_body"`
	RandomASCII       *string         `json:"random_ascii"`
	Encrypt           *string         `json:"encrypt"`
	MsgSignature      *string         `json:"msg_signature"`
	Envelope          *vectorEnvelope `json:"envelope"`
	EnvelopeXML       *string         `json:"envelope_xml"`
}

type vectorEnvelope struct {
	Encrypt      string
	MsgSignature string
	TimeStamp    json.Number
	Nonce        string
}

// vectorKinds is closed, so that a new kind of vector fails the run instead of passing unread.
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
}

// TestVectors compares the package with messages that other programs made. WECHAT_VECTORS names another folder of such
// files than the one beside this test.
func TestVectors(t *testing.T) {
	folder := os.Getenv("WECHAT_VECTORS")
	if folder == "" {
		folder = filepath.Join("testdata", "vectors")
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no file of vectors in %s: %v", folder, err)
	}
	passed, failed := 0, 0
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var file vectorFile
		if err := strictly(content, &file); err != nil || len(file.Vectors) == 0 {
			t.Errorf("%s holds %d vectors, error %v", name, len(file.Vectors), err)
			failed++
			continue
		}
		for _, v := range file.Vectors {
			check, known := vectorKinds[v.Kind]
			if known && v.Informational {
				continue // it tells how a peer deviates, which is nothing to follow
			}
			ok := t.Run(strings.TrimSuffix(filepath.Base(name), ".json")+"/"+v.ID, func(t *testing.T) {
				if !known {
					t.Fatalf("the kind %q is not known here", v.Kind)
				}
				if cmp.Equal(expectation{}, v.Expect) {
					t.Fatal("the vector expects nothing")
				}
				check(t, &v)
				if left := cmp.Diff(expectation{}, v.Expect); left != "" {
					t.Errorf("these expectations were not compared:\n%s", left)
				}
			})
			if ok {
				passed++
			} else {
				failed++
			}
		}
	}
	if passed == 0 {
		t.Error("no vector passed")
	}
	fmt.Printf("vectors: %d passed, %d failed\n", passed, failed)
}

// strictly decodes one JSON document that has no field beyond those of into.
func strictly(document []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind the document")
	}
	return nil
}

// expect compares where something is expected, and takes the expectation out.
func expect[T comparable](t *testing.T, what string, want **T, got T) {
	t.Helper()
	if *want != nil && **want != got {
		t.Errorf("%s is %v, want %v", what, got, **want)
	}
	*want = nil
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
	message, receiver, err := v.key(t, v.EncodingAESKey).Open(encrypted)
	if err != nil && v.PreviousEncodingAESKey != "" {
		return v.key(t, v.PreviousEncodingAESKey).Open(encrypted)
	}
	return message, receiver, err
}

// verify compares both signatures of a query, and reports whether msg_signature holds.
func (v *vector) verify(t *testing.T, query Query, encrypted string) bool {
	t.Helper()
	holds := Verify(query.MsgSignature, v.Token, query.Timestamp, query.Nonce, encrypted)
	expect(t, "whether signature holds", &v.Expect.SignatureOK, Verify(query.Signature, v.Token, query.Timestamp, query.Nonce))
	expect(t, "whether msg_signature holds", &v.Expect.MsgSignatureOK, holds)
	return holds
}

// expectPlain compares what came out of a decryption.
func (v *vector) expectPlain(t *testing.T, message []byte) {
	t.Helper()
	expect(t, "the plaintext", &v.Expect.Plaintext, string(message))
	for _, part := range v.Expect.PlaintextContains {
		if !bytes.Contains(message, []byte(part)) {
			t.Errorf("the plaintext lacks %q: %s", part, message)
		}
	}
	v.Expect.PlaintextContains = nil
}

func (v *vector) expectReceiver(t *testing.T, receiver string) {
	t.Helper()
	expect(t, "the receiver's id", &v.Expect.ReceiveID, receiver)
	expect(t, "whether the receiver's id is right", &v.Expect.ReceiveIDOK, receiver == v.ReceiveID)
}

func checkGetPlain(t *testing.T, v *vector) {
	query := v.parsedQuery(t)
	v.verify(t, query, "")
	expect(t, "the answer", &v.Expect.ResponseBody, query.Echostr)
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
	expect(t, "the answer", &v.Expect.ResponseBody, string(message))
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
		envelope, err := ParseEnvelope(v.form(t))
		if (err != nil) != (v.Encrypt == "") || envelope.Encrypt != v.Encrypt {
			t.Errorf("error %v, Encrypt is %q, want %q", err, envelope.Encrypt, v.Encrypt)
		}
	}
	if !v.verify(t, query, v.Encrypt) {
		return
	}
	message, receiver, err := v.open(t, v.Encrypt)
	expect(t, "whether it can be decrypted", &v.Expect.DecryptOK, err == nil)
	if v.Kind == "post-encrypted-malformed" {
		if !errors.Is(err, ErrUndecryptable) || message != nil || receiver != "" {
			t.Errorf("got %q for %q and error %v, want ErrUndecryptable alone", message, receiver, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	v.expectPlain(t, message)
	v.expectReceiver(t, receiver)
	expect(t, "the answer", &v.Expect.ResponseBody, Success)
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
	expect(t, "the encrypted text", &v.Expect.Encrypt, sealed)
	message, receiver, err := v.open(t, sealed)
	if string(message) != v.ReplyPlaintext || receiver != v.ReceiveID || err != nil {
		t.Errorf("error %v, opened again it is %q for %q", err, message, receiver)
	}
	if v.Kind == "encrypt-known-random" {
		return
	}
	expect(t, "msg_signature", &v.Expect.MsgSignature, Sign(v.Token, v.ReplyTimestamp, v.ReplyNonce, sealed))
	expect(t, "the envelope in XML", &v.Expect.EnvelopeXML, string(ReplyEnvelope(FormXML, v.Token, v.ReplyTimestamp, v.ReplyNonce, sealed)))
	if v.Expect.Envelope != nil {
		var envelope vectorEnvelope
		if err := strictly(ReplyEnvelope(FormJSON, v.Token, v.ReplyTimestamp, v.ReplyNonce, sealed), &envelope); err != nil {
			t.Error(err)
		}
		expect(t, "the envelope in JSON", &v.Expect.Envelope, envelope)
	}
}

func checkSignatureOnly(t *testing.T, v *vector) {
	expect(t, "msg_signature", &v.Expect.MsgSignature, Sign(v.Token, v.Timestamp, v.Nonce, v.Encrypt))
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
	holds := VerifyPay(certificateKey(t, v.PlatformCertificate), signed.Signature, signed.Timestamp, signed.Nonce, body)
	expect(t, "whether the signature holds", &v.Expect.SignatureOK, holds)
	notification, err := ParsePayNotification(body)
	if err != nil {
		t.Fatal(err)
	}
	message, err := notification.Open(v.APIV3Key)
	if err != nil {
		t.Fatal(err)
	}
	v.expectPlain(t, message)
}

func certificateKey(t *testing.T, text string) *rsa.PublicKey {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatal("the certificate is not PEM")
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
	v.expectPlain(t, message)
}
