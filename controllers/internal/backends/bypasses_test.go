// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
)

// TestABypassIsNamed: a route that leads to the app's Service leads past every check.
func TestABypassIsNamed(t *testing.T) {
	app := types.NamespacedName{Namespace: "team-a", Name: "app"}
	route := func(kind, namespace, name string, leadsTo ...types.NamespacedName) snapshot.Route {
		return snapshot.Route{Kind: kind, Namespace: namespace, Name: name, LeadsTo: leadsTo}
	}
	everything := route("Ingress", "team-a", "large")
	everything.More = true
	elsewhere := everything
	elsewhere.Namespace = "team-b"
	grant := gatewayapi.ReferenceGrant{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a"}, Spec: gatewayapi.ReferenceGrantSpec{
		From: []gatewayv1beta1.ReferenceGrantFrom{{Group: gatewayv1.GroupName, Kind: "HTTPRoute", Namespace: "team-b"}},
		To:   []gatewayv1beta1.ReferenceGrantTo{{Kind: "Service"}},
	}}
	type routes = []snapshot.Route
	type grants = []gatewayapi.ReferenceGrant
	for name, test := range map[string]struct {
		routes routes
		grants grants
		want   string // the beginning of the warning
	}{
		"no route at all":                              {nil, nil, ""},
		"one to another Service":                       {routes{route("Ingress", "team-a", "web", types.NamespacedName{Namespace: "team-a", Name: "web"})}, nil, ""},
		"one to the app":                               {routes{route("Ingress", "team-a", "web", app)}, nil, "Ingress web leads"},
		"one that may lead to anything":                {routes{everything}, nil, "Ingress large leads"},
		"such a one in another namespace":              {routes{elsewhere}, nil, ""},
		"one of another namespace without a grant":     {routes{route("HTTPRoute", "team-b", "web", app)}, nil, ""},
		"one of another namespace with a grant":        {routes{route("HTTPRoute", "team-b", "web", app)}, grants{grant}, "HTTPRoute of another namespace leads"},
		"one of a third namespace, which has no grant": {routes{route("HTTPRoute", "team-c", "web", app)}, grants{grant}, ""},
		"many are cut": {routes{
			route("Ingress", "team-a", "d", app), route("Ingress", "team-a", "b", app), route("Ingress", "team-a", "a", app), route("Ingress", "team-a", "c", app),
		}, nil, "Ingress a and Ingress b and Ingress c leads"},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := &v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a"}}
			endpoint.Spec.Backend.Service.Name = "app"
			got := Exposed(&snapshot.Snapshot{Endpoint: endpoint, Routes: test.routes, Grants: test.grants})
			if (got.Reason == v1alpha1.ReasonBackendExposed) != (test.want != "") || !strings.HasPrefix(got.Message, test.want) {
				t.Errorf("the warning is %+v, want %q", got, test.want)
			}
		})
	}
}
