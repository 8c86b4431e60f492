//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestReadyIsProven: pods that say that they serve, and answer otherwise, are not Ready.
func TestReadyIsProven(t *testing.T) {
	onTheNewestAlone(t)
	t.Parallel()
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

// TestAForeignPodDoesNotSpeakForTheSidecar: a pod with the labels of the sidecar's, which its Deployment did not make, is
// not asked.
func TestAForeignPodDoesNotSpeakForTheSidecar(t *testing.T) {
	const address = "198.51.100.22"
	endpoint := servedBy(t, address)
	namespace := endpoint.Namespace

	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar-0"}}
	awaitChild(t, pod)
	before := pod.DeepCopy()
	pod.OwnerReferences[0].UID = "another-replica-set"
	if err := cluster.client.Patch(t.Context(), pod, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	condition := awaitCondition(t, endpoint, v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, v1alpha1.ReasonProgressing)
	wantMessage(t, condition, "0 of 1 pods serve this configuration")
}

// TestReachable: the published address is tried as WeChat would, and Ready does not rest on it.
func TestReachable(t *testing.T) {
	onTheNewestAlone(t)
	t.Parallel()
	const pod, address = "198.51.100.23", "203.0.113.23"
	namespace := newNamespace(t)
	create(t, &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: namespace}, Spec: networkingv1.IngressClassSpec{Controller: "example.com/c"}})
	endpoint := newEndpoint(namespace)
	endpoint.Spec.URL.Exposure, endpoint.Spec.URL.Ingress = v1alpha1.ExposureIngress, &v1alpha1.IngressExposure{ClassName: namespace, TLSSecretName: "tls"}
	endpoint.Spec.Sidecar.Replicas = new(int32(1))
	create(t, endpoint)
	served, _ := awaitFiles(t, namespace, "a-fine-token")
	awaitCondition(t, endpoint, v1alpha1.ConditionReachable, metav1.ConditionUnknown, v1alpha1.ReasonWaiting)
	cluster.pods.serve(pod, served.Generation)
	playPod(t, namespace, pod)
	awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	condition := awaitCondition(t, endpoint, v1alpha1.ConditionReachable, metav1.ConditionUnknown, v1alpha1.ReasonNoAddress)
	wantMessage(t, condition, "Ingress shop-sidecar has no address in its status")

	cluster.pods.breakDown(address, errors.New("the server answered 404 Not Found"))
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar"}}
	awaitChild(t, ingress)
	before := ingress.DeepCopy()
	ingress.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: address}}
	if err := cluster.client.Status().Patch(t.Context(), ingress, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	condition = awaitCondition(t, endpoint, v1alpha1.ConditionReachable, metav1.ConditionFalse, v1alpha1.ReasonNotReachable)
	wantMessage(t, condition, "the URL check through 203.0.113.23 is not answered as WeChat needs it (the server answered 404 Not Found)")
	awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)

	cluster.pods.breakDown(address, nil)
	awaitCondition(t, endpoint, v1alpha1.ConditionReachable, metav1.ConditionTrue, v1alpha1.ReasonReachable)
	if !cluster.pods.reachedByHTTPS(address) {
		t.Error("the Ingress ends TLS, and was called without")
	}
}

// TestPodsThatDoNotStart: the status quotes what the kubelet or the scheduler says.
func TestPodsThatDoNotStart(t *testing.T) {
	endpoint := servedBy(t, "198.51.100.24")
	namespace := endpoint.Namespace
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar-0"}}
	for _, trouble := range []struct {
		status corev1.PodStatus
		want   string
	}{
		{
			corev1.PodStatus{Conditions: []corev1.PodCondition{{
				Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/3 nodes are available",
			}}},
			"pod shop-sidecar-0: it cannot be scheduled: 0/3 nodes are available; see kubectl -n " + namespace + " describe pod shop-sidecar-0",
		},
		{
			corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
				Name: "sidecar", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"}},
			}}},
			"pod shop-sidecar-0: ImagePullBackOff: no such image",
		},
	} {
		awaitChild(t, pod)
		pod.Status = trouble.status
		if err := cluster.client.Status().Update(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() string {
			condition := awaitCondition(t, endpoint, v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, v1alpha1.ReasonPodsFailing)
			if !strings.Contains(condition.Message, trouble.want) {
				return condition.Message
			}
			return ""
		})
	}
}
