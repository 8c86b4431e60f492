//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// newGateway makes a gateway with one pod at the address, which loads whatever it is given.
func newGateway(t *testing.T, namespace, name, address string) *v1alpha1.WeChatGateway {
	t.Helper()
	gateway := &v1alpha1.WeChatGateway{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	gateway.Spec.Replicas = new(int32(1))
	create(t, gateway)
	cluster.pods.share(address, client.ObjectKeyFromObject(gateway))
	playPodOf(t, deploymentOf(gateway), address)
	awaitGateway(t, gateway, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	return gateway
}

func deploymentOf(gateway *v1alpha1.WeChatGateway) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: gateway.Namespace, Name: gateway.Name + "-wechat-gateway"}}
}

func awaitGateway(t *testing.T, gateway *v1alpha1.WeChatGateway, name string, status metav1.ConditionStatus, reason string) metav1.Condition {
	t.Helper()
	var condition *metav1.Condition
	eventually(t, func() string {
		if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(gateway), gateway); err != nil {
			return err.Error()
		}
		condition = apimeta.FindStatusCondition(gateway.Status.Conditions, name)
		if condition == nil || condition.Status != status || condition.Reason != reason || condition.ObservedGeneration != gateway.Generation {
			return fmt.Sprintf("%s is not %s/%s: %+v", name, status, reason, gateway.Status.Conditions)
		}
		return ""
	})
	return *condition
}

// on is an endpoint with the name that is published by an Ingress and asks for the gateway.
func on(namespace, name, gateway string) *v1alpha1.WeChatEndpoint {
	endpoint := newEndpoint(namespace)
	endpoint.Name = name
	endpoint.Spec.URL.Path = "/" + name
	endpoint.Spec.URL.Exposure, endpoint.Spec.URL.Ingress = v1alpha1.ExposureIngress, &v1alpha1.IngressExposure{ClassName: namespace}
	if gateway != "" {
		endpoint.Spec.Gateway = &v1alpha1.GatewayReference{Name: gateway}
	}
	return endpoint
}

// made lists what the operator has made in a namespace, as kind/name.
func made(t *testing.T, namespace string) []string {
	t.Helper()
	var all []string
	for _, list := range []client.ObjectList{
		&corev1.SecretList{}, &corev1.ServiceList{}, &corev1.ServiceAccountList{}, &appsv1.DeploymentList{}, &policyv1.PodDisruptionBudgetList{},
		&networkingv1.IngressList{}, &networkingv1.NetworkPolicyList{},
	} {
		if err := cluster.client.List(t.Context(), list, client.InNamespace(namespace), client.MatchingLabels{"app.kubernetes.io/managed-by": "wechatendpoint"}); err != nil {
			t.Fatal(err)
		}
		items, err := apimeta.ExtractList(list)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			kind := strings.TrimPrefix(fmt.Sprintf("%T", item), "*v1.")
			all = append(all, kind+"/"+item.(client.Object).GetName())
		}
	}
	slices.Sort(all)
	return all
}

// leadsTo is the Service to which the endpoint's Ingress leads.
func leadsTo(t *testing.T, endpoint *v1alpha1.WeChatEndpoint) string {
	t.Helper()
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: endpoint.Namespace, Name: endpoint.Name + "-sidecar"}}
	awaitChild(t, ingress)
	return ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name
}

// TestEndpointsOnAGateway: a gateway serves endpoints with its own pods, which neither come nor go with them.
func TestEndpointsOnAGateway(t *testing.T) {
	onTheNewestAlone(t)
	t.Parallel()
	namespace := newNamespace(t)
	create(t, &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: namespace}, Spec: networkingv1.IngressClassSpec{Controller: "example.com/c"}})
	gateway := newGateway(t, namespace, "front", "10.9.0.1")
	before := deploymentOf(gateway)
	awaitChild(t, before)
	for _, name := range []string{"shop", "game"} {
		endpoint := on(namespace, name, "front")
		create(t, endpoint)
		awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
		if service := leadsTo(t, endpoint); service != "front-wechat-gateway" {
			t.Errorf("the URL of %s leads to %s", name, service)
		}
	}
	want := []string{
		"Deployment/front-wechat-gateway", "Ingress/game-sidecar", "Ingress/shop-sidecar", "NetworkPolicy/front-wechat-gateway",
		"PodDisruptionBudget/front-wechat-gateway", "Secret/front-wechat-gateway-0", "Secret/front-wechat-gateway-1", "Secret/game-gateway-key", "Secret/game-sidecar",
		"Secret/shop-gateway-key", "Secret/shop-sidecar", "Service/front-wechat-gateway", "Service/front-wechat-gateway-peers", "ServiceAccount/front-wechat-gateway",
	}
	if diff := cmp.Diff(want, made(t, namespace)); diff != "" {
		t.Errorf("other objects were made (-want +got):\n%s", diff)
	}
	eventually(t, func() string {
		awaitGateway(t, gateway, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
		if *gateway.Status.Endpoints != 2 || *gateway.Status.Pods != 1 {
			return fmt.Sprintf("the gateway says that it has %d endpoints and %d pods", *gateway.Status.Endpoints, *gateway.Status.Pods)
		}
		return ""
	})
	game := on(namespace, "game", "front")
	if err := cluster.client.Delete(t.Context(), game); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		entries, err := shardsOf(t.Context(), client.ObjectKeyFromObject(gateway))
		if _, there := entries["game"]; err != nil || there || len(entries) != 1 {
			return fmt.Sprintf("the pods are given %v: %v", entries, err)
		}
		return ""
	})
	after := deploymentOf(gateway)
	awaitChild(t, after)
	if before.Generation != after.Generation {
		t.Errorf("the Deployment has changed:\n%s", cmp.Diff(before.Spec, after.Spec))
	}
}

// TestMoves moves an endpoint from its own pods to a gateway's, to another gateway's, and back. Whatever it moves to is proven before its URL
// leads there, and of what it leaves nothing is left.
func TestMoves(t *testing.T) {
	onTheNewestAlone(t)
	t.Parallel()
	namespace := newNamespace(t)
	create(t, &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: namespace}, Spec: networkingv1.IngressClassSpec{Controller: "example.com/c"}})
	newGateway(t, namespace, "front", "10.9.1.1")
	newGateway(t, namespace, "back", "10.9.1.2")
	endpoint := on(namespace, "shop", "")
	endpoint.Spec.Sidecar.Replicas = new(int32(1))
	create(t, endpoint)
	serveOwn := func() {
		served, _ := awaitFiles(t, namespace, "a-fine-token")
		cluster.pods.serve("10.9.1.3", served.Generation)
	}
	serveOwn()
	playPod(t, namespace, "10.9.1.3")
	awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	dedicated := made(t, namespace)
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar"}}
	awaitChild(t, ingress)
	ingress.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "203.0.113.7"}} // then it settles sooner
	if err := cluster.client.Status().Update(t.Context(), ingress); err != nil {
		t.Fatal(err)
	}

	move := func(gateway string) {
		change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) {
			e.Spec.Gateway, e.Spec.Sidecar = nil, v1alpha1.Sidecar{Replicas: new(int32(1))}
			if gateway != "" {
				e.Spec.Gateway, e.Spec.Sidecar = &v1alpha1.GatewayReference{Name: gateway}, v1alpha1.Sidecar{}
			}
		})
	}
	cluster.pods.hold("10.9.1.1", true)
	move("front")
	stuck := awaitCondition(t, endpoint, v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, v1alpha1.ReasonProgressing)
	if !strings.Contains(stuck.Message, "until then the endpoint's own pods serve on") || leadsTo(t, endpoint) != "shop-sidecar" {
		t.Errorf("while the gateway's pods do not serve it, the URL leads to %s, and the status says: %s", leadsTo(t, endpoint), stuck.Message)
	}
	cluster.pods.hold("10.9.1.1", false)
	await := func(service string) {
		t.Helper()
		eventually(t, func() string {
			if got := leadsTo(t, endpoint); got != service {
				return "the URL leads to " + got
			}
			return ""
		})
		awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
		eventually(t, func() string {
			awaitObserved(t, endpoint)
			if endpoint.Status.Fleet.Former != "" {
				return "the pods before are still needed: " + endpoint.Status.Fleet.Former
			}
			return ""
		})
	}
	await("front-wechat-gateway")
	eventually(t, func() string {
		for _, object := range made(t, namespace) {
			if strings.HasSuffix(object, "/shop-sidecar") && !strings.HasPrefix(object, "Ingress/") && !strings.HasPrefix(object, "Secret/") {
				return object + " is left"
			}
		}
		return ""
	})
	move("back")
	await("back-wechat-gateway")
	eventually(t, func() string {
		entries, err := shardsOf(t.Context(), client.ObjectKey{Namespace: namespace, Name: "front"})
		if err != nil || len(entries) > 0 {
			return fmt.Sprintf("the gateway before still has %v: %v", entries, err)
		}
		return ""
	})
	dropPods(t, namespace, "shop-sidecar")
	move("")
	playPod(t, namespace, "10.9.1.3")
	await("shop-sidecar")
	eventually(t, func() string { return cmp.Diff(dedicated, made(t, namespace)) })
}

// dropPods plays the garbage collector.
func dropPods(t *testing.T, namespace, deployment string) {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: namespace, Name: deployment + "-0"}
	set := meta
	set.Name = deployment + "-1"
	for _, object := range []client.Object{&corev1.Pod{ObjectMeta: meta}, &appsv1.ReplicaSet{ObjectMeta: set}} {
		if err := cluster.client.Delete(t.Context(), object, client.GracePeriodSeconds(0)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestADeletedGateway serves on until no endpoint uses it.
func TestADeletedGateway(t *testing.T) {
	onTheNewestAlone(t)
	namespace := newNamespace(t)
	create(t, &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: namespace}, Spec: networkingv1.IngressClassSpec{Controller: "example.com/c"}})
	gateway := newGateway(t, namespace, "front", "10.9.2.1")
	endpoint := on(namespace, "shop", "front")
	create(t, endpoint)
	awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	eventually(t, func() string {
		awaitGateway(t, gateway, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
		if !slices.Contains(gateway.Finalizers, v1alpha1.FinalizerInUse) {
			return "nothing keeps the gateway"
		}
		return ""
	})
	err := cluster.client.Delete(t.Context(), gateway, client.PropagationPolicy(metav1.DeletePropagationForeground))
	if err == nil || !strings.Contains(err.Error(), "delete it with --cascade=background") {
		t.Fatalf("a deletion that would take the pods away at once: %v", err)
	}
	if err := cluster.client.Delete(t.Context(), gateway); err != nil {
		t.Fatal(err)
	}
	told := awaitGateway(t, gateway, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonGatewayDeleted)
	if !strings.Contains(told.Message, "shop") {
		t.Errorf("it does not say who uses it: %s", told.Message)
	}
	late := on(namespace, "late", "front")
	create(t, late)
	awaitCondition(t, late, v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, v1alpha1.ReasonGatewayDeleted)
	awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	for _, one := range []*v1alpha1.WeChatEndpoint{endpoint, late} {
		if err := cluster.client.Delete(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() string {
		if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(gateway), gateway); !apierrors.IsNotFound(err) {
			return fmt.Sprint("the gateway is still there: ", err)
		}
		return ""
	})
	missing := on(namespace, "missing", "front")
	create(t, missing)
	awaitCondition(t, missing, v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, v1alpha1.ReasonNoSuchGateway)
}

// TestARouteThatIsTaken: a new endpoint on a gateway whose route cannot be written yet waits for that, and is never taken for one that has
// pods of its own.
func TestARouteThatIsTaken(t *testing.T) {
	onTheNewestAlone(t)
	namespace := newNamespace(t)
	create(t, &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: namespace}, Spec: networkingv1.IngressClassSpec{Controller: "example.com/c"}})
	newGateway(t, namespace, "front", "10.9.3.1")
	foreign := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar"}}
	foreign.Spec.DefaultBackend = &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "app", Port: networkingv1.ServiceBackendPort{Number: 8080}}}
	create(t, foreign)
	endpoint := on(namespace, "shop", "front")
	create(t, endpoint)
	awaitCondition(t, endpoint, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonNameTaken)
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Backend.Path = "/again" }) // another look
	awaitCondition(t, endpoint, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonNameTaken)
	if err := cluster.client.Delete(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	for _, object := range made(t, namespace) {
		if strings.HasSuffix(object, "/shop-sidecar") && !strings.HasPrefix(object, "Ingress/") && !strings.HasPrefix(object, "Secret/") {
			t.Errorf("%s was made for an endpoint that is served by a gateway", object)
		}
	}
	if service := leadsTo(t, endpoint); service != "front-wechat-gateway" {
		t.Errorf("the URL leads to %s", service)
	}
}

// TestAnEndpointThatIsTooLarge: a gateway takes no long document, says so, and serves on what it was given before.
func TestAnEndpointThatIsTooLarge(t *testing.T) {
	onTheNewestAlone(t)
	t.Parallel()
	namespace := newNamespace(t)
	create(t, &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: namespace}, Spec: networkingv1.IngressClassSpec{Controller: "example.com/c"}})
	gateway := newGateway(t, namespace, "front", "10.9.4.1")
	grown := func(e *v1alpha1.WeChatEndpoint) {
		for i := range 16 {
			file := v1alpha1.DomainFile{Name: fmt.Sprintf("MP_verify_%d.txt", i), Content: strings.Repeat("a", 4096)}
			e.Spec.DomainFiles = append(e.Spec.DomainFiles, file)
		}
	}
	large := on(namespace, "large", "front")
	grown(large)
	create(t, large)
	awaitCondition(t, large, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonGatewayFull)
	endpoint := on(namespace, "shop", "front")
	endpoint.Spec.URL.Host = "other." + endpoint.Spec.URL.Host // the files are of the host
	create(t, endpoint)
	awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	before, err := shardsOf(t.Context(), client.ObjectKeyFromObject(gateway))
	if err != nil {
		t.Fatal(err)
	}
	change(t, endpoint, grown)
	awaitCondition(t, endpoint, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonGatewayFull)
	after, err := shardsOf(t.Context(), client.ObjectKeyFromObject(gateway))
	if diff := cmp.Diff(before, after); diff != "" || err != nil {
		t.Errorf("the pods are given something else (-before +after):\n%s\n%v", diff, err)
	}
	// Its credentials go on being changed.
	secret := tokenSecret(namespace, "a-newer-token")
	if err := cluster.client.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		entries, err := shardsOf(t.Context(), client.ObjectKeyFromObject(gateway))
		if err != nil || !strings.HasSuffix(entries["shop"].Generation, "-2") {
			return fmt.Sprintf("the pods are given generation %s: %v", entries["shop"].Generation, err)
		}
		return ""
	})
}
