// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/claims"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// What the operator may do: nothing that the end-to-end tests do not see it do. Applying an object takes patch, and create
// where there is none yet. Reading goes through the cache, by list and watch; get is for what the cache does not hold. What
// an endpoint may no longer ask for is deleted; the garbage collector deletes the other children.
//
// +kubebuilder:rbac:groups=wechatendpoint.io,resources=wechatendpoints,verbs=list;watch
// +kubebuilder:rbac:groups=wechatendpoint.io,resources=wechatendpoints/status,verbs=patch
// +kubebuilder:rbac:groups=wechatendpoint.io,resources=wechatendpoints/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=secrets;serviceaccounts,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=services,verbs=list;watch;create;patch
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=apps,resources=replicasets,verbs=list;watch
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=networking.k8s.io,resources=ingresses,verbs=list;watch;create;patch;delete
// +kubebuilder:rbac:groups=networking.k8s.io,resources=ingressclasses,verbs=list;watch
// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=httproutes,verbs=list;watch;create;patch;delete
// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=gateways;referencegrants,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=pods/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
//
// To ask who reads the metrics (cmd/operator/internal/guard):
//
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

// Indexes of the cache, by the field whose value they look up.
const (
	indexHost    = "spec.url.host" // and those that are published
	indexSecret  = "spec.credentials.secretName"
	indexService = "spec.backend.service"
	indexGateway = "spec.url.httpRoute.parentRefs"
)

// reconcileTimeout ends a reconcile whose request to the API server hangs, so that the endpoint is tried again. Applying all
// children takes some hundred milliseconds.
const reconcileTimeout = 30 * time.Second

// Scheme knows every kind that the operator reads or writes.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("adding the kinds of Kubernetes: %w", err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("adding WeChatEndpoint: %w", err)
	}
	gatewayapi.AddToScheme(scheme)
	return scheme, nil
}

// Setup adds the reconciler to a manager whose cache was made with CacheOptions, for options.Namespaces.
func Setup(ctx context.Context, manager ctrl.Manager, options Options) error {
	r := &Reconciler{
		Client:  manager.GetClient(),
		Live:    manager.GetAPIReader(),
		Events:  manager.GetEventRecorder(render.FieldManager),
		Probe:   probe.New(render.NumberOps, options.LoadBalancerNetworks...),
		Options: options,
	}
	if err := metrics.Registry.Register(unreadableEndpoints{manager.GetCache()}); err != nil {
		return fmt.Errorf("registering a metric: %w", err)
	}
	return r.SetupWithManager(ctx, manager)
}

// SetupWithManager adds the indexes and watches.
func (r *Reconciler) SetupWithManager(ctx context.Context, manager ctrl.Manager) error {
	for field, values := range map[string]func(*v1alpha1.WeChatEndpoint) []string{
		indexHost:    claims.Hosts,
		indexSecret:  func(e *v1alpha1.WeChatEndpoint) []string { return []string{e.Spec.Credentials.SecretName} },
		indexService: serviceKeys,
		indexGateway: parentGateways,
	} {
		index := func(o client.Object) []string { return values(o.(*v1alpha1.WeChatEndpoint)) }
		if err := manager.GetFieldIndexer().IndexField(ctx, &v1alpha1.WeChatEndpoint{}, field, index); err != nil {
			return fmt.Errorf("indexing %s: %w", field, err)
		}
	}
	blueprint := ctrl.NewControllerManagedBy(manager).
		For(&v1alpha1.WeChatEndpoint{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&corev1.ServiceAccount{}).
		Owns(&corev1.Secret{}).
		Owns(&appsv1.Deployment{}).
		Owns(&policyv1.PodDisruptionBudget{}).
		Owns(&corev1.Service{}).
		Owns(&networkingv1.NetworkPolicy{}).
		Owns(&autoscalingv2.HorizontalPodAutoscaler{}, builder.WithPredicates(appliedChanged)).
		Owns(&networkingv1.Ingress{}).
		Watches(&v1alpha1.WeChatEndpoint{}, handler.EnqueueRequestsFromMapFunc(r.sharingHost), builder.WithPredicates(claimMoved)).
		Watches(&v1alpha1.WeChatEndpoint{}, handler.EnqueueRequestsFromMapFunc(r.nextInTurn), builder.WithPredicates(turnMoved)).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.referring(indexSecret))).
		Watches(&corev1.Service{}, handler.EnqueueRequestsFromMapFunc(r.usingService)).
		Watches(&networkingv1.Ingress{}, handler.EnqueueRequestsFromMapFunc(r.besideIngress), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(endpointOfPod), builder.WithPredicates(podChanged)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: max(1, r.Options.Concurrency),
			ReconciliationTimeout:   reconcileTimeout,
			UsePriorityQueue:        new(true), // changes before what is looked at again, and before the list at the start
		})
	if r.seesCluster() {
		blueprint = blueprint.Watches(&networkingv1.IngressClass{}, handler.EnqueueRequestsFromMapFunc(r.all))
	}
	built, err := blueprint.Build(r)
	if err != nil {
		return fmt.Errorf("building the controller: %w", err)
	}
	r.gateway.watch = func() error { return r.watchGatewayAPI(built, manager.GetCache()) }
	return nil
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

// endpointOfPod maps a sidecar pod to its endpoint, by the label that the Deployment gave it.
func endpointOfPod(_ context.Context, object client.Object) []reconcile.Request {
	name := object.GetLabels()[v1alpha1.LabelEndpoint]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: name}}}
}
