//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestHostileSpecsReachNoChild lets a tenant ask for what must not be: in a new endpoint, which gets no object at all, and in
// one that serves, whose objects stay as they are.
func TestHostileSpecsReachNoChild(t *testing.T) {
	t.Parallel()
	installGatewayAPI(t)
	elsewhere := newNamespace(t)
	create(t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: elsewhere, Name: "of-another-team", Labels: map[string]string{v1alpha1.LabelCredentials: "true"}},
		Data:       map[string][]byte{"token": []byte("not-for-you")},
	})
	type endpoint = v1alpha1.WeChatEndpoint
	annotation := func(key string, value v1alpha1.AnnotationValue) func(*endpoint) {
		return func(e *endpoint) { e.Spec.URL.Ingress.Annotations = map[string]v1alpha1.AnnotationValue{key: value} }
	}
	for name, test := range map[string]struct {
		edit    func(*endpoint)
		hostile string // what must stand in no object
		refusal string // part of the API server's answer, or
		reason  string // that of the condition which is false
	}{
		"a path that climbs": {
			edit:    func(e *endpoint) { e.Spec.URL.Path = "/weixin/../admin" },
			hostile: "admin", refusal: "must not hold a . or .. segment",
		},
		"a path that climbs, encoded": {
			edit:    func(e *endpoint) { e.Spec.URL.Path = "/weixin/%2e%2e/admin" },
			hostile: "admin", refusal: "must be like /, /weixin",
		},
		"a path that climbs in the app": {
			edit:    func(e *endpoint) { e.Spec.Backend.Path = "/./admin" },
			hostile: "admin", refusal: "must not hold a . or .. segment",
		},
		"a path that ends a header": {
			edit:    func(e *endpoint) { e.Spec.URL.Path = "/weixin\r\nX-Evil:1" },
			hostile: "X-Evil", refusal: "must be like /, /weixin",
		},
		"a header in an annotation that is allowed": {
			edit:    annotation("cert-manager.io/issuer", "le\r\nX-Evil: 1"),
			hostile: "X-Evil", refusal: "must be one line",
		},
		"a directive in an annotation that is allowed": {
			edit:    annotation("cert-manager.io/issuer", "le;\n}\nserver { return 200 evil; }"),
			hostile: "evil", refusal: "must be one line",
		},
		"a header in an annotation's key": {
			edit:    annotation("cert-manager.io/issuer\nX-Evil", "1"),
			hostile: "X-Evil", refusal: "a key must be like",
		},
		"an annotation that runs code": {
			edit:    annotation("nginx.ingress.kubernetes.io/configuration-snippet", "return 200 evil;"),
			hostile: "evil", reason: v1alpha1.ReasonAnnotationNotAllowed,
		},
		"an annotation that asks a stranger about each request": {
			edit:    annotation("nginx.ingress.kubernetes.io/auth-url", "http://evil.example.com"),
			hostile: "evil", reason: v1alpha1.ReasonAnnotationNotAllowed,
		},
		"an annotation that sends copies": {
			edit:    annotation("nginx.ingress.kubernetes.io/mirror-target", "http://evil.example.com"),
			hostile: "evil", reason: v1alpha1.ReasonAnnotationNotAllowed,
		},
		"an annotation almost like one that is allowed": {
			edit:    annotation("cert-manager.io/Issuer", "evil"),
			hostile: "evil", reason: v1alpha1.ReasonAnnotationNotAllowed,
		},
		"a host with a port": {
			edit:    func(e *endpoint) { e.Spec.URL.Host = "evil.example.com:8080" },
			hostile: "evil", refusal: "without scheme, port",
		},
		"a host in capitals": {
			edit:    func(e *endpoint) { e.Spec.URL.Host = "EVIL.example.com" },
			hostile: "EVIL", refusal: "lower case",
		},
		"a host for all hosts below": {
			edit:    func(e *endpoint) { e.Spec.URL.Host = "*.evil.example.com" },
			hostile: "evil", refusal: "wildcard",
		},
		"every host": {
			edit:    func(e *endpoint) { e.Spec.URL.Host, e.Spec.URL.Path = "", "/evil" },
			hostile: "evil", reason: v1alpha1.ReasonHostRequired,
		},
		"a host with a line break": {
			edit:    func(e *endpoint) { e.Spec.URL.Host = "wx.example.com\nevil" },
			hostile: "evil", refusal: "lower case",
		},
		"a Secret that nobody labelled for it": {
			edit:    func(e *endpoint) { e.Spec.Credentials.SecretName = "unlabelled" },
			hostile: "not-for-wechat", reason: v1alpha1.ReasonSecretNotFound,
		},
		"a Secret that the operator made for another endpoint": {
			edit:    func(e *endpoint) { e.Spec.Credentials.SecretName = "generated" },
			hostile: "not-for-wechat", reason: v1alpha1.ReasonSecretNotFound,
		},
		"a Secret that only another namespace has": {
			edit:    func(e *endpoint) { e.Spec.Credentials.SecretName = "of-another-team" },
			hostile: "not-for-you", reason: v1alpha1.ReasonSecretNotFound,
		},
		"a Secret by way of its namespace": {
			edit:    func(e *endpoint) { e.Spec.Credentials.SecretName = elsewhere + "/of-another-team" },
			hostile: "not-for-you", refusal: "must be the name of a Secret",
		},
		"a Secret of another namespace's path": {
			edit:    func(e *endpoint) { e.Spec.Credentials.SecretName = "../" + elsewhere + "/secrets/of-another-team" },
			hostile: "not-for-you", refusal: "must be the name of a Secret",
		},
		"an app of a namespace that does not grant it": {
			edit:    func(e *endpoint) { e.Spec.Backend.Service.Namespace = elsewhere },
			hostile: "app." + elsewhere, reason: v1alpha1.ReasonReferenceNotGranted,
		},
		"an app that is a host": {
			edit:    func(e *endpoint) { e.Spec.Backend.Service.Name = "app.evil.example.com" },
			hostile: "evil", refusal: "must be the name of a Service",
		},
		"an app that is the API server": {
			edit: func(e *endpoint) {
				e.Spec.Backend.Service = v1alpha1.ServiceReference{Namespace: "default", Name: "kubernetes", Port: intstr.FromInt32(443)}
			},
			hostile: "kubernetes.default", reason: v1alpha1.ReasonReferenceNotGranted,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			for secret, label := range map[string]string{"unlabelled": "", "generated": v1alpha1.CredentialsGenerated} {
				foreign := tokenSecret(namespace, "not-for-wechat")
				foreign.Name, foreign.Labels[v1alpha1.LabelCredentials] = secret, label
				if label == "" {
					foreign.Labels = nil
				}
				create(t, foreign)
			}
			serving := publishedEndpoint(namespace)
			create(t, serving)
			awaitFiles(t, namespace, "a-fine-token")
			awaitChild(t, &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar"}})
			before := childrenOf(t, serving)

			refused := publishedEndpoint(namespace)
			refused.Name, refused.Spec.URL.Path = "evil-twin", "/twin"
			test.edit(refused)
			wantRefused(t, refused, cluster.client.Create(t.Context(), refused), test.refusal, test.reason)
			if children := childrenOf(t, refused); len(children) > 0 {
				t.Errorf("objects were made for what was refused: %v", children)
			}
			var err error
			eventually(t, func() string { // the operator writes the status meanwhile
				err = cluster.client.Get(t.Context(), client.ObjectKeyFromObject(serving), serving)
				if err == nil {
					test.edit(serving)
					err = cluster.client.Update(t.Context(), serving)
				}
				if apierrors.IsConflict(err) {
					return err.Error()
				}
				return ""
			})
			wantRefused(t, serving, err, test.refusal, test.reason)
			after := childrenOf(t, serving)
			for child, content := range after {
				if strings.Contains(content, test.hostile) {
					t.Errorf("%s holds %q", child, test.hostile)
				}
			}
			delete(after, "*v1.Secret shop-sidecar-copy") // what is served while the spec is refused
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("objects changed by what was refused:\n%s", diff)
			}
		})
	}
}

// publishedEndpoint has an Ingress without a class, which does not keep it from being made.
func publishedEndpoint(namespace string) *v1alpha1.WeChatEndpoint {
	endpoint := newEndpoint(namespace)
	endpoint.Spec.URL.Exposure = v1alpha1.ExposureIngress
	endpoint.Spec.URL.Ingress = &v1alpha1.IngressExposure{Annotations: map[string]v1alpha1.AnnotationValue{"cert-manager.io/issuer": "le"}}
	return endpoint
}

// wantRefused wants the API server to refuse, or else the operator, in a condition which Ready repeats.
func wantRefused(t *testing.T, endpoint *v1alpha1.WeChatEndpoint, err error, refusal, reason string) {
	t.Helper()
	if refusal != "" {
		if err == nil || !strings.Contains(err.Error(), refusal) {
			t.Fatalf("error %v, want one with %q", err, refusal)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionFalse, reason)
}

// childLists are lists of every kind that the operator may make.
func childLists() []client.ObjectList {
	return []client.ObjectList{
		&corev1.ServiceAccountList{}, &corev1.SecretList{}, &corev1.ServiceList{}, &appsv1.DeploymentList{},
		&policyv1.PodDisruptionBudgetList{}, &networkingv1.IngressList{}, &networkingv1.NetworkPolicyList{},
		&autoscalingv2.HorizontalPodAutoscalerList{}, &gatewayv1.HTTPRouteList{},
	}
}

// childrenOf returns all that is in the objects of an endpoint, by kind and name. What stands in a Secret is readable.
func childrenOf(t *testing.T, endpoint *v1alpha1.WeChatEndpoint) map[string]string {
	t.Helper()
	contents := map[string]string{}
	for _, list := range childLists() {
		err := cluster.client.List(t.Context(), list, client.InNamespace(endpoint.Namespace), client.MatchingLabels{v1alpha1.LabelEndpoint: endpoint.Name})
		if err != nil {
			t.Fatal(err)
		}
		items, err := apimeta.ExtractList(list)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			content, err := json.Marshal(item)
			if err != nil {
				t.Fatal(err)
			}
			text := string(content)
			if secret, ok := item.(*corev1.Secret); ok {
				text += fmt.Sprintf("%s", secret.Data)
			}
			contents[fmt.Sprintf("%T %s", item, item.(client.Object).GetName())] = text
		}
	}
	return contents
}

// TestForeignObjectsOfEveryKindAreNeverTouched: whatever has the name of a child stays as it was, be it unlabelled, which the
// operator's caches do not show, or made to look like a child.
func TestForeignObjectsOfEveryKindAreNeverTouched(t *testing.T) {
	t.Parallel()
	installGatewayAPI(t)
	deployment := func(meta metav1.ObjectMeta) client.Object {
		labels := map[string]string{"app": "foreign"}
		return &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(0)), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "example.com/a"}}},
			},
		}}
	}
	backend := &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "app", Port: networkingv1.ServiceBackendPort{Name: "web"}}}
	for kind, foreign := range map[string]func(metav1.ObjectMeta) client.Object{
		"ServiceAccount": func(meta metav1.ObjectMeta) client.Object { return &corev1.ServiceAccount{ObjectMeta: meta} },
		"Secret": func(meta metav1.ObjectMeta) client.Object {
			return &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{"precious": []byte("1")}}
		},
		"Secret of the gateway key": func(meta metav1.ObjectMeta) client.Object {
			meta.Name = "shop-gateway-key"
			return &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{v1alpha1.GatewayKeyKey: []byte(strings.Repeat("k", 32))}}
		},
		"Secret with the copy": func(meta metav1.ObjectMeta) client.Object {
			meta.Name = "shop-sidecar-copy"
			return &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{"precious": []byte("1")}}
		},
		"Deployment": deployment,
		"PodDisruptionBudget": func(meta metav1.ObjectMeta) client.Object {
			return &policyv1.PodDisruptionBudget{ObjectMeta: meta, Spec: policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.FromInt32(1))}}
		},
		"Service": func(meta metav1.ObjectMeta) client.Object {
			return &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443}}}}
		},
		"Service of the pods": func(meta metav1.ObjectMeta) client.Object {
			meta.Name = "shop-sidecar-peers"
			return &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443}}}}
		},
		"Ingress": func(meta metav1.ObjectMeta) client.Object {
			return &networkingv1.Ingress{ObjectMeta: meta, Spec: networkingv1.IngressSpec{DefaultBackend: backend}}
		},
		"HTTPRoute":     func(meta metav1.ObjectMeta) client.Object { return &gatewayv1.HTTPRoute{ObjectMeta: meta} },
		"NetworkPolicy": func(meta metav1.ObjectMeta) client.Object { return &networkingv1.NetworkPolicy{ObjectMeta: meta} },
		"HorizontalPodAutoscaler": func(meta metav1.ObjectMeta) client.Object {
			target := autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "foreign"}
			return &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: meta, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{MaxReplicas: 1, ScaleTargetRef: target}}
		},
	} {
		for looks, labels := range map[string]map[string]string{
			"without a label": nil,
			"like a child": {
				"app.kubernetes.io/managed-by": "wechatendpoint", "app.kubernetes.io/name": "wechat-sidecar", "app.kubernetes.io/instance": "shop",
				"app.kubernetes.io/component": "sidecar", v1alpha1.LabelEndpoint: "shop", v1alpha1.LabelCredentials: v1alpha1.CredentialsGenerated,
			},
		} {
			t.Run(kind+" "+looks, func(t *testing.T) {
				t.Parallel()
				namespace := newNamespace(t)
				object := foreign(metav1.ObjectMeta{
					Namespace: namespace, Name: "shop-sidecar", Labels: labels,
					OwnerReferences: []metav1.OwnerReference{{ // an endpoint of that name which is no more
						APIVersion: v1alpha1.GroupVersion.String(), Kind: "WeChatEndpoint", Name: "shop", UID: types.UID("00000000-0000-4000-8000-000000000000"),
						Controller: new(true),
					}},
				})
				create(t, object)
				version := object.GetResourceVersion()
				endpoint := publishedEndpoint(namespace)
				if kind == "HorizontalPodAutoscaler" {
					endpoint.Spec.Sidecar.Autoscaling = &v1alpha1.Autoscaling{MaxReplicas: 3}
				}
				if kind == "HTTPRoute" {
					create(t, gateway(namespace, "edge"))
					endpoint.Spec.URL.Ingress = nil
					withHTTPRoute(endpoint, v1alpha1.ParentReference{Name: "edge"})
				}
				create(t, endpoint)
				if kind == "Secret with the copy" { // which is not needed before
					awaitFiles(t, namespace, "a-fine-token")
					setToken(t, namespace, "a-newer-token")
				}
				condition := awaitCondition(t, endpoint, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonNameTaken)
				wantMessage(t, condition, strings.Fields(kind)[0]+" "+object.GetName()+" exists")
				if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
					t.Fatal(err)
				}
				if object.GetResourceVersion() != version {
					t.Errorf("the foreign object was written: %+v", object)
				}
			})
		}
	}
}
