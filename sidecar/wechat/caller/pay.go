// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// PayAccount makes a Sender play WeChat Pay (API v3): a notification is signed in its headers, with an RSA key, over its
// raw body, and its resource is encrypted.
//
// WeChat Pay's own private key is nowhere but at WeChat Pay. Who is to be fooled must hold the public half of PrivateKey
// under Serial; a real endpoint does not.
type PayAccount struct {
	// PrivateKey signs; nil can send nothing but a forged signature (WithProbeSignature).
	PrivateKey *rsa.PrivateKey
	// Serial names the key: PUB_KEY_ID_…, or the number of a certificate in upper-case hexadecimal digits.
	Serial string
	// APIv3Key is the 32 characters of the merchant platform, which encrypt the resource.
	APIv3Key string
}

// NewNotification makes the POST of a notification with a resource, which is JSON. Errors are as in NewURLCheck, or say
// that a key is missing.
//
// A mutation that is about a parameter is about a header here, by its name. One that is about the body
// replaces the body that was signed: the signature does not cover what replaces it.
func (s *Sender) NewNotification(eventType string, resource []byte, mutations ...Mutation) (*Request, error) {
	return s.make(Draft{Method: http.MethodPost, Body: resource, eventType: eventType}, mutations)
}

// SignTestPrefix begins the signatures by which WeChat Pay tests whether anybody looks. They are wrong, and must be refused.
// (pay.weixin.qq.com/docs/partner/development/practices/notification-considerations.html)
const SignTestPrefix = "WECHATPAY/SIGNTEST/"

// WithProbeSignature sends a signature like those of WeChat Pay's own tests.
func WithProbeSignature() Mutation {
	raw := make([]byte, 256)
	_, _ = rand.Read(raw) // crypto/rand never fails
	forged := SignTestPrefix + base64.StdEncoding.EncodeToString(raw)
	return func(d *Draft) { d.Signature = &forged }
}

// sealNotification puts the resource into its notification.
func (s *Sender) sealNotification(d *Draft) error {
	block, err := aes.NewCipher([]byte(s.Pay.APIv3Key))
	if err != nil || len(s.Pay.APIv3Key) != 32 {
		return errors.New("an APIv3 key has 32 characters")
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return fmt.Errorf("making the cipher: %w", err)
	}
	type resource struct {
		OriginalType   string `json:"original_type"`
		Algorithm      string `json:"algorithm"`
		Ciphertext     string `json:"ciphertext"`
		AssociatedData string `json:"associated_data"`
		Nonce          string `json:"nonce"`
	}
	kind, _, _ := strings.Cut(strings.ToLower(d.eventType), ".") // transaction, refund
	nonce := digits(int64(gcm.NonceSize()))
	sealed := base64.StdEncoding.EncodeToString(gcm.Seal(nil, []byte(nonce), d.Body, []byte(kind)))
	d.Body = jsonText(struct {
		ID           string   `json:"id"`
		CreateTime   string   `json:"create_time"`
		ResourceType string   `json:"resource_type"`
		EventType    string   `json:"event_type"`
		Summary      string   `json:"summary"`
		Resource     resource `json:"resource"`
	}{"EV-" + digits(19), beijing(s.now()), "encrypt-resource", d.eventType, "测试通知", resource{kind, "AEAD_AES_256_GCM", sealed, kind, nonce}})
	d.signed, d.Serial = d.Body, s.Pay.Serial
	d.Header.Set("Content-Type", "application/json")
	return nil
}

// signNotification signs what is to be sent, unless a signature is forged.
func (s *Sender) signNotification(d *Draft) error {
	if d.Signature != nil {
		return nil
	}
	if s.Pay.PrivateKey == nil {
		return errors.New("a notification of Pay needs a private key to sign with")
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n", d.Timestamp, d.Nonce, d.signed))
	raw, err := rsa.SignPKCS1v15(nil, s.Pay.PrivateKey, crypto.SHA256, digest[:])
	if err != nil {
		return fmt.Errorf("signing the notification: %w", err)
	}
	signature := base64.StdEncoding.EncodeToString(raw)
	d.Signature = &signature
	return nil
}

// payParameters are the headers of a notification, in the order of WeChat Pay's documentation.
func (d *Draft) payParameters() []Parameter {
	return []Parameter{
		{wechat.PayTimestampHeader, d.Timestamp}, {wechat.PayNonceHeader, d.Nonce}, {wechat.PaySignatureHeader, *d.Signature},
		{wechat.PaySerialHeader, d.Serial}, {wechat.PayTypeHeader, wechat.PaySignatureType},
	}
}
