//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestTheGatewayAPIAppearsLater: an endpoint that asks for an HTTPRoute waits for the kind, and has one soon after it is there.
// The other tests install it, so that this one is in the file that comes first.
func TestTheGatewayAPIAppearsLater(t *testing.T) {
	onTheNewestAlone(t)
	namespace := newNamespace(t)
	endpoint := withHTTPRoute(newEndpoint(namespace), v1alpha1.ParentReference{Name: "edge", SectionName: "web"})
	create(t, endpoint)
	condition := awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionFalse, v1alpha1.ReasonGatewayAPINotFound)
	wantMessage(t, condition, "install the Gateway API, or set url.exposure to Ingress")

	installGatewayAPI(t)
	condition = awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionFalse, v1alpha1.ReasonGatewayNotFound)
	wantMessage(t, condition, "Gateway "+namespace+"/edge does not exist")

	create(t, gateway(namespace, "edge"))
	condition = awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionFalse, v1alpha1.ReasonRouteNotAccepted)
	wantMessage(t, condition, "ask the platform team whether the controller of GatewayClass any runs")

	answer(t, namespace, gatewayv1.RouteConditionAccepted, metav1.ConditionFalse, "NotAllowedByListeners", "no listener allows this namespace")
	condition = awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionFalse, v1alpha1.ReasonRouteNotAccepted)
	eventually(t, func() string {
		condition = awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionFalse, v1alpha1.ReasonRouteNotAccepted)
		if !strings.Contains(condition.Message, "NotAllowedByListeners: no listener allows this namespace") {
			return "message: " + condition.Message
		}
		return ""
	})
	answer(t, namespace, gatewayv1.RouteConditionAccepted, metav1.ConditionTrue, "Accepted", "")
	awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)

	// A changed URL is another generation of the route, for which the Gateway has not answered.
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Path = "/wechat" })
	condition = awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionFalse, v1alpha1.ReasonRouteNotAccepted)
	wantMessage(t, condition, "has not answered for the newest HTTPRoute")
	answer(t, namespace, gatewayv1.RouteConditionAccepted, metav1.ConditionTrue, "Accepted", "")
	awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
}
