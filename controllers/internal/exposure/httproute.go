// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package exposure

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

// judgeHTTPRoute goes by the word of every Gateway that the route is attached to, at the route's newest generation.
func judgeHTTPRoute(options *installation.Options, s *snapshot.Snapshot) (Route, *verdict.Problem) {
	if !s.GatewayAPI {
		return Route{}, noGatewayAPI()
	}
	live := s.HTTPRoute
	if live == nil || !s.Owns(string(v1alpha1.ExposureHTTPRoute)) || !serves(live, s.Endpoint) {
		return Route{}, NotYet()
	}
	var since time.Time
	for _, parent := range render.ParentRefs(s.Endpoint) {
		accepted, problem := judgeParent(options, s, parent)
		if problem != nil {
			return Route{}, problem
		}
		if accepted.After(since) {
			since = accepted
		}
	}
	address, secure := listener(s)
	return Route{Kind: v1alpha1.ExposureHTTPRoute, SettlesIn: routeSettles - s.Now.Sub(since), Address: address, Secure: secure}, nil
}

// checkGateways says why the Gateways that the endpoint names would not attach a route, as far as is known of them.
func checkGateways(options *installation.Options, s *snapshot.Snapshot) *verdict.Problem {
	if !s.GatewayAPI {
		return noGatewayAPI()
	}
	for _, parent := range render.ParentRefs(s.Endpoint) {
		name := fmt.Sprintf("%s/%s", *parent.Namespace, parent.Name)
		gateway := s.Gateway(parent)
		switch {
		case gateway == nil && !options.Sees(string(*parent.Namespace)): // its own namespace is always seen
			continue
		case gateway == nil:
			return noGateway(name)
		case !slices.ContainsFunc(gateway.Spec.Listeners, func(l gatewayapi.Listener) bool { return attaches(l, parent, s.Endpoint) }):
			return verdict.Problemf(v1alpha1.ReasonRouteNotAccepted,
				"Gateway %s has no listener%s that speaks HTTP, serves url.host and takes routes of this namespace: correct url.host or url.httpRoute.parentRefs, or ask the platform team",
				name, strings.TrimSuffix(" "+string(value(parent.SectionName)), " "))
		}
	}
	return nil
}

// attaches reports whether the listener may take the endpoint's route. Which namespaces a selector chooses is for the Gateway to say.
func attaches(listener gatewayapi.Listener, parent gatewayv1.ParentReference, endpoint *v1alpha1.WeChatEndpoint) bool {
	speaksHTTP := listener.Protocol == gatewayv1.HTTPProtocolType || listener.Protocol == gatewayv1.HTTPSProtocolType
	from := gatewayv1.NamespacesFromSame // the default
	if listener.AllowedRoutes != nil && listener.AllowedRoutes.Namespaces != nil {
		from = cmp.Or(value(listener.AllowedRoutes.Namespaces.From), from)
	}
	allowed := from == gatewayv1.NamespacesFromAll || from == gatewayv1.NamespacesFromSelector ||
		from == gatewayv1.NamespacesFromSame && string(*parent.Namespace) == endpoint.Namespace
	return speaksHTTP && allowed && isMeant(listener, parent, endpoint.Spec.URL.Host)
}

func noGatewayAPI() *verdict.Problem {
	return verdict.Problemf(v1alpha1.ReasonGatewayAPINotFound,
		"this cluster knows no HTTPRoutes: ask the platform team to install the Gateway API, or set url.exposure to Ingress")
}

func noGateway(name string) *verdict.Problem {
	return verdict.Problemf(v1alpha1.ReasonGatewayNotFound,
		"Gateway %s does not exist: correct url.httpRoute.parentRefs, or ask the platform team for the Gateway's name", name)
}

// serves reports whether the HTTPRoute has all routes of the endpoint and hangs on all its Gateways.
func serves(live *gatewayapi.HTTPRoute, endpoint *v1alpha1.WeChatEndpoint) bool {
	return slices.Equal(live.Spec.Hostnames, hostnames(endpoint)) &&
		equality.Semantic.DeepEqual(live.Spec.ParentRefs, render.ParentRefs(endpoint)) &&
		!slices.ContainsFunc(render.Routes(endpoint), func(route render.Route) bool { return !has(live, route) })
}

// hostnames stand in the endpoint's HTTPRoute.
func hostnames(endpoint *v1alpha1.WeChatEndpoint) []gatewayv1.Hostname {
	if endpoint.Spec.URL.Host == "" {
		return nil
	}
	return []gatewayv1.Hostname{gatewayv1.Hostname(endpoint.Spec.URL.Host)}
}

func has(live *gatewayapi.HTTPRoute, route render.Route) bool {
	return slices.ContainsFunc(live.Spec.Rules, func(rule gatewayapi.HTTPRouteRule) bool {
		return slices.ContainsFunc(rule.Matches, func(match gatewayapi.HTTPRouteMatch) bool {
			return match.Path != nil && match.Path.Type != nil && *match.Path.Type == route.MatchType() &&
				match.Path.Value != nil && *match.Path.Value == route.Path
		})
	})
}

// judgeParent returns since when a Gateway has accepted the route, or what it says against it.
func judgeParent(options *installation.Options, s *snapshot.Snapshot, parent gatewayv1.ParentReference) (time.Time, *verdict.Problem) {
	live, name := s.HTTPRoute, fmt.Sprintf("%s/%s", *parent.Namespace, parent.Name)
	i := slices.IndexFunc(live.Status.Parents, func(status gatewayapi.ParentStatus) bool {
		return sameParent(status.ParentRef, parent, live.Namespace)
	})
	if i < 0 {
		return time.Time{}, judgeSilence(options, s, parent, name)
	}
	var since time.Time
	for _, conditionType := range gatewayapi.JudgedConditions {
		condition := apimeta.FindStatusCondition(live.Status.Parents[i].Conditions, string(conditionType))
		switch {
		case condition == nil || condition.ObservedGeneration < live.Generation:
			return time.Time{}, verdict.Problemf(v1alpha1.ReasonRouteNotAccepted, "Gateway %s has not answered for the newest HTTPRoute %s: wait some seconds", name, live.Name)
		case condition.Status != metav1.ConditionTrue:
			return time.Time{}, verdict.Problemf(v1alpha1.ReasonRouteNotAccepted,
				"Gateway %s does not accept HTTPRoute %s (%s: %s): correct url.host or url.httpRoute.parentRefs, or ask the platform team to allow routes of this namespace",
				name, live.Name, condition.Reason, condition.Message)
		case condition.LastTransitionTime.After(since):
			since = condition.LastTransitionTime.Time
		}
	}
	return since, nil
}

// judgeSilence says why a Gateway may not have answered for the route.
func judgeSilence(options *installation.Options, s *snapshot.Snapshot, parent gatewayv1.ParentReference, name string) *verdict.Problem {
	if !options.Sees(string(*parent.Namespace)) {
		return verdict.Problemf(v1alpha1.ReasonRouteNotAccepted,
			"Gateway %s has not answered for HTTPRoute %s, and this installation cannot see whether it exists: correct url.httpRoute.parentRefs, or ask the platform team",
			name, s.HTTPRoute.Name)
	}
	gateway := s.Gateway(parent)
	if gateway == nil {
		return noGateway(name)
	}
	return verdict.Problemf(v1alpha1.ReasonRouteNotAccepted,
		"Gateway %s has not answered for HTTPRoute %s: wait some seconds; if it stays so, ask the platform team whether the controller of GatewayClass %s runs",
		name, s.HTTPRoute.Name, gateway.Spec.GatewayClassName)
}

// sameParent compares a reference of a status, where what is left out is the default, with one that says all.
func sameParent(status, parent gatewayv1.ParentReference, namespace string) bool {
	return cmp.Or(value(status.Group), gatewayv1.GroupName) == *parent.Group && cmp.Or(value(status.Kind), "Gateway") == *parent.Kind &&
		status.Name == parent.Name && cmp.Or(value(status.Namespace), gatewayv1.Namespace(namespace)) == *parent.Namespace &&
		value(status.SectionName) == value(parent.SectionName)
}

// value is what a pointer points to, or the zero value.
func value[T any](pointer *T) (zero T) {
	if pointer == nil {
		return zero
	}
	return *pointer
}

// listener returns the address of the endpoint's Gateway, of the one that ends TLS if there are more, and whether it does. Of a Gateway
// that cannot be seen, url.scheme must say it.
func listener(s *snapshot.Snapshot) (address string, secure bool) {
	for _, parent := range render.ParentRefs(s.Endpoint) {
		gateway := s.Gateway(parent)
		if gateway == nil {
			continue
		}
		secure = slices.ContainsFunc(gateway.Spec.Listeners, func(l gatewayapi.Listener) bool { return endsTLS(l, parent, s.Endpoint.Spec.URL.Host) })
		if len(gateway.Status.Addresses) > 0 && (address == "" || secure) {
			address = gateway.Status.Addresses[0].Value
		}
		if secure {
			break
		}
	}
	return address, secure
}

// endsTLS reports whether the listener serves the host to the reference by HTTPS.
func endsTLS(listener gatewayapi.Listener, parent gatewayv1.ParentReference, host string) bool {
	return isMeant(listener, parent, host) && listener.Protocol == gatewayv1.HTTPSProtocolType
}

// isMeant reports whether the reference names the listener, or none, and the listener serves the host.
func isMeant(listener gatewayapi.Listener, parent gatewayv1.ParentReference, host string) bool {
	if section := value(parent.SectionName); section != "" && section != listener.Name {
		return false
	}
	name := string(value(listener.Hostname))
	suffix, wildcard := strings.CutPrefix(name, "*")
	return name == "" || host == "" || name == host || wildcard && strings.HasSuffix(host, suffix)
}
