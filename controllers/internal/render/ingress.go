// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	networking "k8s.io/client-go/applyconfigurations/networking/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// Route is one path of the host that leads to an endpoint.
type Route struct {
	// Path is the path, without host and query.
	Path string
	// Prefix says that everything below the path leads there too.
	Prefix bool
}

// Routes are the paths of the host that an endpoint asks for: its path and the twin with a trailing slash, both exactly,
// and each domain file. With a placeholder in the path it is all below the part before it, where the sidecar answers 404
// for what does not match.
func Routes(endpoint *v1alpha1.WeChatEndpoint) []Route {
	routes := URLRoutes(endpoint)
	for _, file := range endpoint.Spec.DomainFiles {
		routes = append(routes, Route{Path: "/" + file.Name})
	}
	return routes
}

// URLRoutes are the Routes without the domain files.
func URLRoutes(endpoint *v1alpha1.WeChatEndpoint) []Route {
	path := endpoint.Spec.URL.Path
	before, _, found := strings.Cut(path, "/$")
	switch {
	case found:
		return []Route{{Path: cmp.Or(before, "/"), Prefix: true}}
	case path == "/":
		return []Route{{Path: path}}
	}
	return []Route{{Path: path}, {Path: path + "/"}}
}

// Overlaps reports whether a request could be led to both.
func (r Route) Overlaps(other Route) bool {
	return r.covers(other) || other.covers(r)
}

func (r Route) covers(other Route) bool {
	return r.Path == other.Path || r.Prefix && strings.HasPrefix(other.Path, strings.TrimSuffix(r.Path, "/")+"/")
}

// makeIngress publishes the routes and nothing else: what else is below the host is not ours to route.
func makeIngress(in Input) *networking.IngressApplyConfiguration {
	endpoint, url := in.Endpoint, in.Endpoint.Spec.URL
	ingress := networking.Ingress(Name(endpoint), endpoint.Namespace).
		WithLabels(in.labels()).WithOwnerReferences(owner(endpoint))
	paths := networking.HTTPIngressRuleValue()
	for _, route := range Routes(endpoint) {
		paths.WithPaths(ingressPath(route, in.leadsTo().Name))
	}
	rule := networking.IngressRule().WithHTTP(paths)
	if url.Host != "" {
		rule.WithHost(url.Host)
	}
	spec := networking.IngressSpec().WithRules(rule)
	if tuning := url.Ingress; tuning != nil {
		if tuning.ClassName != "" {
			spec.WithIngressClassName(tuning.ClassName)
		}
		if tuning.TLSSecretName != "" {
			spec.WithTLS(networking.IngressTLS().WithHosts(url.Host).WithSecretName(tuning.TLSSecretName))
		}
		for key, value := range tuning.Annotations {
			ingress.WithAnnotations(map[string]string{key: string(value)})
		}
	}
	return ingress.WithSpec(spec)
}

func ingressPath(route Route, service string) *networking.HTTPIngressPathApplyConfiguration {
	return networking.HTTPIngressPath().WithPath(route.Path).WithPathType(route.PathType()).
		WithBackend(networking.IngressBackend().WithService(networking.IngressServiceBackend().
			WithName(service).WithPort(networking.ServiceBackendPort().WithName(portCallback))))
}

// PathType is the route's type in an Ingress.
func (r Route) PathType() networkingv1.PathType {
	if r.Prefix {
		return networkingv1.PathTypePrefix
	}
	return networkingv1.PathTypeExact
}
