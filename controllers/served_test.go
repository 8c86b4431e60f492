//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

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

// TestOrphansAreTakenUp: whoever takes the owners of an endpoint's objects away loses nothing. The policies that confine the operator let it give
// them back, or delete what is not asked for any more. They do not let it take what somebody else has made.
func TestOrphansAreTakenUp(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.Sidecar.Autoscaling = &v1alpha1.Autoscaling{MaxReplicas: 3}
	create(t, endpoint)
	all := append(children(namespace), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-gateway-key"}})
	for _, child := range all {
		awaitChild(t, child)
	}
	scaler := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar"}}
	awaitChild(t, scaler)
	for _, child := range all {
		change(t, child, func(o client.Object) { o.SetOwnerReferences(nil) })
		eventually(t, func() string {
			if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(child), child); err != nil {
				return err.Error()
			}
			if !metav1.IsControlledBy(child, endpoint) {
				return fmt.Sprintf("%T has no owner: %+v", child, get(t, endpoint).Status.Conditions)
			}
			return ""
		})
	}
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Paused = true })
	awaitCondition(t, endpoint, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonPaused)
	change(t, scaler, func(o *autoscalingv2.HorizontalPodAutoscaler) { o.SetOwnerReferences(nil) })
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Paused, e.Spec.Sidecar.Autoscaling = false, nil })
	awaitGone(t, scaler)
}
