//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestExposureSwitchLosesNothing moves an endpoint from an Ingress to an HTTPRoute and back while messages come.
func TestExposureSwitchLosesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, "exposure")
	s.serve(t)
	ingress, route := &networkingv1.Ingress{ObjectMeta: s.object(childName)}, &gatewayv1.HTTPRoute{ObjectMeta: s.object(childName)}

	stop := s.load(t)
	s.change(t, asHTTPRoute(plainHTTP))
	s.await(t, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
	s.awaitGone(t, ingress)
	s.awaitReady(t)
	stop()

	stop = s.load(t)
	s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) {
		spec.URL.Exposure, spec.URL.HTTPRoute = v1alpha1.ExposureIngress, nil
		spec.URL.Ingress = &v1alpha1.IngressExposure{ClassName: kube.className}
	})
	s.await(t, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
	s.awaitGone(t, route)
	s.awaitReady(t)
	stop()
}

// TestHTTPRoute publishes by an HTTPRoute from the start: the URL check passes, and every other path is a 404.
func TestHTTPRoute(t *testing.T) {
	t.Parallel()
	s := newStage(t, "httproute")
	s.serve(t, asHTTPRoute(plainHTTP))
	s.await(t, v1alpha1.ConditionReachable, metav1.ConditionTrue, v1alpha1.ReasonReachable)
	elsewhere := s.sender()
	elsewhere.URL += "elsewhere"
	if answer, err := elsewhere.URLCheck(t.Context()); err != nil || answer.Status != 404 {
		t.Errorf("another path is answered with %d, %v", answer.Status, err)
	}

	// A listener that is not there: the Gateway says so, and the status quotes it.
	s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.URL.HTTPRoute.ParentRefs[0].SectionName = "missing" })
	s.await(t, v1alpha1.ConditionRouteProgrammed, metav1.ConditionFalse, v1alpha1.ReasonRouteNotAccepted)
}

// TestURLThatAnotherNamespaceTakes lets the Ingress of another namespace take an endpoint's URL, and give it back: Reachable tells of it.
func TestURLThatAnotherNamespaceTakes(t *testing.T) {
	t.Parallel()
	if kube.className != "traefik" {
		t.Skip("each ingress controller has its own way to let a route precede another")
	}
	s, thief := newStage(t, "taken"), newStage(t, "taker")
	s.serve(t)
	s.await(t, v1alpha1.ConditionReachable, metav1.ConditionTrue, v1alpha1.ReasonReachable)
	taker := &networkingv1.Ingress{ObjectMeta: thief.object("taker"), Spec: networkingv1.IngressSpec{IngressClassName: &kube.className, Rules: []networkingv1.IngressRule{{
		Host: s.host,
		IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
			Path: s.path, PathType: new(networkingv1.PathTypePrefix),
			Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: appName, Port: networkingv1.ServiceBackendPort{Number: 8080}}},
		}}}},
	}}}}
	taker.Annotations = map[string]string{"traefik.ingress.kubernetes.io/router.priority": "1000000"}
	thief.create(t, taker)
	s.await(t, v1alpha1.ConditionReachable, metav1.ConditionFalse, v1alpha1.ReasonNotReachable)
	if err := kube.Delete(t.Context(), taker); err != nil {
		t.Fatal(err)
	}
	s.await(t, v1alpha1.ConditionReachable, metav1.ConditionTrue, v1alpha1.ReasonReachable)
}

// plainHTTP is the listener of the cluster's Gateway.
var plainHTTP = v1alpha1.ParentReference{Name: "traefik", Namespace: "traefik", SectionName: "web"}

func asHTTPRoute(parent v1alpha1.ParentReference) func(*v1alpha1.WeChatEndpointSpec) {
	return func(spec *v1alpha1.WeChatEndpointSpec) {
		spec.URL.Exposure, spec.URL.Ingress = v1alpha1.ExposureHTTPRoute, nil
		spec.URL.HTTPRoute = &v1alpha1.HTTPRouteExposure{ParentRefs: []v1alpha1.ParentReference{parent}}
	}
}

func (s *stage) awaitGone(t *testing.T, object client.Object) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("%T to be gone", object), func(ctx context.Context) error {
		err := kube.Get(ctx, client.ObjectKeyFromObject(object), object)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there: %w", err)
	})
}
