// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/backends"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/children"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/claims"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/hands"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/kept"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/moves"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/pods"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/rollout"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/status"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/world"
)

// Who is woken by what. An endpoint is looked at when its spec changes, when a child does, and when something does that it refers to or
// competes with.

// Indexes of the cache, by the field whose value they look up; world.IndexHost, world.IndexGateway and world.IndexLeadsTo are others.
const (
	indexSecret  = "spec.credentials.secretName"
	indexService = "spec.backend.service"
	indexGateway = "spec.url.httpRoute.parentRefs"
)

func (r *Reconciler) index(ctx context.Context, manager ctrl.Manager) error {
	for field, values := range map[string]func(*v1alpha1.WeChatEndpoint) []string{
		world.IndexHost:    claims.Hosts,
		world.IndexGateway: moves.Gateways,
		indexSecret:        func(e *v1alpha1.WeChatEndpoint) []string { return []string{e.Spec.Credentials.SecretName} },
		indexService:       serviceKeys,
		indexGateway:       parentGateways,
	} {
		index := func(o client.Object) []string { return values(o.(*v1alpha1.WeChatEndpoint)) }
		if err := manager.GetFieldIndexer().IndexField(ctx, &v1alpha1.WeChatEndpoint{}, field, index); err != nil {
			return fmt.Errorf("indexing %s: %w", field, err)
		}
	}
	leadsTo := func(o client.Object) []string { return world.LeadsTo(o.(*networkingv1.Ingress)) }
	if err := manager.GetFieldIndexer().IndexField(ctx, &networkingv1.Ingress{}, world.IndexLeadsTo, leadsTo); err != nil {
		return fmt.Errorf("indexing the Ingresses: %w", err)
	}
	return nil
}

// watch adds the watches. Those on the Gateway API begin later.
func (r *Reconciler) watch(blueprint *builder.Builder) {
	for _, kind := range children.Kinds {
		switch kind.Name {
		case children.HTTPRoute: // see watchGatewayAPI
		case children.Autoscaler:
			blueprint.Owns(kind.Empty(), builder.WithPredicates(appliedChanged))
		default:
			blueprint.Owns(kind.Empty())
		}
	}
	blueprint.
		Watches(&v1alpha1.WeChatEndpoint{}, handler.EnqueueRequestsFromMapFunc(r.sharingHost), builder.WithPredicates(claimMoved)).
		Watches(&v1alpha1.WeChatEndpoint{}, handler.EnqueueRequestsFromMapFunc(r.nextSlots(render.KindEndpoint)), builder.WithPredicates(slotMoved)).
		Watches(&v1alpha1.WeChatGateway{}, handler.EnqueueRequestsFromMapFunc(r.nextSlots(render.KindEndpoint)), builder.WithPredicates(slotMoved)).
		Watches(&v1alpha1.WeChatGateway{}, handler.EnqueueRequestsFromMapFunc(r.onGateway), builder.WithPredicates(gatewayTurned)).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.referring(indexSecret))).
		Watches(&corev1.Service{}, handler.EnqueueRequestsFromMapFunc(r.usingService)).
		Watches(&discoveryv1.EndpointSlice{}, handler.EnqueueRequestsFromMapFunc(r.usingSlice), builder.WithPredicates(readinessChanged)).
		Watches(&networkingv1.Ingress{}, handler.EnqueueRequestsFromMapFunc(r.besideIngress), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&networkingv1.Ingress{}, lately(r.sharingRoute), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(ownerOfPod(v1alpha1.LabelEndpoint)), builder.WithPredicates(podChanged))
	if r.Options.SeesCluster() {
		blueprint.Watches(&networkingv1.IngressClass{}, handler.EnqueueRequestsFromMapFunc(r.all))
	}
}

// watchGatewayAPI begins the watches of the Gateway API's kinds.
func (r *Reconciler) watchGatewayAPI(c controller.Controller, objects cache.Cache) error {
	owned := handler.TypedEnqueueRequestForOwner[*gatewayapi.HTTPRoute](r.Scheme(), r.RESTMapper(), &v1alpha1.WeChatEndpoint{}, handler.OnlyControllerOwner())
	beside := handler.TypedEnqueueRequestsFromMapFunc(r.besideHTTPRoute)
	if err := errors.Join(
		c.Watch(source.Kind(objects, &gatewayapi.HTTPRoute{}, owned)),
		c.Watch(source.Kind(objects, &gatewayapi.HTTPRoute{}, beside, predicate.TypedGenerationChangedPredicate[*gatewayapi.HTTPRoute]{})),
		c.Watch(source.Kind(objects, &gatewayapi.ReferenceGrant{}, handler.TypedEnqueueRequestsFromMapFunc(r.usingGrant))),
	); err != nil {
		return fmt.Errorf("watching HTTPRoutes and ReferenceGrants: %w", err)
	}
	err := c.Watch(source.Kind(objects, &gatewayapi.Gateway{},
		handler.TypedEnqueueRequestsFromMapFunc(r.attachedTo), predicate.Or(predicate.TypedGenerationChangedPredicate[*gatewayapi.Gateway]{}, addressChanged)))
	if err != nil {
		return fmt.Errorf("watching Gateways: %w", err)
	}
	return nil
}

// addressChanged leaves out what else changes in a Gateway's status, such as the number of its routes.
var addressChanged = predicate.TypedFuncs[*gatewayapi.Gateway]{UpdateFunc: func(e event.TypedUpdateEvent[*gatewayapi.Gateway]) bool {
	return !equality.Semantic.DeepEqual(e.ObjectOld.Status.Addresses, e.ObjectNew.Status.Addresses)
}}

// attachedTo maps a Gateway to the endpoints that name it: whether it is there, and ends TLS, is in their status.
func (r *Reconciler) attachedTo(ctx context.Context, gateway *gatewayapi.Gateway) []reconcile.Request {
	return r.requests(ctx, client.MatchingFields{indexGateway: gateway.Namespace + "/" + gateway.Name})
}

// parentGateways names the Gateways of an endpoint, each as namespace/name.
func parentGateways(endpoint *v1alpha1.WeChatEndpoint) []string {
	var names []string
	for _, parent := range render.ParentRefs(endpoint) {
		names = append(names, fmt.Sprintf("%s/%s", *parent.Namespace, parent.Name))
	}
	return names
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

// sharingHost maps an endpoint to the others of its hosts that may gain or lose by its change. It is called with what the endpoint
// was and with what it is: a route that becomes free counts like one that is taken.
func (r *Reconciler) sharingHost(ctx context.Context, object client.Object) []reconcile.Request {
	changed := object.(*v1alpha1.WeChatEndpoint)
	var requests []reconcile.Request
	for _, host := range claims.Hosts(changed) {
		var all v1alpha1.WeChatEndpointList
		if err := r.List(ctx, &all, client.MatchingFields{world.IndexHost: host}, client.UnsafeDisableDeepCopy); err != nil {
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

// concerned reports whether the claim of an endpoint may be judged otherwise since another one of its host has changed. Waking all of a
// host would make a thousand accounts on one host a million reconciles. It suffices to wake:
//   - whose route overlaps: no other route can be lost to the changed one;
//   - who is refused the host or a route: whatever changes may free it;
//   - where namespaces compete for the host, and the map does not name its own: who is in another one than the changed endpoint,
//     which may own the host now; and who has published nothing, since with the changed one its own namespace may have lost it.
//
// All others keep what they have: none of their routes is touched, and the host stays their namespace's.
func (r *Reconciler) concerned(endpoint, changed *v1alpha1.WeChatEndpoint, host string, contested bool) bool {
	if claims.Overlap(endpoint, changed, host) || status.LostClaim(endpoint) {
		return true
	}
	return contested && r.Options.Hosts.Allowance(endpoint.Namespace, host) != installation.Named && (endpoint.Namespace != changed.Namespace || !claims.Publishes(endpoint, host))
}

// slotMoved is when an endpoint's part in a rollout ended, or failed: others may go on or must stop.
var slotMoved = predicate.Funcs{
	CreateFunc:  func(event.CreateEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
	DeleteFunc: func(e event.DeleteEvent) bool {
		slot := slotOf(e.Object)
		return slot.Reason != "" && slot.Reason != v1alpha1.ReasonSidecarCurrent
	},
	UpdateFunc: func(e event.UpdateEvent) bool { return rollout.Moved(slotOf(e.ObjectOld), slotOf(e.ObjectNew)) },
}

// slotOf is the slot of an endpoint or a gateway.
func slotOf(object client.Object) status.Slot {
	if gateway, is := object.(*v1alpha1.WeChatGateway); is {
		return status.SlotOfGateway(gateway)
	}
	return status.SlotOf(object.(*v1alpha1.WeChatEndpoint))
}

// nextSlots maps an owner whose part in a rollout ended to those of the kind that may be next.
func (r *Reconciler) nextSlots(kind string) handler.MapFunc {
	return func(ctx context.Context, _ client.Object) []reconcile.Request {
		all, err := hands.Members(ctx, r)
		if err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "listing who may be next in the rollout")
			return nil
		}
		var requests []reconcile.Request
		for _, next := range rollout.Next(r.Options.Rollout, all) {
			if next.Kind == kind {
				requests = append(requests, reconcile.Request{NamespacedName: next.NamespacedName})
			}
		}
		return requests
	}
}

// gatewayTurned is when the endpoints of a gateway may have something else to say: it is there or not, its pods serve or not, or it has no room.
var gatewayTurned = predicate.Funcs{
	GenericFunc: func(event.GenericEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld.(*v1alpha1.WeChatGateway), e.ObjectNew.(*v1alpha1.WeChatGateway)
		return before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero() || before.Spec.Paused != after.Spec.Paused ||
			hasPods(before) != hasPods(after) || !slices.Equal(before.Status.Left, after.Status.Left) || slotOf(before).Reason != slotOf(after).Reason
	},
}

func hasPods(gateway *v1alpha1.WeChatGateway) bool {
	return gateway.Status.Pods != nil && *gateway.Status.Pods > 0
}

// onGateway maps a gateway to the endpoints that need it.
func (r *Reconciler) onGateway(ctx context.Context, gateway client.Object) []reconcile.Request {
	return r.requests(ctx, client.InNamespace(gateway.GetNamespace()), client.MatchingFields{world.IndexGateway: gateway.GetName()})
}

// watchForGateways adds the watches of the gateways.
func (r *Reconciler) watchForGateways(blueprint *builder.Builder) {
	for _, kind := range children.Kinds {
		switch {
		case kind.Route:
		case kind.Name == children.Autoscaler:
			blueprint.Owns(kind.Empty(), builder.WithPredicates(appliedChanged))
		default:
			blueprint.Owns(kind.Empty())
		}
	}
	blueprint.
		Watches(&v1alpha1.WeChatEndpoint{}, soon(gatewaysOf), builder.WithPredicates(needMoved)).
		Watches(&corev1.Secret{}, soon(r.gatewaysOfEntry)).
		Watches(&v1alpha1.WeChatEndpoint{}, handler.EnqueueRequestsFromMapFunc(r.nextSlots(render.KindGateway)), builder.WithPredicates(slotMoved)).
		Watches(&v1alpha1.WeChatGateway{}, handler.EnqueueRequestsFromMapFunc(r.nextSlots(render.KindGateway)), builder.WithPredicates(slotMoved)).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(ownerOfPod(v1alpha1.LabelGateway)), builder.WithPredicates(podChanged))
}

// needMoved is when an endpoint may need other gateways.
var needMoved = predicate.Funcs{
	GenericFunc: func(event.GenericEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld.(*v1alpha1.WeChatEndpoint), e.ObjectNew.(*v1alpha1.WeChatEndpoint)
		return !slices.Equal(moves.Gateways(before), moves.Gateways(after))
	},
}

// gatewaysOf maps an endpoint to the gateways that need its entry.
func gatewaysOf(_ context.Context, object client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, gateway := range moves.Gateways(object.(*v1alpha1.WeChatEndpoint)) {
		requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: gateway}})
	}
	return requests
}

// gatewaysOfEntry maps the Secret with an endpoint's document to the gateways that need it.
func (r *Reconciler) gatewaysOfEntry(ctx context.Context, secret client.Object) []reconcile.Request {
	var endpoint v1alpha1.WeChatEndpoint
	name := types.NamespacedName{Namespace: secret.GetNamespace(), Name: secret.GetLabels()[v1alpha1.LabelEndpoint]}
	if name.Name == "" || r.Get(ctx, name, &endpoint, client.UnsafeDisableDeepCopy) != nil || secret.GetName() != render.Name(&endpoint) {
		return nil
	}
	return gatewaysOf(ctx, &endpoint)
}

// podChanged ignores what is not read of a pod: above all the annotation by which its kubelet is woken.
var podChanged = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	return pods.Changed(e.ObjectOld.(*corev1.Pod), e.ObjectNew.(*corev1.Pod)) || belongsElsewhere(e.ObjectOld, e.ObjectNew)
}}

// appliedChanged ignores what a HorizontalPodAutoscaler says of itself several times a minute. The kind counts no generations.
var appliedChanged = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	before, _ := kept.Note(e.ObjectOld, kept.NoteApplied)
	after, _ := kept.Note(e.ObjectNew, kept.NoteApplied)
	return before != after || belongsElsewhere(e.ObjectOld, e.ObjectNew)
}}

// serviceKeys are the Services that an endpoint names, and for each namespace of theirs a key that stands for its grants: to the endpoint,
// and to routes of others.
func serviceKeys(endpoint *v1alpha1.WeChatEndpoint) []string {
	var keys []string
	for _, name := range backends.Services(endpoint) {
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

// usingSlice maps an EndpointSlice to the endpoints that name its Service.
func (r *Reconciler) usingSlice(ctx context.Context, slice client.Object) []reconcile.Request {
	service := types.NamespacedName{Namespace: slice.GetNamespace(), Name: slice.GetLabels()[discoveryv1.LabelServiceName]}
	return r.requests(ctx, client.MatchingFields{indexService: service.String()})
}

// readinessChanged ignores which pods are ready, as long as there is one or none.
var readinessChanged = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	return kept.HasReadyPod(e.ObjectOld.(*discoveryv1.EndpointSlice)) != kept.HasReadyPod(e.ObjectNew.(*discoveryv1.EndpointSlice)) ||
		!maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels())
}}

// usingGrant maps a ReferenceGrant to the endpoints that name a Service of its namespace.
func (r *Reconciler) usingGrant(ctx context.Context, grant *gatewayapi.ReferenceGrant) []reconcile.Request {
	return r.requests(ctx, client.MatchingFields{indexService: grantsOf(grant.Namespace)})
}

// controllersAct is how long ingress controllers may take to act on somebody's route.
const controllersAct = 10 * time.Second

// lately wakes endpoints once ingress controllers have acted.
func lately(mapped handler.MapFunc) handler.EventHandler { return after(controllersAct, mapped) }

// gathered is how long a gateway waits for more changes of its endpoints: a thousand of them that are applied at once are some writes.
const gathered = 100 * time.Millisecond

// soon wakes gateways once more changes may have come.
func soon(mapped handler.MapFunc) handler.EventHandler { return after(gathered, mapped) }

// after wakes after some time.
func after(wait time.Duration, mapped handler.MapFunc) handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	wake := func(ctx context.Context, q queue, objects ...client.Object) {
		for _, object := range objects {
			for _, request := range mapped(ctx, object) {
				q.AddAfter(request, wait)
			}
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { wake(ctx, q, e.Object) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) { wake(ctx, q, e.ObjectOld, e.ObjectNew) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { wake(ctx, q, e.Object) },
	}
}

// sharingRoute maps somebody's Ingress to the endpoints of its hosts: whether they are reached may have changed.
func (r *Reconciler) sharingRoute(ctx context.Context, object client.Object) []reconcile.Request {
	if children.Is(object) {
		return nil
	}
	var requests []reconcile.Request
	for _, host := range kept.IngressHosts(object.(*networkingv1.Ingress)) {
		requests = append(requests, r.requests(ctx, client.MatchingFields{world.IndexHost: host})...)
	}
	return requests
}

// besideIngress maps somebody's Ingress to the endpoints whose backends it leads to.
func (r *Reconciler) besideIngress(ctx context.Context, object client.Object) []reconcile.Request {
	return r.usingAny(ctx, object, kept.IngressServices(object.(*networkingv1.Ingress)))
}

// besideHTTPRoute maps somebody's HTTPRoute to the endpoints whose backends it leads to.
func (r *Reconciler) besideHTTPRoute(ctx context.Context, route *gatewayapi.HTTPRoute) []reconcile.Request {
	return r.usingAny(ctx, route, kept.RouteServices(route))
}

func (r *Reconciler) usingAny(ctx context.Context, route client.Object, services []types.NamespacedName) []reconcile.Request {
	if children.Is(route) {
		return nil // it leads to a sidecar, and is watched as a child
	}
	var requests []reconcile.Request
	for _, service := range services {
		requests = append(requests, r.requests(ctx, client.MatchingFields{indexService: service.String()})...)
	}
	if _, more := kept.Note(route, kept.NoteLeadsTo); more {
		requests = append(requests, r.requests(ctx, client.InNamespace(route.GetNamespace()))...)
	}
	return requests
}

// referring maps an object to the endpoints of its namespace that name it.
func (r *Reconciler) referring(index string) handler.MapFunc {
	return func(ctx context.Context, object client.Object) []reconcile.Request {
		return r.requests(ctx, client.InNamespace(object.GetNamespace()), client.MatchingFields{index: object.GetName()})
	}
}

// all maps to every endpoint: classes seldom change, and each change may concern any of them.
func (r *Reconciler) all(ctx context.Context, _ client.Object) []reconcile.Request {
	return r.requests(ctx)
}

func (r *Reconciler) requests(ctx context.Context, options ...client.ListOption) []reconcile.Request {
	var endpoints v1alpha1.WeChatEndpointList
	if err := r.List(ctx, &endpoints, append(options, client.UnsafeDisableDeepCopy)...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "listing the endpoints to wake")
		return nil
	}
	requests := make([]reconcile.Request, 0, len(endpoints.Items))
	for i := range endpoints.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&endpoints.Items[i])})
	}
	return requests
}

// belongsElsewhere reports whether an object was made another endpoint's, or nobody's.
func belongsElsewhere(before, after client.Object) bool {
	return !maps.Equal(before.GetLabels(), after.GetLabels()) || !equality.Semantic.DeepEqual(before.GetOwnerReferences(), after.GetOwnerReferences())
}

// ownerOfPod maps a sidecar pod to its endpoint or gateway, by the label that the Deployment gave it.
func ownerOfPod(label string) handler.MapFunc {
	return func(_ context.Context, object client.Object) []reconcile.Request {
		name := object.GetLabels()[label]
		if name == "" {
			return nil
		}
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: name}}}
	}
}
