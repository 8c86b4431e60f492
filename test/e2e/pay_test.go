//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// playsPay applies the sample of a merchant with a key pair of its own, and plays WeChat Pay.
func (s *stage) playsPay(t *testing.T) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	own, secret, endpoint := s.sample(t, "pay", "pay")
	secret.StringData[v1alpha1.KeyPublicKey] = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	account := caller.PayAccount{
		PrivateKey: key, Serial: secret.StringData[v1alpha1.KeyPublicKeyID], APIv3Key: secret.StringData[v1alpha1.KeyAPIv3Key],
	}
	sender := &caller.Sender{URL: "http://" + s.host + "/pay", Address: kube.ingressAddress, Pay: &account}
	s.create(t, secret, endpoint)
	own.awaitReady(t)
	eventually(t, patience, "a probe of WeChat Pay's to be refused", func(ctx context.Context) error {
		probe, err := sender.NewNotification("TRANSACTION.SUCCESS", []byte("{}"), caller.WithProbeSignature())
		if err != nil {
			return err
		}
		return payRefused(sender.Send(ctx, probe))
	})

	const resource = `{"out_trade_no":"1217752501201407033233368018","trade_state":"SUCCESS"}`
	notification, err := sender.NewNotification("TRANSACTION.SUCCESS", []byte(resource))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			if answer, err := sender.Send(t.Context(), notification); err != nil || answer.Status != http.StatusNoContent || len(answer.Body) > 0 {
				t.Errorf("answered %d %q: %v", answer.Status, answer.Body, err)
			}
		})
	}
	group.Wait()
	seen := own.mine(t)
	if len(seen) != 1 || seen[0].Body != resource || seen[0].Headers["X-Wechat-Event"] != "TRANSACTION.SUCCESS" {
		t.Errorf("of one notification that came three times at once, the app saw %+v", seen)
	}
	own.refusesForgedPayments(t, sender, notification)
}

func (s *stage) refusesForgedPayments(t *testing.T, sender *caller.Sender, genuine *caller.Request) {
	t.Helper()
	before := len(s.mine(t))
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	account := *sender.Pay
	account.PrivateKey = key
	stranger := *sender
	stranger.Pay = &account
	late, err := sender.NewNotification("TRANSACTION.SUCCESS", []byte("{}"), wechattest.WithTime(time.Now().Add(-6*time.Minute)))
	if err != nil {
		t.Fatal(err)
	}
	forged, err := stranger.NewNotification("TRANSACTION.SUCCESS", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	for what, request := range map[string]*caller.Request{
		"a forged one": forged, "a stale one": late,
		"an altered one": genuine.WithBody(bytes.Replace(genuine.Body, []byte("TRANSACTION.SUCCESS"), []byte("TRANSACTION.PARTIAL"), 1)),
	} {
		if err := payRefused(sender.Send(t.Context(), request)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if seen := s.mine(t); len(seen) != before {
		t.Errorf("the app saw what must not pass: %+v", seen[before:])
	}
}

// payRefused wants an answer upon which WeChat Pay tries again: an error with its own JSON.
func payRefused(answer caller.Answer, err error) error {
	var body struct{ Code string }
	if err == nil && (answer.Status != http.StatusForbidden || json.Unmarshal(answer.Body, &body) != nil || body.Code != "FAIL") {
		err = fmt.Errorf("answered %d %q, not refused", answer.Status, answer.Body)
	}
	return err
}
