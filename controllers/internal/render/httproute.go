// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gateway "sigs.k8s.io/gateway-api/applyconfiguration/apis/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// makeHTTPRoute publishes the routes and nothing else. What the API server would fill in is written out: lists are owned as
// a whole, so that a default in one would look like a change for ever.
func makeHTTPRoute(in Input) *gateway.HTTPRouteApplyConfiguration {
	endpoint, url := in.Endpoint, in.Endpoint.Spec.URL
	spec := gateway.HTTPRouteSpec()
	for _, parent := range ParentRefs(endpoint) {
		reference := gateway.ParentReference().WithGroup(*parent.Group).WithKind(*parent.Kind).
			WithName(parent.Name).WithNamespace(*parent.Namespace)
		if parent.SectionName != nil {
			reference.WithSectionName(*parent.SectionName)
		}
		spec.WithParentRefs(reference)
	}
	if url.Host != "" {
		spec.WithHostnames(gatewayv1.Hostname(url.Host))
	}
	rule := gateway.HTTPRouteRule().WithBackendRefs(gateway.HTTPBackendRef().
		WithGroup("").WithKind("Service").WithName(gatewayv1.ObjectName(in.leadsTo().Name)).WithPort(ServicePort).WithWeight(1))
	for _, route := range Routes(endpoint) {
		rule.WithMatches(gateway.HTTPRouteMatch().WithPath(gateway.HTTPPathMatch().WithType(route.MatchType()).WithValue(route.Path)))
	}
	return gateway.HTTPRoute(Name(endpoint), endpoint.Namespace).
		WithLabels(in.labels()).WithOwnerReferences(owner(endpoint)).
		WithSpec(spec.WithRules(rule))
}

// ParentRefs are the endpoint's references to Gateways with every default written out, as the status of its HTTPRoute
// repeats them.
func ParentRefs(endpoint *v1alpha1.WeChatEndpoint) []gatewayv1.ParentReference {
	if endpoint.Spec.URL.HTTPRoute == nil {
		return nil
	}
	var references []gatewayv1.ParentReference
	for _, parent := range endpoint.Spec.URL.HTTPRoute.ParentRefs {
		reference := gatewayv1.ParentReference{
			Group:     new(gatewayv1.Group(gatewayv1.GroupName)),
			Kind:      new(gatewayv1.Kind("Gateway")),
			Name:      gatewayv1.ObjectName(parent.Name),
			Namespace: new(gatewayv1.Namespace(endpoint.Namespace)),
		}
		if parent.Namespace != "" {
			reference.Namespace = new(gatewayv1.Namespace(parent.Namespace))
		}
		if parent.SectionName != "" {
			reference.SectionName = new(gatewayv1.SectionName(parent.SectionName))
		}
		references = append(references, reference)
	}
	return references
}

// MatchType is the route's type in an HTTPRoute.
func (r Route) MatchType() gatewayv1.PathMatchType {
	if r.Prefix {
		return gatewayv1.PathMatchPathPrefix
	}
	return gatewayv1.PathMatchExact
}
