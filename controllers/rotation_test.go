//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// awaitTokens waits until the sidecar is given exactly these tokens, newest first, and returns when each ends.
func awaitTokens(t *testing.T, namespace string, tokens ...string) (ends []*time.Time) {
	t.Helper()
	eventually(t, func() string {
		_, credentials := awaitFiles(t, namespace, tokens[0])
		var given []string
		ends = nil
		for _, pair := range credentials.Pairs {
			given, ends = append(given, pair.Token), append(ends, pair.NotAfter)
		}
		if !slices.Equal(given, tokens) {
			return fmt.Sprintf("the tokens are %v, not %v", given, tokens)
		}
		return ""
	})
	return ends
}

func setToken(t *testing.T, namespace, token string) {
	t.Helper()
	change(t, tokenSecret(namespace, ""), func(s *corev1.Secret) { s.Data["token"] = []byte(token) })
}

// poke makes the operator look again, as it does by itself after some seconds.
func poke(t *testing.T, endpoint *v1alpha1.WeChatEndpoint) {
	t.Helper()
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Backend.Path += "/again" })
}

func TestRotation(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.Sidecar.Replicas = new(int32(1))
	create(t, endpoint)
	awaitTokens(t, namespace, "a-fine-token")
	const address = "192.0.2.77"
	playPod(t, namespace, address)

	setToken(t, namespace, "a-newer-token")
	if ends := awaitTokens(t, namespace, "a-newer-token", "a-fine-token"); ends[0] != nil || ends[1] != nil {
		t.Errorf("before WeChat uses the new token, the ends are %v", ends)
	}
	served, _ := awaitFiles(t, namespace, "a-newer-token")
	cluster.pods.serve(address, served.Generation)
	condition := awaitCondition(t, endpoint, v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonRotationPending)
	wantMessage(t, condition, "press Save (提交) now")

	since := time.Now().Add(-time.Hour).Truncate(time.Second)
	cluster.pods.use(address, 2, since)
	poke(t, endpoint)
	end := since.Add(24 * time.Hour)
	eventually(t, func() string {
		if ends := awaitTokens(t, namespace, "a-newer-token", "a-fine-token"); ends[1] == nil || !ends[1].Equal(end) {
			return fmt.Sprintf("the older token ends at %v, not at %v", ends[1], end)
		}
		return ""
	})
	eventually(t, func() string {
		condition := awaitCondition(t, endpoint, v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonRotationEnding)
		if want := end.UTC().Format(time.RFC3339); condition.Message[len(condition.Message)-len(want):] != want {
			return "the message does not say until when: " + condition.Message
		}
		return ""
	})
	accepted := endpoint.Status.Credentials.Accepted
	if len(accepted) != 2 || !accepted[0].FirstUsed.Equal(&metav1.Time{Time: since}) || !accepted[1].Until.Equal(&metav1.Time{Time: end}) {
		t.Errorf("the status says %+v", accepted)
	}

	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) {
		e.Spec.Credentials.Overlap = &metav1.Duration{Duration: 30 * time.Minute}
	})
	awaitTokens(t, namespace, "a-newer-token")
	awaitCondition(t, endpoint, v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonCredentialsResolved)
}

// TestRotationWithinTheOverlapOfAnother: when WeChat is first seen using the newest values, the oldest end at a time that is known,
// and those between do not yet.
func TestRotationWithinTheOverlapOfAnother(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.Sidecar.Replicas = new(int32(1))
	create(t, endpoint)
	tokens := []string{"a-fine-token"}
	awaitTokens(t, namespace, tokens...)
	const address = "192.0.2.78"
	playPod(t, namespace, address)
	since := time.Now().Add(-2 * time.Hour).Truncate(time.Second)
	for n, token := range []string{"a-newer-token", "the-newest-token"} {
		setToken(t, namespace, token)
		tokens = append([]string{token}, tokens...)
		awaitTokens(t, namespace, tokens...)
		served, _ := awaitFiles(t, namespace, token)
		cluster.pods.serve(address, served.Generation)
		cluster.pods.use(address, int64(n+2), since.Add(time.Duration(n)*time.Hour))
		poke(t, endpoint)
		end := since.Add(time.Duration(n)*time.Hour + 24*time.Hour)
		eventually(t, func() string {
			if ends := awaitTokens(t, namespace, tokens...); ends[1] == nil || !ends[1].Equal(end) {
				return fmt.Sprintf("the values before %s end at %v, not at %v", token, ends[1], end)
			}
			return ""
		})
		eventually(t, func() string {
			condition := awaitCondition(t, endpoint, v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonRotationEnding)
			if !strings.HasSuffix(condition.Message, end.UTC().Format(time.RFC3339)) {
				return "the message does not say until when the last of them are accepted: " + condition.Message
			}
			return ""
		})
	}
}

func TestLeakedTokenIsRevokedAtOnce(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	create(t, endpoint)
	awaitTokens(t, namespace, "a-fine-token")
	setToken(t, namespace, "a-newer-token")
	awaitTokens(t, namespace, "a-newer-token", "a-fine-token")
	if err := cluster.client.Delete(t.Context(), tokenSecret(namespace, "")); err != nil { // which stops no revocation
		t.Fatal(err)
	}
	awaitCondition(t, endpoint, v1alpha1.ConditionCredentialsResolved, metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound)
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Credentials.RevokeBefore = 2 })
	awaitTokens(t, namespace, "a-newer-token")
	create(t, tokenSecret(namespace, "a-fine-token"))
	awaitTokens(t, namespace, "a-fine-token", "a-newer-token")
	awaitCondition(t, endpoint, v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonRotationStarting) // it has no pod
	if endpoint.Status.Credentials.Generation != 3 {
		t.Errorf("values that came back are generation %d, not 3", endpoint.Status.Credentials.Generation)
	}
}

// TestSecondEditKeepsWhatTheConsoleHolds: nobody pressed Save between the two.
func TestSecondEditKeepsWhatTheConsoleHolds(t *testing.T) {
	namespace := newNamespace(t)
	create(t, newEndpoint(namespace))
	awaitTokens(t, namespace, "a-fine-token")
	setToken(t, namespace, "a-newer-token")
	awaitTokens(t, namespace, "a-newer-token", "a-fine-token")
	setToken(t, namespace, "the-newest-token")
	awaitTokens(t, namespace, "the-newest-token", "a-newer-token", "a-fine-token")
}

// TestAnotherSecretIsARotationToo: the endpoint is pointed at a Secret of another name.
func TestAnotherSecretIsARotationToo(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	create(t, endpoint)
	awaitTokens(t, namespace, "a-fine-token")
	other := tokenSecret(namespace, "a-newer-token")
	other.Name = "other-wechat"
	create(t, other)
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Credentials.SecretName = other.Name })
	awaitTokens(t, namespace, "a-newer-token", "a-fine-token")
}
