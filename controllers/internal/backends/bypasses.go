// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

// maxBypasses is how many routes are named in a message.
const maxBypasses = 3

// Exposed warns of routes that lead to a backend's Service past the sidecar: what comes by them is not verified.
func Exposed(s *snapshot.Snapshot) verdict.Verdict {
	services := Services(s.Endpoint)
	var found []string
	for _, route := range s.Routes {
		if slices.ContainsFunc(services, func(service types.NamespacedName) bool { return leadsTo(s, route, service) }) {
			found = append(found, described(route, s.Endpoint))
		}
	}
	if len(found) == 0 {
		return verdict.Verdict{}
	}
	slices.Sort(found) // caches have no order
	found = slices.Compact(found)
	return verdict.True(v1alpha1.ReasonBackendExposed,
		"%s leads to a backend too, past every check: route only paths there that take no callbacks, or let the app check X-WeChat-Gateway-Signature",
		strings.Join(found[:min(len(found), maxBypasses)], " and "))
}

// leadsTo reports whether a route leads to the Service. To one of another namespace it leads by a grant alone: anybody may write a
// reference.
func leadsTo(s *snapshot.Snapshot, route snapshot.Route, service types.NamespacedName) bool {
	if route.Namespace == service.Namespace {
		return route.More || slices.Contains(route.LeadsTo, service)
	}
	from := gatewayv1beta1.ReferenceGrantFrom{Group: gatewayv1.GroupName, Kind: "HTTPRoute", Namespace: gatewayv1.Namespace(route.Namespace)}
	return slices.Contains(route.LeadsTo, service) && s.Granted(from, service)
}

// described names a route, unless it is another namespace's business.
func described(route snapshot.Route, endpoint *v1alpha1.WeChatEndpoint) string {
	if route.Namespace != endpoint.Namespace {
		return route.Kind + " of another namespace"
	}
	return route.Kind + " " + route.Name
}
