// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package children is the table of child kinds: an endpoint or a gateway may have one object of each, and several Secrets and Services.
package children

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apps "k8s.io/client-go/applyconfigurations/apps/v1"
	autoscaling "k8s.io/client-go/applyconfigurations/autoscaling/v2"
	core "k8s.io/client-go/applyconfigurations/core/v1"
	networking "k8s.io/client-go/applyconfigurations/networking/v1"
	policy "k8s.io/client-go/applyconfigurations/policy/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gateway "sigs.k8s.io/gateway-api/applyconfiguration/apis/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// Kinds of children that are named elsewhere.
const (
	Secret     = "Secret"
	Deployment = "Deployment"
	Ingress    = "Ingress"
	HTTPRoute  = "HTTPRoute"
	Autoscaler = "HorizontalPodAutoscaler"
)

// Kind is a kind of child.
type Kind struct {
	Name string
	// Empty makes an object without content.
	Empty func() client.Object
	// Applied returns the fields of a live object that the operator has applied.
	Applied func(client.Object) (any, error)
	// Route says that an object of the kind publishes a URL. An endpoint has one such object; while its exposure changes, two.
	Route bool
	// Peers says that the pods of a fleet find each other by a second object of the kind.
	Peers bool
	// Whole says that the cache holds every object of the kind, foreign ones too.
	Whole bool
}

// What the operator may do to them; see also controllers/setup.go. To give an orphan its owner back takes the right to delete it where the API server
// enforces OwnerReferencesPermissionEnforcement, as OpenShift's does. The admission policy says what is deleted.
//
// +kubebuilder:rbac:groups="",resources=secrets;serviceaccounts,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=services,verbs=list;watch;create;patch;delete
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=networking.k8s.io,resources=ingresses,verbs=list;watch;create;patch;delete
// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=httproutes,verbs=list;watch;create;patch;delete

// Kinds are all that the operator writes. A new one needs a line here, the right to it above, and what is rendered.
var Kinds = []Kind{
	kind("ServiceAccount", func() *corev1.ServiceAccount { return &corev1.ServiceAccount{} }, core.ExtractServiceAccount),
	kind(Secret, func() *corev1.Secret { return &corev1.Secret{} }, core.ExtractSecret),
	kind(Deployment, func() *appsv1.Deployment { return &appsv1.Deployment{} }, apps.ExtractDeployment),
	kind("PodDisruptionBudget", func() *policyv1.PodDisruptionBudget { return &policyv1.PodDisruptionBudget{} }, policy.ExtractPodDisruptionBudget),
	kind(Autoscaler, func() *autoscalingv2.HorizontalPodAutoscaler { return &autoscalingv2.HorizontalPodAutoscaler{} }, autoscaling.ExtractHorizontalPodAutoscaler),
	kind("Service", func() *corev1.Service { return &corev1.Service{} }, core.ExtractService).whole().peers(),
	kind("NetworkPolicy", func() *networkingv1.NetworkPolicy { return &networkingv1.NetworkPolicy{} }, networking.ExtractNetworkPolicy),
	kind(Ingress, func() *networkingv1.Ingress { return &networkingv1.Ingress{} }, networking.ExtractIngress).whole().route(),
	kind(HTTPRoute, func() *gatewayapi.HTTPRoute { return &gatewayapi.HTTPRoute{} }, extractHTTPRoute).whole().route(),
}

func kind[O client.Object, A any](name string, empty func() O, extract func(O, string) (A, error)) Kind {
	return Kind{
		Name:    name,
		Empty:   func() client.Object { return empty() },
		Applied: func(o client.Object) (any, error) { return extract(o.(O), render.FieldManager) },
	}
}

func (k Kind) whole() Kind { k.Whole = true; return k }
func (k Kind) route() Kind { k.Route = true; return k }
func (k Kind) peers() Kind { k.Peers = true; return k }

// Names are those of the objects of the kind that the fleet's owner may have, but for Secrets.
func (k Kind) Names(fleet string) []string {
	if k.Peers {
		return []string{fleet, render.PeersName(fleet)}
	}
	return []string{fleet}
}

// Named returns the kind with the name. It must be one of Kinds.
func Named(name string) Kind {
	for _, k := range Kinds {
		if k.Name == name {
			return k
		}
	}
	panic(name + " is no kind of a child")
}

// extractHTTPRoute reads the whole route: what was applied is told by all of its fields. One that a Go type cannot hold was not
// applied by the operator: it differs from what is wanted and is applied again.
func extractHTTPRoute(live *gatewayapi.HTTPRoute, manager string) (*gateway.HTTPRouteApplyConfiguration, error) {
	whole := &gatewayv1.HTTPRoute{ObjectMeta: live.ObjectMeta}
	if err := json.Unmarshal(live.Spec.Raw, &whole.Spec); err != nil {
		return gateway.HTTPRoute(live.Name, live.Namespace), nil //nolint:nilerr // see above
	}
	return gateway.ExtractHTTPRoute(whole, manager)
}

// AppliedTo returns the fields of a whole object that the operator has applied. They are found by a library that panics at what
// it cannot read: one object of a tenant must not end the operator.
func AppliedTo(whole client.Object) (applied *unstructured.Unstructured, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("comparing %s: %v", whole.GetName(), cause)
		}
	}()
	for _, k := range Kinds {
		if reflect.TypeOf(k.Empty()) != reflect.TypeOf(whole) {
			continue
		}
		fields, err := k.Applied(whole)
		if err != nil {
			return nil, fmt.Errorf("comparing %s %s: %w", k.Name, whole.GetName(), err)
		}
		return render.ToUnstructured(fields)
	}
	return nil, fmt.Errorf("comparing %s: %T is no child", whole.GetName(), whole)
}

// NoteApplied is the note on an object of the cache that the operator has applied it. No stored object has it, since a space is no part of a key.
const NoteApplied = "applied digest"

// Is reports whether an object has the owner and the name of a child. Of these there are a few for an endpoint or a gateway: the
// garbage collector deletes those whose owner is made up, but only if it knows the kind and the version. An orphan is one too.
func Is(object metav1.Object) bool {
	name := object.GetLabels()[v1alpha1.LabelEndpoint]
	gateway := object.GetLabels()[v1alpha1.LabelGateway]
	if owner := metav1.GetControllerOfNoCopy(object); owner != nil {
		switch {
		case owner.APIVersion != v1alpha1.GroupVersion.String():
			return false
		case owner.Kind == render.KindEndpoint:
			name, gateway = owner.Name, ""
		case owner.Kind == render.KindGateway:
			name, gateway = "", owner.Name
		default:
			return false
		}
	} else if !isOrphan(object) {
		return false
	}
	if gateway != "" {
		return object.GetName() == render.GatewayName(gateway) || isPeers(object, render.GatewayName(gateway)) || IsShard(gateway, object.GetName())
	}
	endpoint := &v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Name: name}}
	return slices.Contains([]string{render.Name(endpoint), render.GatewayKeyName(endpoint), render.CopyName(endpoint)}, object.GetName()) || isPeers(object, render.Name(endpoint))
}

// isPeers reports whether an object is the Service by which the pods of a fleet find each other.
func isPeers(object metav1.Object, fleet string) bool {
	_, service := object.(*corev1.Service)
	return service && object.GetName() == render.PeersName(fleet)
}

// IsShard reports whether a Secret of the gateway has the name of one of its shards.
func IsShard(gateway, name string) bool {
	for number := range render.Shards {
		if name == render.ShardName(gateway, number) {
			return true
		}
	}
	return false
}

// Owns reports whether an object with the name of a child is the owner's: it controls it, or the object is an orphan.
func Owns(owner render.Fleet, object metav1.Object) bool {
	if controller := metav1.GetControllerOfNoCopy(object); controller != nil {
		return controller.UID == owner.UID
	}
	label := v1alpha1.LabelEndpoint
	if owner.Kind == render.KindGateway {
		label = v1alpha1.LabelGateway
	}
	return isOrphan(object) && object.GetLabels()[label] == owner.Owner
}

// isOrphan reports whether the operator has made the object, and nobody controls it any more: kubectl delete --cascade=orphan and some tools that
// back up and restore take owners away. Only the API server writes down who applied an object.
func isOrphan(object metav1.Object) bool {
	_, noted := object.GetAnnotations()[NoteApplied]
	applied := func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Manager == render.FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == ""
	}
	return metav1.GetControllerOfNoCopy(object) == nil && object.GetLabels()[render.LabelManagedBy] == render.ManagedBy &&
		(noted || slices.ContainsFunc(object.GetManagedFields(), applied))
}
