//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

const encodingAESKey = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"

// TestEncryptedAccounts plays WeChat for accounts whose messages are encrypted.
func TestEncryptedAccounts(t *testing.T) {
	t.Parallel()
	const appID = "wx5823bf96d3bd56c7"
	for name, account := range map[string]struct {
		platform v1alpha1.Platform
		mode     v1alpha1.MessageMode
		sender   wechattest.Sender
	}{
		"official-compatible": {v1alpha1.PlatformOfficialAccount, v1alpha1.MessageModeCompatible, wechattest.Sender{Cleartext: true}},
		"official-encrypted":  {v1alpha1.PlatformOfficialAccount, v1alpha1.MessageModeEncrypted, wechattest.Sender{}},
		"mini-program":        {v1alpha1.PlatformMiniProgram, v1alpha1.MessageModeEncrypted, wechattest.Sender{}},
		"wecom":               {v1alpha1.PlatformWeCom, "", wechattest.Sender{WeCom: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, name)
			secret := s.secret()
			secret.Data[v1alpha1.KeyEncodingAESKey] = []byte(encodingAESKey)
			s.create(t, secret, s.endpoint(func(spec *v1alpha1.WeChatEndpointSpec) {
				spec.Platform, spec.MessageMode = account.platform, account.mode
			}))
			s.awaitReady(t)
			account.sender.EncodingAESKey, account.sender.ReceiverID = encodingAESKey, appID
			s.plays = &account.sender
			s.awaitPublished(t)

			request := s.text(t, "sealed words")
			var group sync.WaitGroup
			for range 3 {
				group.Go(func() { s.repliesSealed(t, request) })
			}
			group.Wait()
			seen := s.seen(t)
			if seen.Count != 1 || seen.Messages[0].Content != "sealed words" || strings.Contains(seen.Messages[0].Body, "Encrypt") {
				t.Errorf("of one message that came three times at once, the app saw %+v", seen)
			}
			s.refused(t, s.text(t, "forged", wechattest.WithToken("GuessedToken")), http.StatusForbidden)
			s.refused(t, s.text(t, "unsigned", wechattest.WithoutParameter("msg_signature")), http.StatusForbidden)
			s.plays = &wechattest.Sender{}
			s.refused(t, s.text(t, "downgraded"), http.StatusForbidden)
		})
	}
}

// repliesSealed sends a message, and wants a reply that opens with the account's key.
func (s *stage) repliesSealed(t *testing.T, request *wechattest.Request) {
	sender := s.sender()
	answer, err := sender.Send(t.Context(), request)
	if err != nil || answer.Status != http.StatusOK {
		t.Errorf("answered %d: %v", answer.Status, err)
		return
	}
	reply, err := sender.OpenReply(answer.Body)
	if err != nil || wechat.ReadFields(reply).ToUserName != openID || !strings.Contains(string(reply), "you said: sealed words") {
		t.Errorf("the sealed reply holds %q: %v", reply, err)
	}
}
