// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechattest

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// PaySender plays WeChat Pay (API v3) with a key pair made for a test: WeChat Pay's own private key is nowhere but there.
// Of the Sender, URL, Host, Address, Timeout, RootCAs, Now and Nonce count.
type PaySender struct {
	Sender
	// PrivateKey signs; the receiver knows its public half by Serial.
	PrivateKey *rsa.PrivateKey
	// Serial is PUB_KEY_ID_… or a certificate's serial number in upper-case hexadecimal digits.
	Serial string
	// APIv3Key is the 32 characters that encrypt the resource.
	APIv3Key string
}

// payProbe is how the signatures begin that WeChat Pay sends now and then to see whether anybody looks. They are wrong,
// and want to be refused like any other (pay.weixin.qq.com, 通知的注意事项).
const payProbe = "WECHATPAY/SIGNTEST/"

// NewNotification makes a signed notification of an event, such as TRANSACTION.SUCCESS, with the JSON of its resource
// encrypted. A test breaks what it likes of it afterwards.
func (s *PaySender) NewNotification(eventType string, resource []byte) (*Request, error) {
	target, err := parseURL(s.URL)
	if err != nil {
		return nil, err
	}
	body, err := s.notification(eventType, resource)
	if err != nil {
		return nil, err
	}
	host := target.Host
	if s.Host != "" {
		host = s.Host
	}
	request := &Request{
		Method: http.MethodPost, Path: target.EscapedPath(), Query: target.RawQuery, Proto: "HTTP/1.1", Host: host, Body: body,
		Header: http.Header{"User-Agent": {"Mozilla/4.0"}, "Accept": {"*/*"}, "Content-Type": {"application/json"}},
	}
	return request, s.sign(request)
}

// Notify sends a notification once. Errors are as in URLCheck.
func (s *PaySender) Notify(ctx context.Context, eventType string, resource []byte) (Answer, error) {
	request, err := s.NewNotification(eventType, resource)
	if err != nil {
		return Answer{}, err
	}
	return s.Send(ctx, request)
}

// NewProbe makes a notification with a signature that is wrong on purpose, as WeChat Pay's own probes have it.
func (s *PaySender) NewProbe() (*Request, error) {
	request, err := s.NewNotification("TRANSACTION.SUCCESS", []byte("{}"))
	if err == nil {
		signature := payProbe + request.Header.Get(wechat.PaySignatureHeader)[len(payProbe):]
		request.Header.Set(wechat.PaySignatureHeader, signature)
	}
	return request, err
}

func (s *PaySender) notification(eventType string, resource []byte) ([]byte, error) {
	block, err := aes.NewCipher([]byte(s.APIv3Key))
	if err != nil {
		return nil, fmt.Errorf("reading the APIv3 key: it has %d characters, not 32", len(s.APIv3Key))
	}
	sealer, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("making the cipher: %w", err)
	}
	const associatedData = "transaction"
	nonce := digits(int64(sealer.NonceSize()))
	return toJSON(map[string]any{
		"id": "EV-" + digits(20), "create_time": s.now().Format(time.RFC3339), "resource_type": "encrypt-resource", "event_type": eventType, "summary": "test",
		"resource": map[string]string{
			"algorithm": "AEAD_AES_256_GCM", "original_type": "transaction", "associated_data": associatedData, "nonce": nonce,
			"ciphertext": base64.StdEncoding.EncodeToString(sealer.Seal(nil, []byte(nonce), resource, []byte(associatedData))),
		},
	}), nil
}

// sign sets the headers, over the body as it is.
func (s *PaySender) sign(r *Request) error {
	timestamp, nonce := strconv.FormatInt(s.now().Unix(), 10), s.nonce()
	digest := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n", timestamp, nonce, r.Body))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.PrivateKey, crypto.SHA256, digest[:])
	if err != nil {
		return fmt.Errorf("signing the notification: %w", err)
	}
	for name, value := range (wechat.PayHeader{
		Timestamp: timestamp, Nonce: nonce, Serial: s.Serial, Signature: base64.StdEncoding.EncodeToString(signature), Type: wechat.PaySignatureType,
	}).Map() {
		r.Header.Set(name, value)
	}
	return nil
}
