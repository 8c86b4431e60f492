//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// TestCredentialsGoOnWhileTheSpecCannotBeServed: what leaked is revoked, whatever else is wrong.
func TestCredentialsGoOnWhileTheSpecCannotBeServed(t *testing.T) {
	for name, test := range map[string]struct {
		breakIt           func(*testing.T, *v1alpha1.WeChatEndpoint)
		condition, reason string
	}{
		"the app's Service is gone": {func(t *testing.T, e *v1alpha1.WeChatEndpoint) {
			if err := cluster.client.Delete(t.Context(), appService(e.Namespace)); err != nil {
				t.Fatal(err)
			}
		}, v1alpha1.ConditionBackendResolved, v1alpha1.ReasonServiceNotFound},
		"the spec asks for what is not allowed here": {func(t *testing.T, e *v1alpha1.WeChatEndpoint) {
			change(t, e, func(e *v1alpha1.WeChatEndpoint) {
				e.Spec.URL.Host, e.Spec.URL.Exposure, e.Spec.AppID = "", v1alpha1.ExposureIngress, "wx0000000000000000"
			})
		}, v1alpha1.ConditionAccepted, v1alpha1.ReasonHostRequired},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := newNamespace(t)
			endpoint := newEndpoint(namespace)
			create(t, endpoint)
			before, _ := awaitFiles(t, namespace, "a-fine-token")
			awaitObserved(t, endpoint)
			test.breakIt(t, endpoint)
			awaitCondition(t, endpoint, test.condition, metav1.ConditionFalse, test.reason)

			setToken(t, namespace, "a-newer-token")
			awaitTokens(t, namespace, "a-newer-token", "a-fine-token")
			change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Credentials.RevokeBefore = 2 })
			awaitTokens(t, namespace, "a-newer-token")
			after, _ := awaitFiles(t, namespace, "a-newer-token")
			if diff := cmp.Diff(before, after, cmpopts.IgnoreFields(config.Config{}, "Generation")); diff != "" {
				t.Errorf("the configuration changed with the credentials (-before +after):\n%s", diff)
			}
			awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionFalse, test.reason)
		})
	}
}

// TestHistoryIsNotLostWithALabel: somebody takes the label away by which the operator's cache sees the only place where earlier
// credentials are.
func TestHistoryIsNotLostWithALabel(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	create(t, endpoint)
	awaitTokens(t, namespace, "a-fine-token")
	setToken(t, namespace, "a-newer-token")
	awaitTokens(t, namespace, "a-newer-token", "a-fine-token")
	awaitObserved(t, endpoint)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar"}}
	change(t, secret, func(s *corev1.Secret) { delete(s.Labels, v1alpha1.LabelCredentials) })
	poke(t, endpoint)
	eventually(t, func() string {
		awaitChild(t, secret)
		if secret.Labels[v1alpha1.LabelCredentials] != v1alpha1.CredentialsGenerated {
			return "the label is not back"
		}
		return ""
	})
	awaitTokens(t, namespace, "a-newer-token", "a-fine-token")
}

// TestSaveIsNotAskedForTooEarly: as long as one pod does not know the new values, pressing Save would lose messages.
func TestSaveIsNotAskedForTooEarly(t *testing.T) {
	const address = "198.51.100.91"
	endpoint := servedBy(t, address)
	setToken(t, endpoint.Namespace, "a-newer-token")
	condition := awaitCondition(t, endpoint, v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonRotationStarting)
	wantMessage(t, condition, "do not press Save (提交) in the console before")
	served, _ := awaitFiles(t, endpoint.Namespace, "a-newer-token")
	cluster.pods.serve(address, served.Generation)
	awaitCondition(t, endpoint, v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonRotationPending)
}

// TestPausedIsNotReadyOfWhatCameSince: Ready speaks of this spec and these credentials.
func TestPausedIsNotReadyOfWhatCameSince(t *testing.T) {
	for name, later := range map[string]func(*testing.T, *v1alpha1.WeChatEndpoint){
		"the spec was changed": func(t *testing.T, e *v1alpha1.WeChatEndpoint) {
			change(t, e, func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Path = "/elsewhere" })
		},
		"the Secret was changed": func(t *testing.T, e *v1alpha1.WeChatEndpoint) { setToken(t, e.Namespace, "a-newer-token") },
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := servedBy(t, map[string]string{"the spec was changed": "198.51.100.92", "the Secret was changed": "198.51.100.93"}[name])
			change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Paused = true })
			wantMessage(t, awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady), "paused: later changes")
			later(t, endpoint)
			condition := awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonPaused)
			wantMessage(t, condition, "the pods go on with what was there before. Set it to false")
		})
	}
}

// TestOlderSidecarsGoOn: what their image does not know is not given to them, and all else is.
func TestOlderSidecarsGoOn(t *testing.T) {
	const address = "198.51.100.94"
	authority, err := os.ReadFile("internal/render/testdata/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	endpoint := servedBy(t, address)
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) {
		e.Spec.Backend.TLS = &v1alpha1.BackendTLS{CABundle: string(authority)}
	})
	condition := awaitCondition(t, endpoint, v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, v1alpha1.ReasonSidecarOutdated)
	wantMessage(t, condition, "takes a sidecar that reads version 2 of its configuration, and pod shop-sidecar-0 does not say that it does")
	wantMessage(t, condition, "choose a newer sidecar.imageVersion")

	setToken(t, endpoint.Namespace, "a-newer-token")
	served, _ := awaitFiles(t, endpoint.Namespace, "a-newer-token")
	if served.Backend.TLS != nil || served.Version != 0 {
		t.Errorf("an older sidecar is given version %d, TLS %+v", served.Version, served.Backend.TLS)
	}

	cluster.pods.understand(address, config.VersionSecond)
	poke(t, endpoint)
	eventually(t, func() string {
		served, _ = awaitFiles(t, endpoint.Namespace, "a-newer-token")
		if served.Backend.TLS == nil || served.Backend.Path != "/again" {
			return "the pods are not given what they understand"
		}
		return ""
	})
	if served.Version != config.VersionSecond {
		t.Errorf("the configuration says that it is of version %d", served.Version)
	}
	cluster.pods.serve(address, served.Generation)
	awaitCondition(t, endpoint, v1alpha1.ConditionSidecarAvailable, metav1.ConditionTrue, v1alpha1.ReasonSidecarAvailable)
}
