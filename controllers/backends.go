// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
)

// backendServices names every Service that messages may be sent to, each once.
func backendServices(endpoint *v1alpha1.WeChatEndpoint) []types.NamespacedName {
	var names []types.NamespacedName
	add := func(reference v1alpha1.ServiceReference) {
		name := types.NamespacedName{Namespace: cmp.Or(reference.Namespace, endpoint.Namespace), Name: reference.Name}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	add(endpoint.Spec.Backend.Service)
	for _, rule := range endpoint.Spec.Rules {
		if rule.Backend != nil {
			add(rule.Backend.Service)
		}
	}
	return names
}

// serviceKeys are the Services of backendServices, and for each namespace of theirs a key that stands for its grants: to the endpoint, and
// to routes of others.
func serviceKeys(endpoint *v1alpha1.WeChatEndpoint) []string {
	var keys []string
	for _, name := range backendServices(endpoint) {
		keys = append(keys, name.String())
		if grants := grantsOf(name.Namespace); !slices.Contains(keys, grants) {
			keys = append(keys, grants)
		}
	}
	return keys
}

func grantsOf(namespace string) string { return namespace + "/*" }

// usingService maps a Service to the endpoints that name it.
func (r *Reconciler) usingService(ctx context.Context, object client.Object) []reconcile.Request {
	return r.requests(ctx, client.MatchingFields{indexService: client.ObjectKeyFromObject(object).String()})
}

// usingGrant maps a ReferenceGrant to the endpoints that name a Service of its namespace.
func (r *Reconciler) usingGrant(ctx context.Context, grant *gatewayapi.ReferenceGrant) []reconcile.Request {
	return r.requests(ctx, client.MatchingFields{indexService: grantsOf(grant.Namespace)})
}

// Granted implements refs.Grants by the ReferenceGrants of the Gateway API.
func (r *Reconciler) Granted(ctx context.Context, from, to, service string) (bool, error) {
	if installed, err := r.gateway.installed(r.RESTMapper()); err != nil || !installed {
		return false, err
	}
	return r.grantsTo(ctx, gatewayv1beta1.ReferenceGrantFrom{
		Group: gatewayv1.Group(v1alpha1.GroupVersion.Group), Kind: "WeChatEndpoint", Namespace: gatewayv1.Namespace(from),
	}, types.NamespacedName{Namespace: to, Name: service})
}

// grantsTo reports whether the namespace of a Service lets such objects refer to it.
func (r *Reconciler) grantsTo(ctx context.Context, from gatewayv1beta1.ReferenceGrantFrom, service types.NamespacedName) (bool, error) {
	var grants gatewayapi.ReferenceGrantList
	if err := r.List(ctx, &grants, client.InNamespace(service.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return false, fmt.Errorf("listing the ReferenceGrants of namespace %s: %w", service.Namespace, err)
	}
	return slices.ContainsFunc(grants.Items, func(grant gatewayapi.ReferenceGrant) bool {
		return slices.Contains(grant.Spec.From, from) && slices.ContainsFunc(grant.Spec.To, func(t gatewayv1beta1.ReferenceGrantTo) bool {
			return t.Group == "" && t.Kind == "Service" && (t.Name == nil || *t.Name == "" || string(*t.Name) == service.Name)
		})
	}), nil
}

// observeBypasses warns of routes that lead to a backend's Service past the sidecar: what comes by them is not verified.
func (r *Reconciler) observeBypasses(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) error {
	routes, err := r.bypasses(ctx, endpoint)
	if err != nil {
		return err
	}
	if len(routes) == 0 {
		apimeta.RemoveStatusCondition(&endpoint.Status.Conditions, v1alpha1.ConditionBackendExposed)
		return nil
	}
	set(endpoint, v1alpha1.ConditionBackendExposed, metav1.ConditionTrue, v1alpha1.ReasonBackendExposed, fmt.Sprintf(
		"%s leads to a backend too, past every check: route only paths there that take no callbacks, or let the app check X-WeChat-Gateway-Signature",
		strings.Join(routes, " and ")))
	return nil
}

// maxBypasses is how many routes are named in a message.
const maxBypasses = 3

func (r *Reconciler) bypasses(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) ([]string, error) {
	services := backendServices(endpoint)
	var found []string
	for _, service := range services {
		if !r.sees(service.Namespace) {
			continue
		}
		var ingresses networkingv1.IngressList
		if err := r.List(ctx, &ingresses, client.InNamespace(service.Namespace), client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("listing Ingresses: %w", err)
		}
		for i := range ingresses.Items {
			if leadsTo(&ingresses.Items[i], ingressServices(&ingresses.Items[i]), service) {
				found = append(found, described("Ingress", &ingresses.Items[i], endpoint))
			}
		}
	}
	if installed, err := r.gateway.installed(r.RESTMapper()); err != nil || !installed {
		return firstOf(found), err
	}
	var routes gatewayapi.HTTPRouteList
	if err := r.List(ctx, &routes, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing HTTPRoutes: %w", err)
	}
	for i := range routes.Items {
		leads, err := r.leadsToAny(ctx, &routes.Items[i], services)
		if err != nil {
			return nil, err
		}
		if leads {
			found = append(found, described("HTTPRoute", &routes.Items[i], endpoint))
		}
	}
	return firstOf(found), nil
}

// leadsToAny reports whether an HTTPRoute leads to one of the Services. To that of another namespace it leads by a grant alone: anybody may write a
// reference.
func (r *Reconciler) leadsToAny(ctx context.Context, route *gatewayapi.HTTPRoute, services []types.NamespacedName) (bool, error) {
	there := routeServices(route)
	from := gatewayv1beta1.ReferenceGrantFrom{Group: gatewayv1.GroupName, Kind: "HTTPRoute", Namespace: gatewayv1.Namespace(route.Namespace)}
	for _, service := range services {
		if !leadsTo(route, there, service) {
			continue
		}
		if route.Namespace == service.Namespace {
			return true, nil
		}
		if granted, err := r.grantsTo(ctx, from, service); err != nil || granted {
			return granted, err
		}
	}
	return false, nil
}

// firstOf sorts the names, since caches have no order, and keeps some.
func firstOf(names []string) []string {
	slices.Sort(names)
	names = slices.Compact(names)
	return names[:min(len(names), maxBypasses)]
}

// described names a route, unless it is another namespace's business.
func described(kind string, route client.Object, endpoint *v1alpha1.WeChatEndpoint) string {
	if route.GetNamespace() != endpoint.Namespace {
		return kind + " of another namespace"
	}
	return kind + " " + route.GetName()
}

// ingressServices are the Services that an Ingress leads to.
func ingressServices(ingress *networkingv1.Ingress) []types.NamespacedName {
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

// routeServices are the Services that an HTTPRoute leads to.
func routeServices(route *gatewayapi.HTTPRoute) []types.NamespacedName {
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
	seen := make(map[types.NamespacedName]bool, min(len(services), maxLeadsTo))
	for _, service := range services {
		switch {
		case seen[service]:
		case len(some) == maxLeadsTo:
			return some, true
		default:
			seen[service] = true
			some = append(some, types.NamespacedName{Namespace: short(service.Namespace), Name: short(service.Name)})
		}
	}
	return some, false
}

// leadsTo reports whether a route leads to the Service: one of those that are known of it. Where it leads to more, it may lead to any of its
// namespace.
func leadsTo(route client.Object, known []types.NamespacedName, service types.NamespacedName) bool {
	_, more := note(route, noteLeadsTo)
	return slices.Contains(known, service) || more && route.GetNamespace() == service.Namespace
}

// besideIngress maps somebody's Ingress to the endpoints whose backends it leads to.
func (r *Reconciler) besideIngress(ctx context.Context, object client.Object) []reconcile.Request {
	return r.usingAny(ctx, object, ingressServices(object.(*networkingv1.Ingress)))
}

// besideHTTPRoute maps somebody's HTTPRoute to the endpoints whose backends it leads to.
func (r *Reconciler) besideHTTPRoute(ctx context.Context, route *gatewayapi.HTTPRoute) []reconcile.Request {
	return r.usingAny(ctx, route, routeServices(route))
}

func (r *Reconciler) usingAny(ctx context.Context, route client.Object, services []types.NamespacedName) []reconcile.Request {
	if isChild(route) {
		return nil // it leads to a sidecar, and is watched as a child
	}
	var requests []reconcile.Request
	for _, service := range services {
		requests = append(requests, r.requests(ctx, client.MatchingFields{indexService: service.String()})...)
	}
	if _, more := note(route, noteLeadsTo); more {
		requests = append(requests, r.requests(ctx, client.InNamespace(route.GetNamespace()))...)
	}
	return requests
}
