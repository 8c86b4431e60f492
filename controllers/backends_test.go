//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestABackendElsewhereNeedsAGrant: a team's app gets messages from another namespace only if that team says so.
func TestABackendElsewhereNeedsAGrant(t *testing.T) {
	installGatewayAPI(t)
	mine, theirs := newNamespace(t), newNamespace(t)
	endpoint := newEndpoint(mine)
	endpoint.Spec.Backend.Service.Namespace = theirs
	create(t, endpoint)
	refused := func(what string) {
		t.Helper()
		condition := awaitCondition(t, endpoint, v1alpha1.ConditionBackendResolved, metav1.ConditionFalse, v1alpha1.ReasonReferenceNotGranted)
		wantMessage(t, condition, "ask its team for a ReferenceGrant from WeChatEndpoints of namespace "+mine+" to Services")
		if err := cluster.client.Get(t.Context(), client.ObjectKey{Namespace: mine, Name: "shop-sidecar"}, &corev1.Secret{}); client.IgnoreNotFound(err) != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("without a grant")
	grant := &gatewayv1beta1.ReferenceGrant{
		ObjectMeta: metav1.ObjectMeta{Namespace: theirs, Name: "from-mine"},
		Spec: gatewayv1beta1.ReferenceGrantSpec{
			From: []gatewayv1beta1.ReferenceGrantFrom{{Group: gatewayv1.GroupName, Kind: "HTTPRoute", Namespace: gatewayv1.Namespace(mine)}},
			To:   []gatewayv1beta1.ReferenceGrantTo{{Kind: "Service"}},
		},
	}
	create(t, grant)
	for _, from := range []gatewayv1beta1.ReferenceGrantFrom{
		{Group: gatewayv1.Group(v1alpha1.GroupVersion.Group), Kind: "WeChatEndpoint", Namespace: "another"},
		{Group: gatewayv1.Group(v1alpha1.GroupVersion.Group), Kind: "Other", Namespace: gatewayv1.Namespace(mine)},
	} {
		edit(t, grant, func() { grant.Spec.From[0] = from })
		refused("by a grant from elsewhere")
	}
	edit(t, grant, func() {
		grant.Spec.From[0] = gatewayv1beta1.ReferenceGrantFrom{
			Group: gatewayv1.Group(v1alpha1.GroupVersion.Group), Kind: "WeChatEndpoint", Namespace: gatewayv1.Namespace(mine),
		}
		grant.Spec.To[0].Name = new(gatewayv1.ObjectName("another"))
	})
	refused("by a grant to another Service")
	edit(t, grant, func() { grant.Spec.To[0].Name = new(gatewayv1.ObjectName("app")) })
	awaitCondition(t, endpoint, v1alpha1.ConditionBackendResolved, metav1.ConditionTrue, v1alpha1.ReasonBackendResolved)
	served, _ := awaitFiles(t, mine, "a-fine-token")
	if want := "http://app." + theirs + ".svc:8080"; served.Backend.URL != want {
		t.Errorf("messages go to %s, want %s", served.Backend.URL, want)
	}
	if err := cluster.client.Delete(t.Context(), grant); err != nil {
		t.Fatal(err)
	}
	refused("after the grant was taken away")
}

// TestARouteThatBypassesTheSidecar is warned of, and is nobody's failure.
func TestARouteThatBypassesTheSidecar(t *testing.T) {
	installGatewayAPI(t)
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	create(t, endpoint)
	awaitCondition(t, endpoint, v1alpha1.ConditionBackendResolved, metav1.ConditionTrue, v1alpha1.ReasonBackendResolved)
	exact := networkingv1.PathTypeExact
	ingress := &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{Host: "web.example.com", IngressRuleValue: networkingv1.IngressRuleValue{
			HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &exact, Backend: networkingv1.IngressBackend{
				Service: &networkingv1.IngressServiceBackend{Name: "app", Port: networkingv1.ServiceBackendPort{Number: 8080}},
			}}}},
		}}}},
	}
	create(t, ingress)
	condition := awaitCondition(t, endpoint, v1alpha1.ConditionBackendExposed, metav1.ConditionTrue, v1alpha1.ReasonBackendExposed)
	wantMessage(t, condition, "Ingress web leads to a backend too, past every check")
	edit(t, ingress, func() { ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = "website" })
	awaitNoWarning(t, endpoint)

	route := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"}}
	route.Spec.Rules = []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: gatewayv1.BackendRef{
		BackendObjectReference: gatewayv1.BackendObjectReference{Name: "app", Port: new(gatewayv1.PortNumber(8080))},
	}}}}}
	create(t, route)
	condition = awaitCondition(t, endpoint, v1alpha1.ConditionBackendExposed, metav1.ConditionTrue, v1alpha1.ReasonBackendExposed)
	wantMessage(t, condition, "HTTPRoute web leads to a backend too")
	if err := cluster.client.Delete(t.Context(), route); err != nil {
		t.Fatal(err)
	}
	awaitNoWarning(t, endpoint)
}

// TestARouteWithoutAGrantIsNoBypass: anybody may write the name of somebody's Service into an HTTPRoute of his own, and worry him.
func TestARouteWithoutAGrantIsNoBypass(t *testing.T) {
	t.Parallel()
	installGatewayAPI(t)
	mine, theirs := newNamespace(t), newNamespace(t)
	endpoint := newEndpoint(mine)
	create(t, endpoint)
	awaitCondition(t, endpoint, v1alpha1.ConditionBackendResolved, metav1.ConditionTrue, v1alpha1.ReasonBackendResolved)
	route := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: theirs, Name: "web"}}
	route.Spec.Rules = []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: gatewayv1.BackendRef{
		BackendObjectReference: gatewayv1.BackendObjectReference{Namespace: new(gatewayv1.Namespace(mine)), Name: "app", Port: new(gatewayv1.PortNumber(8080))},
	}}}}}
	create(t, route)
	time.Sleep(settling)
	poke(t, endpoint)
	eventually(t, func() string {
		observed := get(t, endpoint)
		if accepted := apimeta.FindStatusCondition(observed.Status.Conditions, v1alpha1.ConditionAccepted); accepted.ObservedGeneration != observed.Generation {
			return "it was not looked at again"
		}
		return ""
	})
	awaitNoWarning(t, endpoint)
	grant := &gatewayv1beta1.ReferenceGrant{
		ObjectMeta: metav1.ObjectMeta{Namespace: mine, Name: "from-theirs"},
		Spec: gatewayv1beta1.ReferenceGrantSpec{
			From: []gatewayv1beta1.ReferenceGrantFrom{{Group: gatewayv1.GroupName, Kind: "HTTPRoute", Namespace: gatewayv1.Namespace(theirs)}},
			To:   []gatewayv1beta1.ReferenceGrantTo{{Kind: "Service"}},
		},
	}
	create(t, grant)
	condition := awaitCondition(t, endpoint, v1alpha1.ConditionBackendExposed, metav1.ConditionTrue, v1alpha1.ReasonBackendExposed)
	wantMessage(t, condition, "HTTPRoute of another namespace leads to a backend too")
	if err := cluster.client.Delete(t.Context(), grant); err != nil {
		t.Fatal(err)
	}
	awaitNoWarning(t, endpoint)
}

func TestABundleThatCannotBeRead(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.Backend.TLS = &v1alpha1.BackendTLS{CABundle: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}
	create(t, endpoint)
	condition := awaitCondition(t, endpoint, v1alpha1.ConditionBackendResolved, metav1.ConditionFalse, v1alpha1.ReasonTLSMalformed)
	wantMessage(t, condition, "backend.tls.caBundle: a certificate in it cannot be read: copy it again from its issuer")
}

func awaitNoWarning(t *testing.T, endpoint *v1alpha1.WeChatEndpoint) {
	t.Helper()
	eventually(t, func() string {
		if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(endpoint), endpoint); err != nil {
			return err.Error()
		}
		if warning := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionBackendExposed); warning != nil {
			return warning.Message
		}
		return ""
	})
}

// edit patches an object.
func edit(t *testing.T, object client.Object, mutate func()) {
	t.Helper()
	before := object.DeepCopyObject().(client.Object)
	mutate()
	if err := cluster.client.Patch(t.Context(), object, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}
