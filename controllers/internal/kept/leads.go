// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package kept

import (
	"cmp"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
)

// IngressServices are the Services that an Ingress leads to.
func IngressServices(ingress *networkingv1.Ingress) []types.NamespacedName {
	var services []types.NamespacedName
	add := func(backend *networkingv1.IngressBackend) {
		if backend != nil && backend.Service != nil {
			services = append(services, types.NamespacedName{Namespace: ingress.Namespace, Name: backend.Service.Name})
		}
	}
	add(ingress.Spec.DefaultBackend)
	for _, rule := range ingress.Spec.Rules {
		if rule.HTTP != nil {
			for i := range rule.HTTP.Paths {
				add(&rule.HTTP.Paths[i].Backend)
			}
		}
	}
	return services
}

// IngressHosts are the hosts that an Ingress names, each once.
func IngressHosts(ingress *networkingv1.Ingress) []string {
	var hosts []string
	for _, rule := range ingress.Spec.Rules {
		if rule.Host != "" && !slices.Contains(hosts, rule.Host) {
			hosts = append(hosts, rule.Host)
		}
	}
	return hosts
}

// RouteServices are the Services that an HTTPRoute leads to.
func RouteServices(route *gatewayapi.HTTPRoute) []types.NamespacedName {
	var services []types.NamespacedName
	for _, rule := range route.Spec.Rules {
		for _, backend := range rule.BackendRefs {
			if value(backend.Group) == "" && cmp.Or(value(backend.Kind), "Service") == "Service" {
				namespace := cmp.Or(string(value(backend.Namespace)), route.Namespace)
				services = append(services, types.NamespacedName{Namespace: namespace, Name: string(backend.Name)})
			}
		}
	}
	return services
}

// leadingTo returns each of the Services once, of more than maxLeadsTo the first ones, and whether there are more.
func leadingTo(services []types.NamespacedName) (some []types.NamespacedName, more bool) {
	known := make(map[types.NamespacedName]bool, min(len(services), maxLeadsTo))
	for _, service := range services {
		switch {
		case known[service]:
		case len(some) == maxLeadsTo:
			return some, true
		default:
			known[service] = true
			some = append(some, types.NamespacedName{Namespace: short(service.Namespace), Name: short(service.Name)})
		}
	}
	return some, false
}

// value is what a pointer points to, or the zero value.
func value[T any](pointer *T) (zero T) {
	if pointer == nil {
		return zero
	}
	return *pointer
}
