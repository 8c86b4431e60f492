//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// TestChangedToken changes the token in the Secret: every pod serves the new one, as the process that it was, and refuses
// the old one.
func TestChangedToken(t *testing.T) {
	t.Parallel()
	s := newStage(t, "changed-token")
	s.serve(t, withReplicas(2))
	s.replies(t, s.text(t, "before"), "before")
	before := s.sidecars(t)

	old := *s
	s.token = "EndToEndToken2"
	s.patchSecret(t, func(secret *corev1.Secret) { secret.Data[v1alpha1.KeyToken] = []byte(s.token) })
	s.awaitToken(t, &old)
	s.replies(t, s.text(t, "after"), "after")
	if after := s.sidecars(t); !maps.Equal(before, after) {
		t.Errorf("the pods (UID and restarts) were %v and are %v", before, after)
	}
	s.awaitReady(t)
	endpoint, err := s.current(t.Context())
	if err != nil || endpoint.Status.Credentials.Generation != 2 {
		t.Errorf("the generation of the credentials is %d, not 2 (%v)", endpoint.Status.Credentials.Generation, err)
	}
}

// awaitToken waits until a row of calls shows that no pod is left with the old token.
func (s *stage) awaitToken(t *testing.T, old *stage) {
	t.Helper()
	eventually(t, patience, "the new token to be served", func(ctx context.Context) error {
		for range 8 {
			if refusal := wechattest.Diagnose(s.sender().URLCheck(ctx)); refusal != nil {
				return errors.New(refusal.String())
			}
			answer, err := old.sender().URLCheck(ctx)
			if err != nil {
				return err
			}
			if answer.Status != http.StatusForbidden {
				return fmt.Errorf("the old token was answered with %d", answer.Status)
			}
		}
		return nil
	})
}

// TestBrokenSecretStopsNothing breaks and deletes the Secret of an endpoint that serves.
func TestBrokenSecretStopsNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, "broken-secret")
	s.serve(t)
	before := s.sidecars(t)

	s.patchSecret(t, func(secret *corev1.Secret) { secret.Data[v1alpha1.KeyToken] = []byte("EndToEndToken2\n") })
	s.await(t, v1alpha1.ConditionCredentialsResolved, metav1.ConditionFalse, v1alpha1.ReasonSecretMalformed)
	s.replies(t, s.text(t, "malformed"), "malformed")

	if err := kube.Delete(t.Context(), s.secret()); err != nil {
		t.Fatal(err)
	}
	s.await(t, v1alpha1.ConditionCredentialsResolved, metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound)
	s.replies(t, s.text(t, "deleted"), "deleted")

	s.create(t, s.secret())
	s.awaitReady(t)
	s.replies(t, s.text(t, "back"), "back")
	if after := s.sidecars(t); !maps.Equal(before, after) {
		t.Errorf("the pods (UID and restarts) were %v and are %v", before, after)
	}
}
