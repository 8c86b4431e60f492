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
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
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
	var others v1alpha1.WeChatEndpointList // the cache's own, which are only read
	if err := r.List(ctx, &others, client.MatchingFields{indexHost: endpoint.Spec.URL.Host}, client.UnsafeDisableDeepCopy); err != nil {
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
		if rivals[i].Namespace != endpoint.Namespace && (!given || !r.given(&rivals[i])) {
			published, err := r.published(ctx, &rivals[i])
			if err != nil {
				return err
			}
			if !published {
				continue // it may never be: the host is not its namespace's, or not any more
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

// given reports whether the installation's map names the endpoint's namespace for its host.
func (r *Reconciler) given(endpoint *v1alpha1.WeChatEndpoint) bool {
	return slices.Contains(r.Options.Hosts.namespaces(endpoint.Spec.URL.Host), endpoint.Namespace)
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
	if programmed(e) {
		return true, nil
	}
	return r.publishesAll(ctx, e, render.URLRoutes(e))
}

// programmed reports whether the status says that the claim is published.
func programmed(e *v1alpha1.WeChatEndpoint) bool {
	return apimeta.IsStatusConditionTrue(e.Status.Conditions, v1alpha1.ConditionRouteProgrammed) && !unexposed(e) && speaksOfClaim(e)
}

// unexposed reports whether the status is of a spec that asked for no route: its claim was not judged.
func unexposed(e *v1alpha1.WeChatEndpoint) bool {
	route := apimeta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionRouteProgrammed)
	return route != nil && route.Reason == v1alpha1.ReasonNotPublished
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
	if !apimeta.IsStatusConditionTrue(endpoint.Status.Conditions, v1alpha1.ConditionAccepted) || unexposed(endpoint) || !speaksOfClaim(endpoint) {
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
		case *gatewayapi.HTTPRoute:
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

// sharingHost maps an endpoint to those of its host that may gain or lose by its change. It is called with what the endpoint
// was and with what it is, so that a route which becomes free counts like one that is taken.
func (r *Reconciler) sharingHost(ctx context.Context, object client.Object) []reconcile.Request {
	changed := object.(*v1alpha1.WeChatEndpoint)
	if changed.Spec.URL.Exposure == v1alpha1.ExposureNone {
		return nil // it claims nothing
	}
	var all v1alpha1.WeChatEndpointList
	if err := r.List(ctx, &all, client.MatchingFields{indexHost: changed.Spec.URL.Host}, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "listing the endpoints to wake")
		return nil
	}
	contested := slices.ContainsFunc(all.Items, func(other v1alpha1.WeChatEndpoint) bool { return other.Namespace != changed.Namespace })
	var requests []reconcile.Request
	for i := range all.Items {
		other := &all.Items[i]
		if other.UID != changed.UID && other.Spec.URL.Exposure != v1alpha1.ExposureNone && r.concerned(other, changed, contested) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(other)})
		}
	}
	return requests
}

// concerned reports whether checkClaim may judge an endpoint otherwise since another one of its host has changed. Waking all of a
// host would make a thousand accounts on one host a million reconciles. It suffices to wake:
//   - whose route overlaps: no other route can be lost to the changed one;
//   - who is refused the host or a route: whatever changes may free it;
//   - where namespaces compete for the host, and the map does not name its own: who is in another one than the changed endpoint,
//     which may own the host now; and who has published nothing, since with the changed one its own namespace may have lost it.
//
// All others keep what they have: none of their routes is touched, and the host stays their namespace's.
func (r *Reconciler) concerned(endpoint, changed *v1alpha1.WeChatEndpoint, contested bool) bool {
	if overlap(endpoint, changed) || lostClaim(endpoint) {
		return true
	}
	return contested && !r.given(endpoint) && (endpoint.Namespace != changed.Namespace || !programmed(endpoint))
}

func overlap(a, b *v1alpha1.WeChatEndpoint) bool {
	theirs := render.Routes(b)
	return slices.ContainsFunc(render.Routes(a), func(mine render.Route) bool { return slices.ContainsFunc(theirs, mine.Overlaps) })
}

// lostClaim reports whether the endpoint was refused by checkClaim.
func lostClaim(endpoint *v1alpha1.WeChatEndpoint) bool {
	accepted := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionAccepted)
	return accepted != nil && (accepted.Reason == v1alpha1.ReasonURLConflict || accepted.Reason == v1alpha1.ReasonHostNotAllowed)
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
