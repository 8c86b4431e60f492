//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// settled is how long messages flow after each step of a migration.
const settled = time.Second

// TestMigrationToEncryptedLosesNothing leads an account from plaintext mode through the compatible one to the encrypted
// one, the console and the resource in turn, while messages come.
func TestMigrationToEncryptedLosesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, "migration")
	var console atomic.Pointer[caller.Sender]
	s.plays = func() caller.Sender { return *console.Load() }
	console.Store(&caller.Sender{})
	secret := s.secret()
	secret.Data[v1alpha1.KeyEncodingAESKey] = []byte(sampleKey)
	s.create(t, secret, s.endpoint(withReplicas(2)))
	s.awaitReady(t)
	s.awaitPublished(t)

	stop := s.load(t)
	encrypted := caller.Sender{EncodingAESKey: sampleKey, ReceiverID: "wx5823bf96d3bd56c7"}
	compatible := encrypted
	compatible.Cleartext = true
	for _, step := range []struct {
		console *caller.Sender
		mode    v1alpha1.MessageMode
	}{
		{console: &compatible},
		{mode: v1alpha1.MessageModeCompatible},
		{console: &encrypted},
		{mode: v1alpha1.MessageModeEncrypted},
	} {
		if step.console != nil {
			console.Store(step.console)
		} else {
			s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.MessageMode = step.mode })
			s.awaitReady(t)
		}
		time.Sleep(settled)
	}
	stop()
	downgraded := *s.sender()
	downgraded.EncodingAESKey = ""
	if answer, err := downgraded.Text(t.Context(), openID, "downgraded"); err != nil || answer.Status != 403 {
		t.Errorf("at the end, a message in plaintext is answered with %d: %v", answer.Status, err)
	}
}
