// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechattest

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

const resource = `{"out_trade_no":"1217752501201407033233368018"}`

func newPaySender(t *testing.T) *PaySender {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return &PaySender{
		Sender: Sender{URL: "http://wx.example.com/pay/notify"}, PrivateKey: key, Serial: "PUB_KEY_ID_1", APIv3Key: strings.Repeat("k", 32),
	}
}

func verified(t *testing.T, s *PaySender, r *Request) bool {
	t.Helper()
	header, err := wechat.ParsePayHeader(r.Header)
	if err != nil {
		t.Fatal(err)
	}
	return header.Serial == s.Serial && wechat.VerifyPay(&s.PrivateKey.PublicKey, header.Signature, header.Timestamp, header.Nonce, r.Body)
}

func TestNotificationVerifiesAndOpens(t *testing.T) {
	s := newPaySender(t)
	s.Now = func() time.Time { return time.Unix(1_700_000_000, 0) }
	request, err := s.NewNotification("TRANSACTION.SUCCESS", []byte(resource))
	if err != nil {
		t.Fatal(err)
	}
	if !verified(t, s, request) || request.Header.Get(wechat.PayTimestampHeader) != "1700000000" {
		t.Errorf("the signature does not hold, or is of another time: %v", request.Header)
	}
	notification, err := wechat.ParsePayNotification(request.Body)
	if err != nil || notification.EventType != "TRANSACTION.SUCCESS" {
		t.Fatalf("%+v, %v", notification, err)
	}
	if opened, err := notification.Open(s.APIv3Key); err != nil || string(opened) != resource {
		t.Errorf("the resource is %q, %v", opened, err)
	}
	if request.Path != "/pay/notify" || request.Host != "wx.example.com" || strings.Contains(string(request.Body), "1217752501201407033233368018") {
		t.Errorf("the request is %+v", request)
	}
}

func TestProbeDoesNotVerify(t *testing.T) {
	s := newPaySender(t)
	request, err := s.NewProbe()
	if err != nil || verified(t, s, request) || !strings.HasPrefix(request.Header.Get(wechat.PaySignatureHeader), "WECHATPAY/SIGNTEST/") {
		t.Errorf("the probe is %v, %v", request.Header, err)
	}
}

func TestNotifySendsWhatItMakes(t *testing.T) {
	s := newPaySender(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(wechat.PaySerialHeader) == s.Serial {
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	defer server.Close()
	s.URL = server.URL + "/pay/notify"
	if answer, err := s.Notify(t.Context(), "TRANSACTION.SUCCESS", []byte(resource)); err != nil || answer.Status != http.StatusNoContent {
		t.Errorf("answered %d, %v", answer.Status, err)
	}
}

func TestPaySenderSaysWhatItLacks(t *testing.T) {
	s := newPaySender(t)
	s.APIv3Key = "short"
	if _, err := s.NewNotification("a", nil); err == nil || !strings.Contains(err.Error(), "APIv3 key") || strings.Contains(err.Error(), "short") {
		t.Errorf("error %v", err)
	}
	s = newPaySender(t)
	s.URL = "wx.example.com"
	if _, err := s.NewProbe(); err == nil {
		t.Error("a URL without a scheme was called")
	}
}
