// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/claims"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/refs"
)

// checkClaim refuses an endpoint that asks for a host of another namespace, or for a route which another endpoint holds.
func (r *Reconciler) checkClaim(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) error {
	if endpoint.Spec.URL.Exposure == v1alpha1.ExposureNone {
		return nil
	}
	host := endpoint.Spec.URL.Host
	var others v1alpha1.WeChatEndpointList // the cache's own, which are only read
	if err := r.List(ctx, &others, client.MatchingFields{indexHost: host}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing the endpoints of the host: %w", err)
	}
	rivals := make([]claims.Contender, 0, len(others.Items))
	for i := range others.Items {
		if other := &others.Items[i]; other.UID != endpoint.UID {
			rivals = append(rivals, claims.Contender{WeChatEndpoint: other, Allowed: r.allowance(other.Namespace, host)})
		}
	}
	return claims.Judge(claims.Contender{WeChatEndpoint: endpoint, Allowed: r.allowance(endpoint.Namespace, host)}, rivals)
}

// allowance is what the installation's map, if there is one, says of a namespace and a host.
func (r *Reconciler) allowance(namespace, host string) claims.Allowance {
	namespaces := r.Options.Hosts.namespaces(host)
	switch {
	case slices.Contains(namespaces, namespace):
		return claims.Named
	case len(r.Options.Hosts) == 0 || slices.Contains(namespaces, everyNamespace):
		return claims.FirstCome
	}
	return claims.Forbidden
}

// publish writes down in the status what the route that was applied publishes, or that none is left. It comes right after the
// writes, whatever failed of them later: a claim must not be lost that is published.
func publish(endpoint *v1alpha1.WeChatEndpoint, done outcome) {
	switch {
	case done.route != "":
		endpoint.Status.Published = claims.With(endpoint, done.route)
	case done.applied && endpoint.Spec.URL.Exposure == v1alpha1.ExposureNone:
		endpoint.Status.Published = nil
	}
}

// speaksOfClaim reports whether the status is of the URL that the spec asks for.
func speaksOfClaim(e *v1alpha1.WeChatEndpoint) bool {
	_, claim, _ := strings.Cut(e.Status.URL, "://")
	return claim == e.Spec.URL.Shown()
}

// claimMoved is when others may lose or gain by an endpoint's claim: it asks for something else, or it has given up what it had published.
var claimMoved = predicate.Or(predicate.GenerationChangedPredicate{}, predicate.Funcs{
	CreateFunc:  func(event.CreateEvent) bool { return false },
	DeleteFunc:  func(event.DeleteEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		return claims.Released(e.ObjectOld.(*v1alpha1.WeChatEndpoint), e.ObjectNew.(*v1alpha1.WeChatEndpoint))
	},
})

// sharingHost maps an endpoint to those of its hosts that may gain or lose by its change. It is called with what the endpoint
// was and with what it is, so that a route which becomes free counts like one that is taken.
func (r *Reconciler) sharingHost(ctx context.Context, object client.Object) []reconcile.Request {
	changed := object.(*v1alpha1.WeChatEndpoint)
	var requests []reconcile.Request
	for _, host := range claims.Hosts(changed) {
		var all v1alpha1.WeChatEndpointList
		if err := r.List(ctx, &all, client.MatchingFields{indexHost: host}, client.UnsafeDisableDeepCopy); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "listing the endpoints to wake")
			continue
		}
		contested := slices.ContainsFunc(all.Items, func(other v1alpha1.WeChatEndpoint) bool { return other.Namespace != changed.Namespace })
		for i := range all.Items {
			other := &all.Items[i]
			if other.UID != changed.UID && other.Spec.URL.Exposure != v1alpha1.ExposureNone && r.concerned(other, changed, host, contested) {
				requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(other)})
			}
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
func (r *Reconciler) concerned(endpoint, changed *v1alpha1.WeChatEndpoint, host string, contested bool) bool {
	if claims.Overlap(endpoint, changed, host) || lostClaim(endpoint) {
		return true
	}
	return contested && r.allowance(endpoint.Namespace, host) != claims.Named && (endpoint.Namespace != changed.Namespace || !claims.Publishes(endpoint, host))
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
