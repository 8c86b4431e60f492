// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
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
