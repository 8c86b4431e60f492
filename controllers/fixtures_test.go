// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
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
