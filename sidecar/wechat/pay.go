// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
)

// Names of the headers of a WeChat Pay notification (API v3), and the one algorithm of its signatures that is verified
// here; a notification without a type has this one.
const (
	PayTimestampHeader = "Wechatpay-Timestamp"
	PayNonceHeader     = "Wechatpay-Nonce"
	PaySignatureHeader = "Wechatpay-Signature"
	PaySerialHeader    = "Wechatpay-Serial"
	PayTypeHeader      = "Wechatpay-Signature-Type"
	PaySignatureType   = "WECHATPAY2-SHA256-RSA2048"
)

// PayHeaders are the headers of a notification that are read.
var PayHeaders = []string{PayTimestampHeader, PayNonceHeader, PaySignatureHeader, PaySerialHeader, PayTypeHeader}

// payAlgorithm is the cipher of a notification's resource. There are others for SM4, which are refused.
const payAlgorithm = "AEAD_AES_256_GCM"

// VerifyPay reports whether signature, in base64, is WeChat Pay's over the timestamp, the nonce and the raw body. The body
// is covered as it was sent; a body that was parsed and written anew does not verify.
//
// The calls with a signature that begins WECHATPAY/SIGNTEST/, by which Tencent tests whether anybody looks, fail here as
// every wrong signature does, which is what they ask for.
func VerifyPay(key *rsa.PublicKey, signature, timestamp, nonce string, body []byte) bool {
	raw, err := base64.StdEncoding.Strict().DecodeString(signature)
	if err != nil {
		return false
	}
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, payDigest(timestamp, nonce, body), raw) == nil
}

// payDigest hashes the three parts, each with a line feed behind it.
func payDigest(timestamp, nonce string, body []byte) []byte {
	hash := sha256.New()
	hash.Write([]byte(timestamp + "\n" + nonce + "\n"))
	hash.Write(body)
	hash.Write([]byte{'\n'})
	return hash.Sum(nil)
}

// PayNotification is the body of a notification.
type PayNotification struct {
	// ID is the same for every try to deliver the notification.
	ID string
	// EventType says what happened, such as TRANSACTION.SUCCESS.
	EventType string
	resource  payResource
}

type payResource struct{ algorithm, ciphertext, associatedData, nonce, originalType string }

// ParsePayNotification reads a verified body. Its error is a *Refusal with ReasonMalformed.
func ParsePayNotification(body []byte) (PayNotification, error) {
	var n PayNotification
	found := 0
	err := eachMember(body, func(m member) (err error) {
		switch string(m.name) {
		case "id":
			n.ID, err = m.text()
		case "event_type":
			n.EventType, err = m.text()
		case "resource":
			found++
			n.resource, err = readPayResource(m.value)
		}
		return err
	})
	if err != nil {
		return PayNotification{}, Refuse(ReasonMalformed, "the notification is not a JSON object")
	}
	if found != 1 {
		return PayNotification{}, Refuse(ReasonMalformed, "the notification does not have one resource")
	}
	return n, nil
}

func readPayResource(object []byte) (payResource, error) {
	var r payResource
	err := eachMember(object, func(m member) (err error) {
		switch string(m.name) {
		case "algorithm":
			r.algorithm, err = m.text()
		case "ciphertext":
			r.ciphertext, err = m.text()
		case "associated_data": // null is nothing, as a missing one is
			r.associatedData, err = m.text()
		case "nonce":
			r.nonce, err = m.text()
		case "original_type":
			r.originalType, err = m.text()
		}
		return err
	})
	return r, err
}

// OriginalType is the kind of what is encrypted in the resource.
func (n PayNotification) OriginalType() string { return n.resource.originalType }

// Open decrypts the notification's resource.
func (n PayNotification) Open(apiV3Key string) ([]byte, error) {
	if n.resource.algorithm != payAlgorithm {
		return nil, ErrUndecryptable
	}
	return OpenPay(apiV3Key, n.resource.nonce, n.resource.associatedData, n.resource.ciphertext)
}

// OpenPay decrypts a ciphertext in base64 with the characters of an APIv3 key, 32 of them for AES-256. The associated data
// may be empty.
func OpenPay(apiV3Key, nonce, associatedData, ciphertext string) ([]byte, error) {
	sealed, err := base64.StdEncoding.Strict().DecodeString(ciphertext)
	if err != nil {
		return nil, ErrUndecryptable
	}
	block, err := aes.NewCipher([]byte(apiV3Key))
	if err != nil {
		return nil, ErrUndecryptable
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil || len(nonce) != gcm.NonceSize() {
		return nil, ErrUndecryptable
	}
	opened, err := gcm.Open(nil, []byte(nonce), sealed, []byte(associatedData))
	if err != nil {
		return nil, ErrUndecryptable
	}
	return opened, nil
}

// PayRefusal is the body of an answer that is no 2xx: WeChat Pay wants to be told in JSON that it failed.
const PayRefusal = `{"code":"FAIL","message":"not accepted"}`

// PayHeader is what signs a notification.
type PayHeader struct{ Timestamp, Nonce, Signature, Serial, Type string }

// Bounds of Pay's headers: a signature of a key of 4096 bits has 684 characters. Bytes.
const (
	maxPaySignatureSize = 1024
	maxPaySerialSize    = 128
)

// ParsePayHeader reads the headers of a notification by their canonical names. Each stands once and is visible ASCII; the
// timestamp is decimal digits. Its error is a *Refusal with ReasonMalformed.
func ParsePayHeader(header map[string][]string) (PayHeader, error) {
	var h PayHeader
	for _, f := range []struct {
		name     string
		into     *string
		limit    int
		optional bool
	}{
		{PayTimestampHeader, &h.Timestamp, maxTimestampSize, false},
		{PayNonceHeader, &h.Nonce, MaxNonceSize, false},
		{PaySignatureHeader, &h.Signature, maxPaySignatureSize, false},
		{PaySerialHeader, &h.Serial, maxPaySerialSize, false},
		{PayTypeHeader, &h.Type, len(PaySignatureType), true},
	} {
		values := header[f.name]
		if len(values) == 0 && f.optional {
			continue
		}
		if len(values) != 1 || values[0] == "" || len(values[0]) > f.limit || !visible(values[0]) {
			return PayHeader{}, Refuse(ReasonMalformed, "header "+f.name+" must stand once, as visible ASCII of moderate length")
		}
		*f.into = values[0]
	}
	switch {
	case !seconds(h.Timestamp):
		return PayHeader{}, Refuse(ReasonMalformed, "header "+PayTimestampHeader+" must be decimal digits without a leading zero")
	case h.Type != "" && h.Type != PaySignatureType:
		return PayHeader{}, Refuse(ReasonMalformed, "header "+PayTypeHeader+" names another algorithm than "+PaySignatureType)
	}
	return h, nil
}

// Map returns the headers by their names, without those that were not there.
func (h PayHeader) Map() map[string]string {
	headers := map[string]string{
		PayTimestampHeader: h.Timestamp, PayNonceHeader: h.Nonce, PaySignatureHeader: h.Signature, PaySerialHeader: h.Serial,
	}
	if h.Type != "" {
		headers[PayTypeHeader] = h.Type
	}
	return headers
}
