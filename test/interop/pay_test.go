// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"testing"

	"github.com/wechatpay-apiv3/wechatpay-go/core/auth/signers"
	"github.com/wechatpay-apiv3/wechatpay-go/core/auth/verifiers"
	"github.com/wechatpay-apiv3/wechatpay-go/core/notify"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

const (
	apiV3Key = "abcdefghijklmnopqrstuvwxyz012345"
	keyID    = "PUB_KEY_ID_0112345678902024"
	payment  = `{"out_trade_no":"1217752501201407033233368018","trade_state":"SUCCESS"}`
)

// payAccount is a merchant, with a key pair made for the test.
func payAccount(t *testing.T) (account, config.Pair, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return account{name: "Pay", platform: config.PlatformPay}, config.Pair{APIv3Key: apiV3Key, PlatformKeys: map[string]string{keyID: public}}, key
}

// notifyWith signs a notification with wechatpay-go's own signer and posts it.
func notifyWith(t *testing.T, url string, key *rsa.PrivateKey) (int, string) {
	t.Helper()
	block, err := aes.NewCipher([]byte(apiV3Key))
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	const nonce, data = "0123456789ab", "transaction"
	body, err := json.Marshal(map[string]any{
		"id": "EV-1", "create_time": "2026-01-31T12:00:00+08:00", "resource_type": "encrypt-resource", "event_type": "TRANSACTION.SUCCESS", "summary": "支付成功",
		"resource": map[string]string{
			"algorithm": "AEAD_AES_256_GCM", "original_type": "transaction", "associated_data": data, "nonce": nonce,
			"ciphertext": base64.StdEncoding.EncodeToString(sealer.Seal(nil, []byte(nonce), []byte(payment), []byte(data))),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := newStamp()
	signer := signers.SHA256WithRSASigner{MchID: "1900000109", CertificateSerialNo: keyID, PrivateKey: key}
	signed, err := signer.Sign(t.Context(), fmt.Sprintf("%s\n%s\n%s\n", s.timestamp, s.nonce, body))
	if err != nil {
		t.Fatal(err)
	}
	return call(t, http.MethodPost, url, nil, map[string]string{
		"Content-Type": "application/json", "Wechatpay-Timestamp": s.timestamp, "Wechatpay-Nonce": s.nonce, "Wechatpay-Serial": keyID,
		"Wechatpay-Signature": signed.Signature, "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
	}, string(body))
}

func TestPay(t *testing.T) {
	a, pair, key := payAccount(t)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	expect := func(t *testing.T, url string) {
		t.Helper()
		if status, body := notifyWith(t, url, key); status != http.StatusNoContent || body != "" {
			t.Errorf("the notification is answered %d %q", status, body)
		}
		if status, _ := notifyWith(t, url, stranger); status != http.StatusForbidden {
			t.Errorf("a stranger's is answered %d", status)
		}
	}
	decrypted := func(t *testing.T) {
		app := newPlainApp(t)
		expect(t, start(t, a, app.URL, config.PayloadDecrypted, pair).url)
		if seen := app.seen(); len(seen) != 1 || seen[0] != payment {
			t.Errorf("the app saw %q", seen)
		}
	}
	try(t, "wechatpay-go", a.name, "as WeChat, notification", decrypted)
	try(t, "net/http, no WeChat code", a.name, "as the app, payload Decrypted", decrypted)
	try(t, "wechatpay-go", a.name, "as the app, payload Original", func(t *testing.T) {
		seen := 0
		handler, err := notify.NewRSANotifyHandler(apiV3Key, verifiers.NewSHA256WithRSAPubkeyVerifier(keyID, key.PublicKey))
		if err != nil {
			t.Fatal(err)
		}
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			var content struct {
				TradeState string `json:"trade_state"`
			}
			if _, err := handler.ParseNotifyRequest(r.Context(), r, &content); err != nil || content.TradeState != "SUCCESS" {
				t.Errorf("wechatpay-go does not take the notification: %v", err)
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			seen++
		})
		expect(t, start(t, a, url, config.PayloadOriginal, pair).url)
		if seen != 1 {
			t.Errorf("the app saw %d notifications", seen)
		}
	})
}
