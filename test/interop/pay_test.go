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
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/wechatpay-apiv3/wechatpay-go/core/auth/signers"
	"github.com/wechatpay-apiv3/wechatpay-go/core/auth/verifiers"
	"github.com/wechatpay-apiv3/wechatpay-go/core/notify"
	"github.com/wechatpay-apiv3/wechatpay-go/utils"

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
	return account{variant: "v3", platform: config.PlatformPay}, config.Pair{APIv3Key: apiV3Key, PlatformKeys: map[string]string{keyID: public}}, key
}

// notification is one of WeChat Pay's, whose resource wechatpay-go must be able to open.
func notification(t *testing.T) string {
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
	ciphertext := base64.StdEncoding.EncodeToString(sealer.Seal(nil, []byte(nonce), []byte(payment), []byte(data)))
	if opened, err := utils.DecryptAES256GCM(apiV3Key, data, nonce, ciphertext); err != nil || opened != payment {
		t.Fatalf("wechatpay-go opens %q in the resource: %v", opened, err)
	}
	body, err := json.Marshal(map[string]any{
		"id": "EV-1", "create_time": "2026-01-31T12:00:00+08:00", "resource_type": "encrypt-resource", "event_type": "TRANSACTION.SUCCESS", "summary": "支付成功",
		"resource": map[string]string{
			"algorithm": "AEAD_AES_256_GCM", "original_type": "transaction", "associated_data": data, "nonce": nonce, "ciphertext": ciphertext,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// signedBy is the header that wechatpay-go's own signer makes for a notification.
func signedBy(t *testing.T, key *rsa.PrivateKey, body string) map[string]string {
	t.Helper()
	s := newStamp()
	signer := signers.SHA256WithRSASigner{MchID: "1900000109", CertificateSerialNo: keyID, PrivateKey: key}
	signed, err := signer.Sign(t.Context(), fmt.Sprintf("%s\n%s\n%s\n", s.timestamp, s.nonce, body))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"Content-Type": "application/json", "Wechatpay-Timestamp": s.timestamp, "Wechatpay-Nonce": s.nonce, "Wechatpay-Serial": keyID,
		"Wechatpay-Signature": signed.Signature, "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
	}
}

// playPay sends three forged notifications, and the whole one after them.
func playPay(t *trial, url string, key *rsa.PrivateKey, behind app) {
	t.Helper()
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	body := notification(t.T)
	header := signedBy(t.T, key, body)
	refused := func(what string, header map[string]string, body string) {
		status, answered := call(t.T, http.MethodPost, url, nil, header, body)
		if status != http.StatusForbidden || !strings.Contains(answered, `"FAIL"`) {
			t.Errorf("%s is answered %d %q", what, status, answered)
		}
	}
	refused("a stranger's notification", signedBy(t.T, stranger, body), body)
	refused("another body", header, strings.Replace(body, "EV-1", "EV-2", 1))
	other := maps.Clone(header)
	other["Wechatpay-Signature"] = changed(header["Wechatpay-Signature"])
	refused("another signature", other, body)
	if calls := behind.calls(t.T); calls != 0 {
		t.Errorf("the app saw %d of what must not pass", calls)
	}
	t.did("forgeries")

	status, answered := call(t.T, http.MethodPost, url, nil, header, body)
	if calls := behind.calls(t.T); status != http.StatusNoContent || answered != "" || calls != 1 {
		t.Errorf("the notification is answered %d %q, the app was called %d times", status, answered, calls)
	}
	t.did("notification")
}

func TestPay(t *testing.T) {
	a, pair, key := payAccount(t)
	decrypted := func(t *trial) {
		behind := newPlainApp(t.T)
		playPay(t, start(t.T, a, behind.URL, config.PayloadDecrypted, pair).url, key, behind)
		if seen := behind.seen(); len(seen) != 1 || seen[0] != payment {
			t.Errorf("the app saw %q", seen)
		}
	}
	try(t, "wechatpay-go", a, "as WeChat", decrypted)
	try(t, noLibrary, a, "as the app, Decrypted", decrypted)
	try(t, "wechatpay-go", a, "as the app, Original", func(t *trial) {
		handler, err := notify.NewRSANotifyHandler(apiV3Key, verifiers.NewSHA256WithRSAPubkeyVerifier(keyID, key.PublicKey))
		if err != nil {
			t.Fatal(err)
		}
		behind := serve(t.T, func(w http.ResponseWriter, r *http.Request) {
			var content struct {
				TradeState string `json:"trade_state"`
			}
			if _, err := handler.ParseNotifyRequest(r.Context(), r, &content); err != nil || content.TradeState != "SUCCESS" {
				t.Errorf("wechatpay-go does not take the notification: %v", err)
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		playPay(t, start(t.T, a, behind.url, config.PayloadOriginal, pair).url, key, behind)
	})
}
