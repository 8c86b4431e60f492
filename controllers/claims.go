// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/refs"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// checkClaim refuses an endpoint that asks for a host of another namespace, or for a route which another endpoint holds: the
// one whose route is published, and among unpublished ones the older.
func (r *Reconciler) checkClaim(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) error {
	if endpoint.Spec.URL.Exposure == v1alpha1.ExposureNone {
		return nil
	}
	given, err := r.checkMap(endpoint)
	if err != nil {
		return err
	}
	var others v1alpha1.WeChatEndpointList
	if err := r.List(ctx, &others, client.MatchingFields{indexHost: endpoint.Spec.URL.Host}); err != nil {
		return fmt.Errorf("listing the endpoints of the host: %w", err)
	}
	rivals := slices.DeleteFunc(others.Items, func(other v1alpha1.WeChatEndpoint) bool {
		return other.UID == endpoint.UID || !other.DeletionTimestamp.IsZero() || other.Spec.URL.Exposure == v1alpha1.ExposureNone
	})
	if !given {
		if err := r.checkOwner(ctx, endpoint, rivals); err != nil {
			return err
		}
	}
	for i := range rivals {
		if !given && rivals[i].Namespace != endpoint.Namespace {
			published, err := r.published(ctx, &rivals[i])
			if err != nil {
				return err
			}
			if !published {
				continue // it may never be: the host is not its namespace's
			}
		}
		lost, err := r.lostRoute(ctx, endpoint, &rivals[i])
		if err != nil {
			return err
		}
		if lost != nil {
			return conflict(endpoint, &rivals[i], *lost)
		}
	}
	return nil
}

// checkMap asks the installation's map, if there is one, whether the host may be used in this namespace. Given says that it names
// the namespace: then no other one owns the host.
func (r *Reconciler) checkMap(endpoint *v1alpha1.WeChatEndpoint) (given bool, err error) {
	if len(r.Options.Hosts) == 0 {
		return false, nil
	}
	namespaces := r.Options.Hosts.namespaces(endpoint.Spec.URL.Host)
	switch {
	case slices.Contains(namespaces, endpoint.Namespace):
		return true, nil
	case slices.Contains(namespaces, everyNamespace):
		return false, nil
	}
	return false, refs.Waitf(v1alpha1.ReasonHostNotAllowed,
		"url.host %s is not given to namespace %s in this cluster: choose a host that is, or ask the platform team to add it to hosts",
		shownHost(endpoint), endpoint.Namespace)
}

// checkOwner refuses a host that belongs to another namespace: that of its first endpoint, by the rule of single routes.
func (r *Reconciler) checkOwner(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, rivals []v1alpha1.WeChatEndpoint) error {
	if !slices.ContainsFunc(rivals, func(other v1alpha1.WeChatEndpoint) bool { return other.Namespace != endpoint.Namespace }) {
		return nil
	}
	owner := endpoint
	ownerPublished, err := r.published(ctx, endpoint)
	if err != nil {
		return err
	}
	for i := range rivals {
		published, err := r.published(ctx, &rivals[i])
		if err != nil {
			return err
		}
		if published && !ownerPublished || published == ownerPublished && older(&rivals[i], owner) {
			owner, ownerPublished = &rivals[i], published
		}
	}
	if owner.Namespace == endpoint.Namespace {
		return nil
	}
	return refs.Waitf(v1alpha1.ReasonHostNotAllowed,
		"url.host %s belongs to another namespace, which published it first: choose another host, or ask the platform team to give it to namespace %s",
		shownHost(endpoint), endpoint.Namespace)
}

func conflict(endpoint, holder *v1alpha1.WeChatEndpoint, lost render.Route) error {
	name := "an endpoint in another namespace"
	if holder.Namespace == endpoint.Namespace {
		name = "WeChatEndpoint " + holder.Name
	}
	what := ""
	if lost.Prefix {
		what = "a path below "
	}
	return refs.Waitf(v1alpha1.ReasonURLConflict, "%s%s%s is held by %s: choose another host, path or domain file, or delete the other endpoint",
		what, endpoint.Spec.URL.Host, lost.Path, name)
}

// lostRoute returns a route of the endpoint that the other holds rather than the endpoint, or nil.
func (r *Reconciler) lostRoute(ctx context.Context, endpoint, other *v1alpha1.WeChatEndpoint) (*render.Route, error) {
	for _, mine := range render.Routes(endpoint) {
		for _, theirs := range render.Routes(other) {
			if !mine.Overlaps(theirs) {
				continue
			}
			holding, err := r.holds(ctx, endpoint, mine)
			if err != nil {
				return nil, err
			}
			otherHolding, err := r.holds(ctx, other, theirs)
			if err != nil {
				return nil, err
			}
			if holding == otherHolding && older(other, endpoint) || otherHolding && !holding {
				return &mine, nil
			}
		}
	}
	return nil, nil
}

// holds reports whether the route is published. That of a domain file may have been added since the URL was.
func (r *Reconciler) holds(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, route render.Route) (bool, error) {
	isFile := func(f v1alpha1.DomainFile) bool { return "/"+f.Name == route.Path }
	if !slices.ContainsFunc(endpoint.Spec.DomainFiles, isFile) {
		return r.published(ctx, endpoint)
	}
	return r.publishesAll(ctx, endpoint, []render.Route{route})
}

// older reports whether a was made before b; of two that were made in the same second, the name decides.
func older(a, b *v1alpha1.WeChatEndpoint) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) < 0
}

// published reports whether a route leads from the claim to the endpoint: by its status, or, while its exposure changes, by an
// object of either kind.
func (r *Reconciler) published(ctx context.Context, e *v1alpha1.WeChatEndpoint) (bool, error) {
	route := apimeta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionRouteProgrammed)
	if route != nil && route.Status == metav1.ConditionTrue && route.Reason == v1alpha1.ReasonRouteProgrammed && speaksOfClaim(e) {
		return true, nil
	}
	return r.publishesAll(ctx, e, render.URLRoutes(e))
}

// speaksOfClaim reports whether the status is of the URL that the spec asks for. One that speaks of another URL, or of none that
// is published, is that of an earlier spec: it lends no right to the new claim.
func speaksOfClaim(e *v1alpha1.WeChatEndpoint) bool {
	_, claim, _ := strings.Cut(e.Status.URL, "://")
	return claim == shownHost(e)+e.Spec.URL.Path
}

// publishesAll reports whether one of the endpoint's route objects has all these routes. It is believed only where the claim was
// accepted: a tenant may be allowed to write Ingresses, and could make a refused endpoint's own one publish what was refused.
func (r *Reconciler) publishesAll(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, routes []render.Route) (bool, error) {
	if !apimeta.IsStatusConditionTrue(endpoint.Status.Conditions, v1alpha1.ConditionAccepted) || !speaksOfClaim(endpoint) {
		return false, nil
	}
	for _, kind := range routeKinds {
		live, err := r.ownedChild(ctx, endpoint, kind)
		if err != nil {
			return false, err
		}
		has := func(render.Route) bool { return false }
		switch object := live.(type) {
		case *networkingv1.Ingress:
			has = func(route render.Route) bool { return publishesRoute(object, endpoint.Spec.URL.Host, route) }
		case *gatewayv1.HTTPRoute:
			has = func(route render.Route) bool {
				return slices.Equal(object.Spec.Hostnames, hostnames(endpoint)) && routeHas(object, route)
			}
		}
		if !slices.ContainsFunc(routes, func(route render.Route) bool { return !has(route) }) {
			return true, nil
		}
	}
	return false, nil
}

// checkClass refuses an IngressClass that the installation does not offer.
func (r *Reconciler) checkClass(endpoint *v1alpha1.WeChatEndpoint) error {
	allowed, class := r.Options.AllowedIngressClasses, ""
	if endpoint.Spec.URL.Exposure != v1alpha1.ExposureIngress || len(allowed) == 0 {
		return nil
	}
	if tuning := endpoint.Spec.URL.Ingress; tuning != nil {
		class = tuning.ClassName
	}
	if slices.Contains(allowed, class) {
		return nil
	}
	return refs.Waitf(v1alpha1.ReasonIngressClassNotAllowed, "url.ingress.className is %q: set it to one that this installation allows: %s",
		class, strings.Join(allowed, ", "))
}
