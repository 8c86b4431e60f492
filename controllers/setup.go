// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/kept"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// What the operator may do: nothing that the end-to-end tests do not see it do. Applying an object takes patch, and create
// where there is none yet. Reading goes through the cache, by list and watch; get is for what the cache does not hold. What
// an endpoint may no longer ask for is deleted; the garbage collector deletes the other children. What the operator may do to
// children, and the rights that an API server asks for without a request of their own, stand beside their table (internal/children).
//
// +kubebuilder:rbac:groups=wechatendpoint.io,resources=wechatendpoints,verbs=list;watch
// +kubebuilder:rbac:groups=wechatendpoint.io,resources=wechatgateways,verbs=list;watch;create;patch
// +kubebuilder:rbac:groups=wechatendpoint.io,resources=wechatendpoints/status;wechatgateways/status,verbs=patch
// +kubebuilder:rbac:groups=wechatendpoint.io,resources=wechatendpoints/finalizers;wechatgateways/finalizers,verbs=update
// +kubebuilder:rbac:groups=apps,resources=replicasets,verbs=list;watch
// +kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,verbs=list;watch
// +kubebuilder:rbac:groups=networking.k8s.io,resources=ingressclasses,verbs=list;watch
// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=gateways;referencegrants,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=pods/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
//
// To ask who reads the metrics (cmd/operator/internal/guard):
//
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

// reconcileTimeout ends a reconcile whose request to the API server hangs; the endpoint is tried again. Applying all
// children takes some hundred milliseconds.
const reconcileTimeout = 30 * time.Second

// Options are the choices of an installation.
type Options = installation.Options

// Hosts say which namespaces may use which hosts.
type Hosts = installation.Hosts

// Rollout says how changes reach the endpoints.
type Rollout = installation.Rollout

// ReadOptions reads the options from a file. The namespace is the operator's own, if it knows it.
func ReadOptions(file, namespace string) (Options, error) {
	return installation.ReadOptions(file, namespace)
}

// ParseOptions reads the options from YAML.
func ParseOptions(text []byte, namespace string) (Options, error) {
	return installation.ParseOptions(text, namespace)
}

// ParseNamespaces reads a list of namespaces, separated by commas. An empty text is nil: the whole cluster.
func ParseNamespaces(text string) ([]string, error) { return installation.ParseNamespaces(text) }

// CacheOptions keep the cache small. The namespaces of the options limit it to these; without any it is for the whole cluster.
func CacheOptions(options Options) cache.Options { return kept.CacheOptions(options) }

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

// Setup adds the reconciler to a manager whose cache was made with CacheOptions for the same options.
func Setup(ctx context.Context, manager ctrl.Manager, options Options) error {
	r := &Reconciler{
		Client:  manager.GetClient(),
		Live:    manager.GetAPIReader(),
		Events:  manager.GetEventRecorder(render.FieldManager),
		Probe:   probe.New(render.NumberOps, options.LoadBalancerNetworks...),
		Options: options,
	}
	for _, metric := range Collectors(manager.GetCache()) {
		if err := metrics.Registry.Register(metric); err != nil {
			return fmt.Errorf("registering a metric: %w", err)
		}
	}
	return r.SetupWithManager(ctx, manager)
}

// leaving is when a gateway is to be deleted, or may go.
var leaving = predicate.Funcs{
	CreateFunc:  func(event.CreateEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetDeletionTimestamp().IsZero() != e.ObjectNew.GetDeletionTimestamp().IsZero()
	},
}

// SetupWithManager adds the indexes and watches.
func (r *Reconciler) SetupWithManager(ctx context.Context, manager ctrl.Manager) error {
	if err := r.index(ctx, manager); err != nil {
		return err
	}
	blueprint := ctrl.NewControllerManagedBy(manager).
		For(&v1alpha1.WeChatEndpoint{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: max(1, r.Options.Concurrency),
			ReconciliationTimeout:   reconcileTimeout,
			UsePriorityQueue:        new(true), // changes before what is looked at again, and before the list at the start
		})
	r.watch(blueprint)
	built, err := blueprint.Build(r)
	if err != nil {
		return fmt.Errorf("building the controller: %w", err)
	}
	gateways := ctrl.NewControllerManagedBy(manager).
		For(&v1alpha1.WeChatGateway{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, leaving))).
		WithOptions(controller.Options{MaxConcurrentReconciles: max(1, r.Options.Concurrency), ReconciliationTimeout: reconcileTimeout, UsePriorityQueue: new(true)})
	r.watchForGateways(gateways)
	if err := gateways.Complete(reconcile.Func(r.ReconcileGateway)); err != nil {
		return fmt.Errorf("building the controller of the gateways: %w", err)
	}
	r.gateway.Watch = func() error { return r.watchGatewayAPI(built, manager.GetCache()) }
	return nil
}
