//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestHTTPRouteHasTheRoutesAndNothingElse also holds that a settled route is not written again: what the API server fills
// in is no difference.
func TestHTTPRouteHasTheRoutesAndNothingElse(t *testing.T) {
	installGatewayAPI(t)
	namespace := newNamespace(t)
	create(t, gateway(namespace, "edge"))
	endpoint := withHTTPRoute(newEndpoint(namespace), v1alpha1.ParentReference{Name: "edge"})
	endpoint.Spec.DomainFiles = []v1alpha1.DomainFile{{Name: "MP_verify_abc.txt", Content: "abc"}}
	create(t, endpoint)
	route := httpRoute(namespace)
	awaitChild(t, route)
	var got []string
	for _, match := range route.Spec.Rules[0].Matches {
		got = append(got, fmt.Sprint(*match.Path.Type, " ", *match.Path.Value))
	}
	if diff := cmp.Diff([]string{"Exact /weixin", "Exact /weixin/", "Exact /MP_verify_abc.txt"}, got); diff != "" {
		t.Errorf("published paths:\n%s", diff)
	}
	if diff := cmp.Diff([]gatewayv1.Hostname{gatewayv1.Hostname(endpoint.Spec.URL.Host)}, route.Spec.Hostnames); diff != "" {
		t.Errorf("hosts:\n%s", diff)
	}
	answer(t, namespace, gatewayv1.RouteConditionAccepted, metav1.ConditionTrue, "Accepted", "")
	awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
	if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(route), route); err != nil {
		t.Fatal(err)
	}
	version := managedAt(route)
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.AppID = "wx0000000000000000" })
	eventually(t, func() string {
		if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(endpoint), endpoint); err != nil {
			return err.Error()
		}
		if endpoint.Status.ObservedGeneration != endpoint.Generation {
			return "the new spec is not observed yet"
		}
		return ""
	})
	if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(route), route); err != nil {
		t.Fatal(err)
	}
	if now := managedAt(route); now != version {
		t.Errorf("the route was applied at %s and again at %s", version, now)
	}

	// Labels and annotations of others survive; a field that the operator owns does not stay changed.
	before := route.DeepCopy()
	route.Annotations = map[string]string{"team": "a"}
	route.Spec.Hostnames = []gatewayv1.Hostname{"elsewhere.example.com"}
	if err := cluster.client.Patch(t.Context(), route, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(route), route); err != nil {
			return err.Error()
		}
		if route.Annotations["team"] != "a" || string(route.Spec.Hostnames[0]) != endpoint.Spec.URL.Host {
			return fmt.Sprintf("annotations %v, hosts %v", route.Annotations, route.Spec.Hostnames)
		}
		return ""
	})
}

// TestAChildThatSomebodyChangesIsRestored, what others added to it stays, and an event tells of it.
func TestAChildThatSomebodyChangesIsRestored(t *testing.T) {
	const address = "198.51.100.25"
	namespace := servedBy(t, address).Namespace
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar"}}
	awaitChild(t, service)
	edit(t, service, func() {
		service.Labels["team"], service.Annotations = "a", map[string]string{"team": "a"}
		service.Spec.Ports[0].Port = 81
	})
	awaitEvent(t, namespace, v1alpha1.ReasonChildRestored)
	awaitChild(t, service)
	if service.Spec.Ports[0].Port != 80 || service.Labels["team"] != "a" || service.Annotations["team"] != "a" {
		t.Errorf("port %d, labels %v, annotations %v", service.Spec.Ports[0].Port, service.Labels, service.Annotations)
	}
}

// TestExposureSwitches: the old route goes only when the new one is taken up.
func TestExposureSwitches(t *testing.T) {
	onTheNewestAlone(t)
	t.Parallel()
	installGatewayAPI(t)
	namespace := newNamespace(t)
	create(t, gateway(namespace, "edge"))
	create(t, &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: namespace}, Spec: networkingv1.IngressClassSpec{Controller: "example.com/c"}})
	endpoint := newEndpoint(namespace)
	endpoint.Spec.URL.Exposure, endpoint.Spec.URL.Ingress = v1alpha1.ExposureIngress, &v1alpha1.IngressExposure{ClassName: namespace}
	create(t, endpoint)
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar"}}
	awaitChild(t, ingress)

	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { withHTTPRoute(e, v1alpha1.ParentReference{Name: "edge"}) })
	awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionFalse, v1alpha1.ReasonRouteNotAccepted)
	wantThere(t, ingress, "before the Gateway answered")
	answer(t, namespace, gatewayv1.RouteConditionAccepted, metav1.ConditionTrue, "Accepted", "")
	awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
	wantThere(t, ingress, "before the controller had time to act on the new route")
	awaitGone(t, ingress)

	// And back: an Ingress that has got an address is taken up.
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) {
		e.Spec.URL.Exposure, e.Spec.URL.HTTPRoute = v1alpha1.ExposureIngress, nil
		e.Spec.URL.Ingress = &v1alpha1.IngressExposure{ClassName: namespace}
	})
	awaitChild(t, ingress)
	wantThere(t, httpRoute(namespace), "before the Ingress had an address")
	before := ingress.DeepCopy()
	ingress.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "198.51.100.1"}}
	if err := cluster.client.Status().Patch(t.Context(), ingress, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, httpRoute(namespace))
	wantThere(t, ingress, "after the switch")
}

func TestURLSchemeIsWhereTLSEnds(t *testing.T) {
	installGatewayAPI(t)
	for name, test := range map[string]struct {
		mutate func(*v1alpha1.WeChatEndpoint)
		want   string
	}{
		"a listener of the Gateway": {func(e *v1alpha1.WeChatEndpoint) { withHTTPRoute(e, v1alpha1.ParentReference{Name: "edge"}) }, "https://"},
		"the listener that is meant": {func(e *v1alpha1.WeChatEndpoint) {
			withHTTPRoute(e, v1alpha1.ParentReference{Name: "edge", SectionName: "web"})
		}, "http://"},
		"the Secret of the Ingress":      {func(e *v1alpha1.WeChatEndpoint) { withTLS(e) }, "https://"},
		"nothing that the cluster knows": {func(e *v1alpha1.WeChatEndpoint) {}, "http://"},
		"a load balancer before it":      {func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Scheme = v1alpha1.SchemeHTTPS }, "https://"},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := newNamespace(t)
			create(t, gateway(namespace, "edge"))
			endpoint := newEndpoint(namespace)
			test.mutate(endpoint)
			create(t, endpoint)
			eventually(t, func() string {
				if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(endpoint), endpoint); err != nil {
					return err.Error()
				}
				if !strings.HasPrefix(endpoint.Status.URL, test.want) {
					return "status.url is " + endpoint.Status.URL
				}
				return ""
			})
		})
	}
}

func withTLS(e *v1alpha1.WeChatEndpoint) {
	e.Spec.URL.Exposure, e.Spec.URL.Ingress = v1alpha1.ExposureIngress, &v1alpha1.IngressExposure{TLSSecretName: "wx-example-com"}
}

// installGatewayAPI installs the definitions of the Gateway API, unless they are there.
func installGatewayAPI(t *testing.T) {
	t.Helper()
	installGatewayDefinitions(t, cluster.config)
}

// answer plays the Gateway's controller.
func answer(t *testing.T, namespace string, conditionType gatewayv1.RouteConditionType, status metav1.ConditionStatus, reason, message string) {
	t.Helper()
	eventually(t, func() string {
		route := httpRoute(namespace)
		if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(route), route); err != nil {
			return err.Error()
		}
		now := metav1.NewTime(time.Now())
		condition := func(conditionType gatewayv1.RouteConditionType, status metav1.ConditionStatus, reason, message string) metav1.Condition {
			return metav1.Condition{
				Type: string(conditionType), Status: status, Reason: reason, Message: message, ObservedGeneration: route.Generation, LastTransitionTime: now,
			}
		}
		route.Status.Parents = []gatewayv1.RouteParentStatus{{
			ParentRef: route.Spec.ParentRefs[0], ControllerName: "example.com/gateway",
			Conditions: []metav1.Condition{
				condition(conditionType, status, reason, message),
				condition(gatewayv1.RouteConditionResolvedRefs, metav1.ConditionTrue, "ResolvedRefs", ""),
			},
		}}
		if err := cluster.client.Status().Update(t.Context(), route); err != nil {
			return err.Error()
		}
		return ""
	})
}

// managedAt is when the operator last applied the object.
func managedAt(object client.Object) string {
	for _, entry := range object.GetManagedFields() {
		if entry.Manager == "wechatendpoint-operator" {
			return entry.Time.String() + entry.FieldsV1.GetRawString()
		}
	}
	return "never"
}

func wantThere(t *testing.T, object client.Object, when string) {
	t.Helper()
	if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil || !object.GetDeletionTimestamp().IsZero() {
		t.Errorf("%T %s is gone %s: %v", object, object.GetName(), when, err)
	}
}

func awaitGone(t *testing.T, object client.Object) {
	t.Helper()
	eventually(t, func() string {
		if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(object), object); !apierrors.IsNotFound(err) {
			return fmt.Sprintf("%T %s is still there: %v", object, object.GetName(), err)
		}
		return ""
	})
}
