// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// status is what the sidecar says of itself.
func (s *stage) status(t *testing.T) (status config.Status) {
	t.Helper()
	_, text := s.get(t, "/status?entry="+config.Entry)
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		t.Fatal(err)
	}
	return status
}

// expectUse holds that WeChat was seen with generation 2, or that nobody was seen.
func (s *stage) expectUse(t *testing.T, counts bool) {
	t.Helper()
	status := s.status(t)
	if _, used := status.Used[2]; used != counts || !counts && len(status.Used) > 0 {
		t.Errorf("the uses are %v, want one: %t", status.Used, counts)
	}
	if verified := s.metric(t, "wechat_sidecar_last_verified_timestamp_seconds"); (verified > 0) != counts {
		t.Errorf("something was last verified at %v, want it to count: %t", verified, counts)
	}
}

// TestOnlyWeChatsOwnUseCounts: the earlier credentials end by the first use of newer ones, and what is played is signed with the
// newest long before they stand in the console.
func TestOnlyWeChatsOwnUseCounts(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{
		"an Official Account, plaintext", "an Official Account, encrypted", "a Mini Program, compatible JSON", "a Shop", "a WeCom app",
		"a third-party platform's authorizer",
	} {
		for request, row := range map[string]struct {
			check  bool
			prefix string
			counts bool
		}{
			"the console's URL check is a use":                     {true, "", true},
			"that of the operator or kubectl wechat verify is not": {true, config.ProbeNoncePrefix, false},
			"nor one with the nonce of a trial":                    {true, config.TrialNoncePrefix, false},
			"a message of WeChat's is a use":                       {false, "", true},
			"that of kubectl wechat send is not":                   {false, config.TrialNoncePrefix, false},
		} {
			if row.check && accounts()[kind].noCheck {
				continue
			}
			t.Run(kind+": "+request, func(t *testing.T) {
				t.Parallel()
				v := newVictim(t, kind, nil)
				v.check = row.check
				v.serve(t, config.Credentials{Pairs: []config.Pair{{Generation: 2, Token: token, EncodingAESKey: aesKey}}})
				genuine, message := v.genuine(t, wechattest.WithNonce(row.prefix+"7"))
				v.expectAccepted(t, genuine, message, false)
				v.expectUse(t, row.counts)
			})
		}
	}
}

func TestOnlyPaysOwnUseCounts(t *testing.T) {
	t.Parallel()
	pay := newPayer(t)
	for name, row := range map[string]struct {
		nonce  string
		counts bool
	}{
		"a notification of Pay's is a use":   {"7", true},
		"that of kubectl wechat send is not": {config.TrialNoncePrefix + "7", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newPayVictim(t, config.Pair{Generation: 2, APIv3Key: apiV3Key, PlatformKeys: map[string]string{serial: pay.public(t)}})
			const payment = `{"out_trade_no":"1"}`
			header, body := pay.notify(t, payment, func(n *notification) { n.nonce = row.nonce })
			v.expectPayment(t, true, v.payRequest(header, body), payment)
			v.expectUse(t, row.counts)
		})
	}
}

// TestTheProbeIsKnownByItsNonceAndItsInfoType: it is verified, answered, and leaves no trace but in its count. One of the two alone
// makes no probe.
func TestTheProbeIsKnownByItsNonceAndItsInfoType(t *testing.T) {
	t.Parallel()
	message := []byte("<xml><InfoType>" + config.ProbeInfoType + "</InfoType></xml>")
	for _, kind := range []string{
		"a third-party platform's tickets", "a third-party platform's authorizer", "a suite's commands", "a WeCom app",
		"an Official Account, encrypted", "an Official Account, compatible", "a Mini Program, compatible JSON", "a Shop",
	} {
		for sender, row := range map[string]struct {
			nonce string
			probe bool
		}{
			"the operator": {config.ProbeNoncePrefix + "7", true}, "a trial": {config.TrialNoncePrefix + "7", false}, "anybody": {"7", false},
		} {
			t.Run(kind+", from "+sender, func(t *testing.T) {
				t.Parallel()
				v := newVictim(t, kind, nil)
				v.serve(t, config.Credentials{Pairs: []config.Pair{{Generation: 2, Token: token, EncodingAESKey: aesKey}}})
				forged := whole(v.sender.Post(t.Context(), message, wechattest.WithNonce(row.nonce), wechattest.WithToken("forged-token")))
				if forged.Status != http.StatusForbidden {
					t.Errorf("a forged one was answered with %d", forged.Status)
				}
				request, err := v.sender.NewPost(message, wechattest.WithNonce(row.nonce))
				if err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if answer := whole(v.sender.Send(t.Context(), request)); answer.Status != http.StatusOK || row.probe && string(answer.Body) != wechat.Success {
						t.Errorf("answered %d %q", answer.Status, answer.Body)
					}
				}
				v.expectSeen(t, !row.probe, string(message))
				if !row.probe {
					return
				}
				v.expectUse(t, false)
				for series, want := range map[string]float64{
					`wechat_sidecar_callbacks_total{outcome="probe"}`: 2,
					`wechat_sidecar_backend_duration_seconds_count`:   0,
					`wechat_sidecar_repeats_total`:                    0,
				} {
					if got := v.metric(t, series); got != want {
						t.Errorf("%s is %v, want %v", series, got, want)
					}
				}
			})
		}
	}
}
