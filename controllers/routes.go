// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/claims"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/refs"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// routeSettles is how long a route that replaces another is left alone with it, after it was taken up: ingress controllers
// collect changes for up to some seconds before they act on them.
const routeSettles = 5 * time.Second

// ingressSettles is routeSettles for an Ingress to which no controller gave an address. It has no other status to go by.
const ingressSettles = 30 * time.Second

// route is what became of the published route.
type route struct {
	kind string // of the object
	// settlesIn is how long another kind of route is still needed beside it.
	settlesIn time.Duration
	address   string // an IP address or a name; empty if none is published
	secure    bool   // TLS ends there
}

// observeExposure says what became of the route, deletes what it replaces, and tries it. It returns when to look again;
// zero is never.
func (r *Reconciler) observeExposure(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, input render.Input, done outcome, current bool) (time.Duration, error) {
	found, err := r.observeRoute(ctx, endpoint, done.applied)
	if refused := done.refused.route(); refused != nil {
		err = refused
	}
	again := unseen(err)
	if err == nil && done.applied {
		again, err = r.retireRoute(ctx, endpoint, found)
	}
	if err := record(endpoint, v1alpha1.ConditionRouteProgrammed, err); err != nil {
		return 0, err
	}
	if err == nil {
		r.limitClaim(endpoint)
	}
	r.reach(ctx, endpoint, input, current, found)
	return soonest(again, reachDelay(endpoint)), nil
}

// observeRoute says whether the route is applied and somebody serves it. Unless an Ingress was applied just now, which the
// cache may not show yet, the object must be there and publish this very URL. What the operator has not published is not
// programmed, whatever the object says: its tenant may have written that.
func (r *Reconciler) observeRoute(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, applied bool) (found route, err error) {
	switch endpoint.Spec.URL.Exposure {
	case v1alpha1.ExposureNone:
		return route{}, nil
	case v1alpha1.ExposureHTTPRoute:
		found, err = r.observeHTTPRoute(ctx, endpoint)
	default:
		found, err = r.observeIngress(ctx, endpoint, applied)
	}
	if err == nil && !claims.Covers(endpoint, endpoint.Spec.URL.Exposure) {
		return route{}, notPublishedYet()
	}
	return found, err
}

func notPublishedYet() error {
	return refs.Waitf(v1alpha1.ReasonWaiting, "this URL is not published yet: first see to the conditions before this one")
}

// observeIngress has no status to go by but the address, which many controllers do not report.
func (r *Reconciler) observeIngress(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, applied bool) (route, error) {
	if err := r.checkClassExists(ctx, endpoint); err != nil {
		return route{}, err
	}
	var ingress networkingv1.Ingress
	err := r.Get(ctx, client.ObjectKey{Namespace: endpoint.Namespace, Name: render.Name(endpoint)}, &ingress)
	if client.IgnoreNotFound(err) != nil {
		return route{}, fmt.Errorf("reading Ingress %s: %w", render.Name(endpoint), err)
	}
	there := err == nil && metav1.IsControlledBy(&ingress, endpoint) && publishes(&ingress, endpoint)
	if !applied && !there {
		return route{}, notPublishedYet()
	}
	if err == nil && ingress.Spec.IngressClassName == nil {
		return route{}, refs.Waitf(v1alpha1.ReasonIngressClassNotFound,
			"Ingress %s was made before the cluster had a default class and has none: set url.ingress.className", ingress.Name)
	}
	if !there {
		return route{kind: "Ingress", settlesIn: ingressSettles}, nil
	}
	settles := ingressSettles
	if len(ingress.Status.LoadBalancer.Ingress) > 0 {
		settles = routeSettles
	}
	return route{
		kind: "Ingress", settlesIn: settles - time.Since(ingress.CreationTimestamp.Time),
		address: addressOf(ingress.Status.LoadBalancer), secure: len(ingress.Spec.TLS) > 0,
	}, nil
}

func addressOf(status networkingv1.IngressLoadBalancerStatus) string {
	if len(status.Ingress) == 0 {
		return ""
	}
	return cmp.Or(status.Ingress[0].IP, status.Ingress[0].Hostname)
}

// publishes reports whether the Ingress has all routes of the endpoint.
func publishes(ingress *networkingv1.Ingress, endpoint *v1alpha1.WeChatEndpoint) bool {
	return !slices.ContainsFunc(render.Routes(endpoint), func(route render.Route) bool {
		return !publishesRoute(ingress, endpoint.Spec.URL.Host, route)
	})
}

func publishesRoute(ingress *networkingv1.Ingress, host string, route render.Route) bool {
	return slices.ContainsFunc(ingress.Spec.Rules, func(rule networkingv1.IngressRule) bool {
		return rule.Host == host && rule.HTTP != nil && slices.ContainsFunc(rule.HTTP.Paths, func(p networkingv1.HTTPIngressPath) bool {
			return p.Path == route.Path && p.PathType != nil && *p.PathType == route.PathType()
		})
	})
}

// observeHTTPRoute goes by the word of every Gateway that the route is attached to, at the route's newest generation.
func (r *Reconciler) observeHTTPRoute(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) (route, error) {
	if installed, err := r.gateway.installed(r.RESTMapper()); err != nil || !installed {
		return route{}, errors.Join(err, refs.Waitf(v1alpha1.ReasonGatewayAPINotFound,
			"this cluster knows no HTTPRoutes: ask the platform team to install the Gateway API, or set url.exposure to Ingress"))
	}
	var live gatewayapi.HTTPRoute
	err := r.Get(ctx, client.ObjectKey{Namespace: endpoint.Namespace, Name: render.Name(endpoint)}, &live)
	if client.IgnoreNotFound(err) != nil {
		return route{}, fmt.Errorf("reading HTTPRoute %s: %w", render.Name(endpoint), err)
	}
	if err != nil || !metav1.IsControlledBy(&live, endpoint) || !routeServes(&live, endpoint) {
		return route{}, notPublishedYet()
	}
	var since time.Time
	for _, parent := range render.ParentRefs(endpoint) {
		accepted, err := r.observeParent(ctx, &live, parent)
		if err != nil {
			return route{}, err
		}
		if accepted.After(since) {
			since = accepted
		}
	}
	address, secure, err := r.listenerOf(ctx, endpoint)
	return route{kind: "HTTPRoute", settlesIn: routeSettles - time.Since(since), address: address, secure: secure}, err
}

// routeServes reports whether the HTTPRoute has all routes of the endpoint and hangs on all its Gateways.
func routeServes(live *gatewayapi.HTTPRoute, endpoint *v1alpha1.WeChatEndpoint) bool {
	return slices.Equal(live.Spec.Hostnames, hostnames(endpoint)) &&
		equality.Semantic.DeepEqual(live.Spec.ParentRefs, render.ParentRefs(endpoint)) &&
		!slices.ContainsFunc(render.Routes(endpoint), func(route render.Route) bool { return !routeHas(live, route) })
}

// hostnames are those of the endpoint's HTTPRoute.
func hostnames(endpoint *v1alpha1.WeChatEndpoint) []gatewayv1.Hostname {
	if endpoint.Spec.URL.Host == "" {
		return nil
	}
	return []gatewayv1.Hostname{gatewayv1.Hostname(endpoint.Spec.URL.Host)}
}

func routeHas(live *gatewayapi.HTTPRoute, route render.Route) bool {
	return slices.ContainsFunc(live.Spec.Rules, func(rule gatewayapi.HTTPRouteRule) bool {
		return slices.ContainsFunc(rule.Matches, func(match gatewayapi.HTTPRouteMatch) bool {
			return match.Path != nil && match.Path.Type != nil && *match.Path.Type == route.MatchType() &&
				match.Path.Value != nil && *match.Path.Value == route.Path
		})
	})
}

// judgedConditions are what a Gateway must say of a route.
var judgedConditions = []gatewayv1.RouteConditionType{gatewayv1.RouteConditionAccepted, gatewayv1.RouteConditionResolvedRefs}

// observeParent returns since when a Gateway has accepted the route, or what it says against it.
func (r *Reconciler) observeParent(ctx context.Context, live *gatewayapi.HTTPRoute, parent gatewayv1.ParentReference) (time.Time, error) {
	name := fmt.Sprintf("%s/%s", *parent.Namespace, parent.Name)
	i := slices.IndexFunc(live.Status.Parents, func(status gatewayapi.ParentStatus) bool {
		return sameParent(status.ParentRef, parent, live.Namespace)
	})
	if i < 0 && !r.sees(string(*parent.Namespace)) {
		return time.Time{}, refs.Waitf(v1alpha1.ReasonRouteNotAccepted,
			"Gateway %s has not answered for HTTPRoute %s, and this installation cannot see whether it exists: correct url.httpRoute.parentRefs, or ask the platform team",
			name, live.Name)
	}
	if i < 0 {
		var gateway gatewayapi.Gateway
		err := r.Get(ctx, client.ObjectKey{Namespace: string(*parent.Namespace), Name: string(parent.Name)}, &gateway)
		if apierrors.IsNotFound(err) {
			return time.Time{}, refs.Waitf(v1alpha1.ReasonGatewayNotFound,
				"Gateway %s does not exist: correct url.httpRoute.parentRefs, or ask the platform team for the Gateway's name", name)
		} else if err != nil {
			return time.Time{}, fmt.Errorf("reading Gateway %s: %w", name, err)
		}
		return time.Time{}, refs.Waitf(v1alpha1.ReasonRouteNotAccepted,
			"Gateway %s has not answered for HTTPRoute %s: wait some seconds; if it stays so, ask the platform team whether the controller of GatewayClass %s runs",
			name, live.Name, gateway.Spec.GatewayClassName)
	}
	var since time.Time
	for _, conditionType := range judgedConditions {
		condition := apimeta.FindStatusCondition(live.Status.Parents[i].Conditions, string(conditionType))
		switch {
		case condition == nil || condition.ObservedGeneration < live.Generation:
			return time.Time{}, refs.Waitf(v1alpha1.ReasonRouteNotAccepted, "Gateway %s has not answered for the newest HTTPRoute %s: wait some seconds", name, live.Name)
		case condition.Status != metav1.ConditionTrue:
			return time.Time{}, refs.Waitf(v1alpha1.ReasonRouteNotAccepted,
				"Gateway %s does not accept HTTPRoute %s (%s: %s): correct url.host or url.httpRoute.parentRefs, or ask the platform team to allow routes of this namespace",
				name, live.Name, condition.Reason, condition.Message)
		case condition.LastTransitionTime.After(since):
			since = condition.LastTransitionTime.Time
		}
	}
	return since, nil
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

// retireRoute deletes the route that another exposure left behind, once the new one has settled: between them no message is
// lost. It returns when to come back for that; zero is never.
func (r *Reconciler) retireRoute(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, now route) (time.Duration, error) {
	for _, kind := range routeKinds {
		if kind == now.kind || now.kind == "" {
			continue
		}
		live, err := r.ownedChild(ctx, endpoint, kind)
		if err != nil {
			return 0, err
		}
		if live != nil && now.settlesIn > 0 {
			return now.settlesIn, nil
		}
		if live != nil {
			if err := r.deleteChild(ctx, kind, live); err != nil {
				return 0, err
			}
		}
		endpoint.Status.Published = claims.Without(endpoint, v1alpha1.Exposure(kind))
	}
	return 0, nil
}

// schemeOf is that of the endpoint's URL, as far as the cluster tells.
func (r *Reconciler) schemeOf(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) (v1alpha1.Scheme, error) {
	url := endpoint.Spec.URL
	switch {
	case url.Scheme != "":
		return url.Scheme, nil
	case url.Ingress != nil && url.Ingress.TLSSecretName != "":
		return v1alpha1.SchemeHTTPS, nil
	case url.HTTPRoute == nil:
		return v1alpha1.SchemeHTTP, nil
	}
	_, secure, err := r.listenerOf(ctx, endpoint)
	if secure {
		return v1alpha1.SchemeHTTPS, err
	}
	return v1alpha1.SchemeHTTP, err
}

// listenerOf returns the address of the endpoint's Gateway, of the one that ends TLS if there are more, and whether it does.
func (r *Reconciler) listenerOf(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) (address string, secure bool, err error) {
	if installed, err := r.gateway.installed(r.RESTMapper()); err != nil || !installed {
		return "", false, err
	}
	for _, parent := range render.ParentRefs(endpoint) {
		if !r.sees(string(*parent.Namespace)) {
			continue // url.scheme must say it
		}
		var gateway gatewayapi.Gateway
		err := r.Get(ctx, client.ObjectKey{Namespace: string(*parent.Namespace), Name: string(parent.Name)}, &gateway)
		if client.IgnoreNotFound(err) != nil {
			return "", false, fmt.Errorf("reading Gateway %s: %w", parent.Name, err)
		}
		secure = slices.ContainsFunc(gateway.Spec.Listeners, func(l gatewayapi.Listener) bool { return endsTLS(l, parent, endpoint.Spec.URL.Host) })
		if len(gateway.Status.Addresses) > 0 && (address == "" || secure) {
			address = gateway.Status.Addresses[0].Value
		}
		if secure {
			break
		}
	}
	return address, secure, nil
}

// endsTLS reports whether the listener serves the host to the reference by HTTPS.
func endsTLS(listener gatewayapi.Listener, parent gatewayv1.ParentReference, host string) bool {
	if section := value(parent.SectionName); section != "" && section != listener.Name {
		return false
	}
	name := string(value(listener.Hostname))
	suffix, wildcard := strings.CutPrefix(name, "*")
	fits := name == "" || host == "" || name == host || wildcard && strings.HasSuffix(host, suffix)
	return fits && listener.Protocol == gatewayv1.HTTPSProtocolType
}
