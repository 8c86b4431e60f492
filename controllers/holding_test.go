//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// settling is longer than the operator needs for several reconciles of one endpoint.
const settling = 2 * time.Second

// published makes an endpoint with an Ingress of a class that exists.
func published(t *testing.T, url v1alpha1.CallbackURL) *v1alpha1.WeChatEndpoint {
	t.Helper()
	endpoint := newEndpoint(newNamespace(t))
	endpoint.Spec.URL = url
	create(t, endpoint)
	return endpoint
}

func newClass(t *testing.T, name string) {
	t.Helper()
	create(t, &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.IngressClassSpec{Controller: "example.com/c"}})
}

func TestPublishedURLIsNotTakenByAnOlderEndpointThatMovesThere(t *testing.T) {
	onTheNewestAlone(t)
	t.Parallel()
	for name, exposure := range map[string]v1alpha1.Exposure{"from nowhere": v1alpha1.ExposureNone, "from another URL": v1alpha1.ExposureIngress} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			class := newNamespace(t)
			newClass(t, class)
			tuning := &v1alpha1.IngressExposure{ClassName: class}
			from := v1alpha1.CallbackURL{Host: "old." + class + ".example.com", Path: "/weixin", Exposure: exposure}
			if exposure == v1alpha1.ExposureIngress {
				from.Ingress = tuning
			}
			older := published(t, from)
			awaitCondition(t, older, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, routeReason(exposure))
			time.Sleep(time.Until(older.CreationTimestamp.Add(1100 * time.Millisecond))) // ages are told in seconds
			to := v1alpha1.CallbackURL{Host: class + ".example.com", Path: "/weixin", Exposure: v1alpha1.ExposureIngress, Ingress: tuning}
			holder := published(t, to)
			awaitCondition(t, holder, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)

			change(t, older, func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL = to })
			awaitCondition(t, older, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonHostNotAllowed)
			change(t, older, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Backend.Path = "/again" }) // another reconcile, with the status of the first
			time.Sleep(settling)
			awaitCondition(t, older, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonHostNotAllowed)
			awaitCondition(t, holder, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
		})
	}
}

func routeReason(exposure v1alpha1.Exposure) string {
	if exposure == v1alpha1.ExposureNone {
		return v1alpha1.ReasonNotPublished
	}
	return v1alpha1.ReasonRouteProgrammed
}

func TestNameThatBecomesFreeIsTaken(t *testing.T) {
	onTheNewestAlone(t)
	t.Parallel()
	namespace := newNamespace(t)
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar"}}
	create(t, foreign)
	endpoint := newEndpoint(namespace)
	create(t, endpoint)
	awaitCondition(t, endpoint, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonNameTaken)
	time.Sleep(settling)
	if err := cluster.client.Delete(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, endpoint, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
}

func TestTakenNameIsToldOnce(t *testing.T) {
	onTheNewestAlone(t)
	t.Parallel()
	namespace := newNamespace(t)
	create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar"}})
	endpoint := newEndpoint(namespace)
	create(t, endpoint)
	awaitCondition(t, endpoint, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonNameTaken)
	time.Sleep(settling)
	version := get(t, endpoint).ResourceVersion
	service := appService(namespace)
	for range 3 { // wakes the endpoint without changing anything for it
		change(t, service, func(s *corev1.Service) { s.Annotations = map[string]string{"at": time.Now().String()} })
		time.Sleep(settling)
	}
	if now := get(t, endpoint).ResourceVersion; now != version {
		t.Errorf("the status was written again: resource version %s, then %s", version, now)
	}
}

func TestRefusedObjectIsNotReady(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.Sidecar.Resources = &corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("32Mi")},
	}
	create(t, endpoint)
	condition := awaitCondition(t, endpoint, v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, v1alpha1.ReasonPodsNotCreated)
	wantMessage(t, condition, "must be less than or equal to memory limit")
	ready := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Status != metav1.ConditionFalse || ready.Reason != v1alpha1.ReasonPodsNotCreated {
		t.Errorf("Ready is %+v", ready)
	}
}

func TestRefusedChangeOfAServingEndpointIsNotReady(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.Sidecar.Replicas = new(int32)
	create(t, endpoint)
	awaitCondition(t, endpoint, v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, v1alpha1.ReasonScaledToZero)
	endpoint = get(t, endpoint)
	ready := endpoint.DeepCopy()
	for _, name := range []string{v1alpha1.ConditionSidecarAvailable, v1alpha1.ConditionReady} { // as if pods served
		apimeta.SetStatusCondition(&ready.Status.Conditions, metav1.Condition{Type: name, Status: metav1.ConditionTrue, Reason: name, ObservedGeneration: endpoint.Generation})
	}
	if err := cluster.client.Status().Patch(t.Context(), ready, client.MergeFrom(endpoint)); err != nil {
		t.Fatal(err)
	}
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) {
		e.Spec.Sidecar.Resources = &corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("32Mi")},
		}
	})
	time.Sleep(settling)
	endpoint = get(t, endpoint)
	condition := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionReady)
	if condition.Status == metav1.ConditionTrue && condition.ObservedGeneration == endpoint.Generation {
		t.Errorf("Ready is true of a spec that the API server refused: %+v", condition)
	}
}

func TestDefaultClassThatComesLateDoesNotReachTheIngress(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.URL.Exposure = v1alpha1.ExposureIngress
	create(t, endpoint)
	awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionFalse, v1alpha1.ReasonIngressClassNotFound)
	class := &networkingv1.IngressClass{
		ObjectMeta: metav1.ObjectMeta{Name: namespace, Annotations: map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"}},
		Spec:       networkingv1.IngressClassSpec{Controller: "example.com/c"},
	}
	create(t, class)
	defer cluster.client.Delete(t.Context(), class)
	eventually(t, func() string {
		condition := awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionFalse, v1alpha1.ReasonIngressClassNotFound)
		if !strings.Contains(condition.Message, "set url.ingress.className") || !strings.Contains(condition.Message, "has none") {
			return condition.Message
		}
		return ""
	})
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Ingress = &v1alpha1.IngressExposure{ClassName: namespace} })
	awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
}

// get reads the endpoint anew.
func get(t *testing.T, endpoint *v1alpha1.WeChatEndpoint) *v1alpha1.WeChatEndpoint {
	t.Helper()
	var fresh v1alpha1.WeChatEndpoint
	if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(endpoint), &fresh); err != nil {
		t.Fatal(err)
	}
	return &fresh
}
