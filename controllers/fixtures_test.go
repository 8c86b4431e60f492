// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// newEndpoint is an endpoint that needs nothing outside of its namespace: its URL is not published.
func newEndpoint(namespace string) *v1alpha1.WeChatEndpoint {
	return &v1alpha1.WeChatEndpoint{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop"},
		Spec: v1alpha1.WeChatEndpointSpec{
			Platform:    v1alpha1.PlatformOfficialAccount,
			AppID:       "wx5823bf96d3bd56c7",
			MessageMode: v1alpha1.MessageModePlaintext,
			Credentials: v1alpha1.CredentialsReference{SecretName: "shop-wechat"},
			URL:         v1alpha1.CallbackURL{Host: namespace + ".example.com", Path: "/weixin", Exposure: v1alpha1.ExposureNone},
			Backend:     v1alpha1.Backend{Service: v1alpha1.ServiceReference{Name: "app", Port: intstr.FromInt32(8080)}},
		},
	}
}

func withHTTPRoute(e *v1alpha1.WeChatEndpoint, parents ...v1alpha1.ParentReference) *v1alpha1.WeChatEndpoint {
	e.Spec.URL.Exposure, e.Spec.URL.Ingress = v1alpha1.ExposureHTTPRoute, nil
	e.Spec.URL.HTTPRoute = &v1alpha1.HTTPRouteExposure{ParentRefs: parents}
	return e
}

// many returns as many different ids.
func many(count int) []string {
	ids := make([]string, count)
	for i := range ids {
		ids[i] = fmt.Sprintf("id%d", i)
	}
	return ids
}

func asMap(t *testing.T, object client.Object) map[string]any {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// mapOf returns the node if it is a map, or else nil.
func mapOf(node any) map[string]any {
	object, _ := node.(map[string]any)
	return object
}

// withValue returns the object with the value at the path, as stringFields writes it, and with all that must stand beside it.
func withValue(schema map[string]any, node any, path []string, value any) any {
	if len(path) == 0 {
		return value
	}
	object := mapOf(node)
	if object == nil {
		object = map[string]any{}
	}
	name := path[0]
	switch {
	case strings.HasSuffix(name, "[]"):
		name = strings.TrimSuffix(name, "[]")
		items := mapOf(mapOf(mapOf(schema["properties"])[name])["items"])
		var item any
		if there, _ := object[name].([]any); len(there) > 0 {
			item = there[0]
		}
		object[name] = []any{withValue(items, item, path[1:], value)}
	case strings.HasSuffix(name, "{key}"):
		object[strings.TrimSuffix(name, "{key}")] = map[string]any{fmt.Sprint(value): "1"}
	case strings.HasSuffix(name, "{}"):
		object[strings.TrimSuffix(name, "{}")] = map[string]any{"cpu": value}
	default:
		object[name] = withValue(mapOf(mapOf(schema["properties"])[name]), object[name], path[1:], value)
	}
	return completed(schema, object)
}

// completed adds what the schema requires.
func completed(schema, object map[string]any) map[string]any {
	required, _ := schema["required"].([]any)
	for _, each := range required {
		name := each.(string)
		if _, there := object[name]; !there {
			object[name] = anyOf(mapOf(mapOf(schema["properties"])[name]))
		}
	}
	return object
}

// anyOf returns some value of the schema.
func anyOf(schema map[string]any) any {
	switch schema["type"] {
	case "integer":
		return int64(1)
	case "array":
		return []any{anyOf(mapOf(schema["items"]))}
	case "object":
		return completed(schema, map[string]any{})
	}
	if allowed, _ := schema["enum"].([]any); len(allowed) > 0 {
		return allowed[0]
	}
	return "a"
}

// everyRule is a NetworkPolicy with all that one may have.
var everyRule = render.NetworkPolicy{Enabled: true, Egress: true, MetricsFrom: []metav1.LabelSelector{
	{}, // every namespace
	{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "monitoring"}},
	{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "metrics", Operator: metav1.LabelSelectorOpExists}}},
}}

func appService(namespace string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "app"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "web", Port: 8080}, {Name: "admin", Port: 9000}}},
	}
}

// appSlice has one pod of the app, which is ready.
func appSlice(namespace string) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: "app-1", Labels: map[string]string{discoveryv1.LabelServiceName: "app"}},
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.80"}}},
	}
}

func tokenSecret(namespace, token string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-wechat", Labels: map[string]string{v1alpha1.LabelCredentials: "true"}},
		Data:       map[string][]byte{"token": []byte(token)},
	}
}

// anyClass is the IngressClass of every world.
func anyClass() *networkingv1.IngressClass {
	return &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "any"}, Spec: networkingv1.IngressClassSpec{Controller: "example.com/c"}}
}

// gateway has a listener for HTTP and one for HTTPS.
func gateway(namespace, name string) *gatewayv1.Gateway {
	return &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: gatewayv1.GatewaySpec{GatewayClassName: "any", Listeners: []gatewayv1.Listener{
			{Name: "web", Port: 80, Protocol: gatewayv1.HTTPProtocolType},
			{Name: "secure", Port: 443, Protocol: gatewayv1.HTTPSProtocolType, Hostname: new(gatewayv1.Hostname("*.example.com")), TLS: &gatewayv1.ListenerTLSConfig{
				CertificateRefs: []gatewayv1.SecretObjectReference{{Name: "example-com"}},
			}},
		}},
	}
}

func httpRoute(namespace string) *gatewayv1.HTTPRoute {
	return &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar"}}
}

// children are the objects that an unpublished endpoint has.
func children(namespace string) []client.Object {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar"}
	return []client.Object{
		&corev1.ServiceAccount{ObjectMeta: meta}, &corev1.Secret{ObjectMeta: meta},
		&appsv1.Deployment{ObjectMeta: meta}, &policyv1.PodDisruptionBudget{ObjectMeta: meta}, &corev1.Service{ObjectMeta: meta},
	}
}

// revision is by what the controller of Deployments says which template is whose.
const revision = "deployment.kubernetes.io/revision"

// replicaSetOf is what the controller of Deployments would make.
func replicaSetOf(deployment *appsv1.Deployment) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: deployment.Namespace, Name: deployment.Name + "-1", Labels: deployment.Spec.Template.Labels, Annotations: map[string]string{revision: "1"},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(deployment, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{Selector: deployment.Spec.Selector, Template: deployment.Spec.Template},
	}
}

func wantMessage(t *testing.T, condition metav1.Condition, part string) {
	t.Helper()
	if !strings.Contains(condition.Message, part) {
		t.Errorf("%s says %q, want %q in it", condition.Type, condition.Message, part)
	}
}

// tooMuch is what the API server refuses of a Deployment, and no rule of the CRD.
func tooMuch(spec *v1alpha1.WeChatEndpointSpec) {
	spec.Sidecar.Resources = &corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("32Mi")},
	}
}

const theForbiddenHost = "forbidden.example.com"

// forbiddenHost is what a policy of the platform team refuses of an Ingress, and no rule of the CRD.
func forbiddenHost(spec *v1alpha1.WeChatEndpointSpec) { spec.URL.Host = theForbiddenHost }
