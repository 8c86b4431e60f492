//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestReadyIsProven: pods that say that they serve, and answer otherwise, are not Ready.
func TestReadyIsProven(t *testing.T) {
	const address = "198.51.100.21"
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.Sidecar.Replicas = new(int32(1))
	cluster.pods.breakDown(address, errors.New("the server answered 302 Found"))
	create(t, endpoint)
	served, _ := awaitFiles(t, namespace, "a-fine-token")
	awaitCondition(t, endpoint, v1alpha1.ConditionVerified, metav1.ConditionUnknown, v1alpha1.ReasonWaiting)
	playPod(t, namespace, address)
	cluster.pods.serve(address, served.Generation)
	condition := awaitCondition(t, endpoint, v1alpha1.ConditionVerified, metav1.ConditionFalse, v1alpha1.ReasonNotVerified)
	wantMessage(t, condition, "pod shop-sidecar-0 does not answer as WeChat needs it (the server answered 302 Found)")
	awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNotVerified)

	cluster.pods.breakDown(address, nil)
	awaitCondition(t, endpoint, v1alpha1.ConditionVerified, metav1.ConditionTrue, v1alpha1.ReasonVerified)
	awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
}
