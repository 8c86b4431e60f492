// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
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
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/refs"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// childKind is a kind of object that an endpoint may have one of.
type childKind struct {
	empty func() client.Object
	// owned returns the fields of a live object that the operator has applied.
	owned func(client.Object) (any, error)
}

// childKinds are all kinds that the operator writes, by name.
var childKinds = map[string]childKind{
	"ServiceAccount":          kindOf(func() *corev1.ServiceAccount { return &corev1.ServiceAccount{} }, core.ExtractServiceAccount),
	"Secret":                  kindOf(func() *corev1.Secret { return &corev1.Secret{} }, core.ExtractSecret),
	"Deployment":              kindOf(func() *appsv1.Deployment { return &appsv1.Deployment{} }, apps.ExtractDeployment),
	"PodDisruptionBudget":     kindOf(func() *policyv1.PodDisruptionBudget { return &policyv1.PodDisruptionBudget{} }, policy.ExtractPodDisruptionBudget),
	"HorizontalPodAutoscaler": kindOf(func() *autoscalingv2.HorizontalPodAutoscaler { return &autoscalingv2.HorizontalPodAutoscaler{} }, autoscaling.ExtractHorizontalPodAutoscaler),
	"Service":                 kindOf(func() *corev1.Service { return &corev1.Service{} }, core.ExtractService),
	"NetworkPolicy":           kindOf(func() *networkingv1.NetworkPolicy { return &networkingv1.NetworkPolicy{} }, networking.ExtractNetworkPolicy),
	"Ingress":                 kindOf(func() *networkingv1.Ingress { return &networkingv1.Ingress{} }, networking.ExtractIngress),
	"HTTPRoute":               kindOf(func() *gatewayapi.HTTPRoute { return &gatewayapi.HTTPRoute{} }, extractHTTPRoute),
}

// routeKinds are those that publish a URL. An endpoint has one, and while its exposure changes two.
var routeKinds = []string{"Ingress", "HTTPRoute"}

// seenWhole are the kinds of which the cache holds every object, foreign ones too.
var seenWhole = []string{"Service", "Ingress", "HTTPRoute"}

func kindOf[O client.Object, A any](empty func() O, extract func(O, string) (A, error)) childKind {
	return childKind{
		empty: func() client.Object { return empty() },
		owned: func(o client.Object) (any, error) { return extract(o.(O), render.FieldManager) },
	}
}

// extractHTTPRoute reads the whole route: what was applied is told by all of its fields. One that a Go type cannot hold was not applied by us, so that
// the route differs from what is wanted and is applied again.
func extractHTTPRoute(live *gatewayapi.HTTPRoute, manager string) (*gateway.HTTPRouteApplyConfiguration, error) {
	whole := &gatewayv1.HTTPRoute{ObjectMeta: live.ObjectMeta}
	if err := json.Unmarshal(live.Spec.Raw, &whole.Spec); err != nil {
		return gateway.HTTPRoute(live.Name, live.Namespace), nil //nolint:nilerr // see above
	}
	return gateway.ExtractHTTPRoute(whole, manager)
}

// applyChildren writes what differs from what is rendered, deletes what is no longer rendered, and says in done which
// generation the pods should serve: until both files are written that of before.
func (r *Reconciler) applyChildren(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, input render.Input, live served, done *outcome) (err error) {
	if done.turn, err = r.takeTurn(ctx, endpoint, input); err != nil {
		return err
	}
	input.Image = done.turn.image
	objects, err := render.Make(input)
	if unservable := (*render.UnservableError)(nil); errors.As(err, &unservable) {
		return refs.Waitf(v1alpha1.ReasonSpecUnreadable, "what the spec asks for cannot be served: %v; what was served before is served on: correct it", unservable)
	}
	if err != nil {
		return err
	}
	settled := apimeta.IsStatusConditionTrue(endpoint.Status.Conditions, v1alpha1.ConditionReady) &&
		endpoint.Status.ObservedGeneration == endpoint.Generation && live.generation == objects.Generation
	rendered := make(map[string]bool, len(objects.Children))
	for _, child := range objects.Children {
		wanted, err := toUnstructured(child)
		if err != nil {
			return err
		}
		rendered[wanted.GetKind()] = true
		if known, err := r.knows(wanted.GetKind()); err != nil || !known {
			if err != nil {
				return err
			}
			continue // the status tells
		}
		done.reachedPods = done.reachedPods || wanted.GetKind() == "Deployment"
		written, err := r.applyChild(ctx, endpoint, wanted, done.turn)
		if err != nil {
			return err
		}
		if wanted.GetKind() == "Secret" && wanted.GetName() == render.Name(endpoint) { // the later one of the files
			done.generation, done.pairs = objects.Generation, input.Pairs
		}
		if slices.Contains(routeKinds, wanted.GetKind()) {
			done.route = v1alpha1.Exposure(wanted.GetKind())
		}
		if settled && written != "" {
			r.Events.Eventf(endpoint, nil, corev1.EventTypeNormal, written, "Apply",
				"%s %s was not as this endpoint asks for: applied again", wanted.GetKind(), wanted.GetName())
		}
	}
	return r.prune(ctx, endpoint, rendered)
}

// applyCredentials gives the pods the credentials that are accepted now, with the configuration that they serve: while the spec
// cannot be served, what leaked must still be revoked.
func (r *Reconciler) applyCredentials(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, input render.Input, done *outcome) error {
	generation, files, err := render.MakeFiles(input)
	if err != nil {
		return nil // credentials that do not fit what is served wait for the spec that they are for
	}
	for _, child := range files {
		wanted, err := toUnstructured(child)
		if err != nil {
			return err
		}
		if _, err := r.applyChild(ctx, endpoint, wanted, turn{}); err != nil {
			return err
		}
	}
	done.generation, done.pairs = generation, input.Pairs
	return nil
}

// applyChild writes one object if it differs, and returns which event tells of it, or "" if nothing was written.
func (r *Reconciler) applyChild(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, wanted *unstructured.Unstructured, turn turn) (string, error) {
	live := childKinds[wanted.GetKind()].empty()
	err := r.Get(ctx, client.ObjectKeyFromObject(wanted), live)
	if apierrors.IsNotFound(err) {
		if wanted, err = r.sized(ctx, endpoint, wanted); err != nil {
			return "", err
		}
		return v1alpha1.ReasonChildRecreated, r.createChild(ctx, endpoint, wanted)
	}
	if err != nil {
		return "", fmt.Errorf("reading %s %s: %w", wanted.GetKind(), wanted.GetName(), err)
	}
	if !metav1.IsControlledBy(live, endpoint) {
		return "", nameTaken(wanted)
	}
	live = keep(live) // as the cache does
	if err := r.letGoOfReplicas(ctx, endpoint, live); err != nil {
		return "", err
	}
	if turn.keep && wanted.GetKind() == "Deployment" {
		return r.applyAroundTemplate(ctx, endpoint, wanted, live)
	}
	if applied, _ := note(live, noteApplied); applied == digestOf(wanted) {
		return "", nil
	}
	return v1alpha1.ReasonChildRestored, r.updateChild(ctx, wanted, live)
}

// applyAroundTemplate writes a Deployment if it differs in something else than its pods' template, which stays as it was applied last.
func (r *Reconciler) applyAroundTemplate(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, wanted *unstructured.Unstructured, kept client.Object) (string, error) {
	if around, _ := note(kept, noteAround); around == digestOf(aroundTemplate(wanted)) {
		return "", nil
	}
	var live appsv1.Deployment // with the template, which the cache does not keep
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(wanted), &live); err != nil {
		return "", fmt.Errorf("reading Deployment %s: %w", wanted.GetName(), err)
	}
	if !metav1.IsControlledBy(&live, endpoint) {
		return "", nameTaken(wanted)
	}
	applied, err := appliedTo(&live)
	if err != nil {
		return "", err
	}
	keepTemplate(wanted, applied)
	wanted.SetResourceVersion(live.ResourceVersion) // of an older Deployment the template is older too
	return v1alpha1.ReasonChildRestored, r.updateChild(ctx, wanted, &live)
}

// keepTemplate leaves the pod template as it was applied last; all other fields follow the spec.
func keepTemplate(wanted, applied *unstructured.Unstructured) {
	wanted.SetAnnotations(applied.GetAnnotations())
	if template, found, err := unstructured.NestedFieldCopy(applied.Object, "spec", "template"); err == nil && found {
		wanted.Object["spec"].(map[string]any)["template"] = template
	}
}

// createChild applies an object that the cache does not know. Of most kinds the cache holds labelled objects only, so that a
// foreign object of that name would be invisible. A resource version that no object can have makes the API server refuse
// the write if there is one, in the same request that would have made it.
func (r *Reconciler) createChild(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, wanted *unstructured.Unstructured) error {
	create := wanted.DeepCopy()
	create.SetResourceVersion("1")
	err := r.apply(ctx, create)
	if !apierrors.IsConflict(err) {
		return err
	}
	if slices.Contains(seenWhole, wanted.GetKind()) {
		return notYetSeen(wanted)
	}
	var live metav1.PartialObjectMetadata
	live.SetGroupVersionKind(wanted.GroupVersionKind())
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(wanted), &live); err != nil {
		return fmt.Errorf("reading %s %s: %w", wanted.GetKind(), wanted.GetName(), err)
	}
	if !metav1.IsControlledBy(&live, endpoint) {
		return nameTaken(wanted)
	}
	if labels.SelectorFromSet(wanted.GetLabels()).Matches(labels.Set(live.Labels)) {
		return notYetSeen(wanted)
	}
	return r.updateChild(ctx, wanted, &live) // ours, but somebody took a label away by which it is seen
}

// notYetSeen is tried again: what was rendered may rest on the object's absence.
func notYetSeen(wanted *unstructured.Unstructured) error {
	return fmt.Errorf("%s %s is not in the cache yet", wanted.GetKind(), wanted.GetName())
}

// updateChild applies to that very object and no other of its name. A Secret is only written over the version that was
// read: the credentials' history is made from it, and one that the cache had not seen yet would be lost.
func (r *Reconciler) updateChild(ctx context.Context, wanted *unstructured.Unstructured, live client.Object) error {
	update := wanted.DeepCopy()
	update.SetUID(live.GetUID())
	if wanted.GetKind() == "Secret" {
		update.SetResourceVersion(live.GetResourceVersion())
	}
	err := r.apply(ctx, update)
	if apierrors.IsInvalid(err) && r.overwrite(ctx, wanted, live) == nil {
		return r.apply(ctx, update)
	}
	return err
}

// overwrite replaces the lists that the operator applies, with what others put in them: an entry of theirs may be what makes
// the API server refuse ours, such as a port of another number with the same name.
func (r *Reconciler) overwrite(ctx context.Context, wanted *unstructured.Unstructured, live client.Object) error {
	spec, there := wanted.Object["spec"]
	if !there {
		return errors.New("there is nothing to overwrite")
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": live.GetUID()}, "spec": spec})
	if err != nil {
		return fmt.Errorf("making the patch: %w", err)
	}
	target := &unstructured.Unstructured{}
	target.SetGroupVersionKind(wanted.GroupVersionKind())
	target.SetNamespace(wanted.GetNamespace())
	target.SetName(wanted.GetName())
	return r.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(render.FieldManager))
}

func (r *Reconciler) apply(ctx context.Context, object *unstructured.Unstructured) error {
	return r.applyAs(ctx, render.FieldManager, object)
}

func (r *Reconciler) applyAs(ctx context.Context, manager client.FieldOwner, object *unstructured.Unstructured) error {
	err := r.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), manager, client.ForceOwnership)
	ending := apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) // which is Forbidden too
	if !ending && (apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err)) {
		return &refusedError{kind: object.GetKind(), err: err}
	}
	if err != nil {
		return fmt.Errorf("applying %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return nil
}

// refusedError is an object that the API server, a quota or an admission policy does not take. It is tried again, because
// no watch tells when a policy changes, and the status quotes it meanwhile.
type refusedError struct {
	kind string
	err  error
}

func (e *refusedError) Error() string {
	return "the API server refuses the " + e.kind + ": " + shortened(e.err.Error())
}
func (e *refusedError) Unwrap() error { return e.err }

// route is what to say of the route, if it is what was refused; otherwise nil.
func (e *refusedError) route() error {
	if e == nil || !slices.Contains(routeKinds, e.kind) {
		return nil
	}
	return refs.Waitf(v1alpha1.ReasonRouteNotAccepted, "%s; correct url, or ask the platform team", e)
}

// pods is what to say of the pods, if the route is not what was refused; otherwise nil.
func (e *refusedError) pods() error {
	if e == nil || slices.Contains(routeKinds, e.kind) {
		return nil
	}
	return refs.Waitf(v1alpha1.ReasonPodsNotCreated, "%s; correct what sidecar asks for, or ask the platform team", e)
}

// refusedAgain is when to try again what was refused, less and less often. Zero is never.
func refusedAgain(endpoint *v1alpha1.WeChatEndpoint, refused *refusedError) time.Duration {
	if refused == nil {
		return 0
	}
	name := v1alpha1.ConditionSidecarAvailable
	if refused.route() != nil {
		name = v1alpha1.ConditionRouteProgrammed
	}
	return growing(apimeta.FindStatusCondition(endpoint.Status.Conditions, name), askRarely)
}

// prune deletes the objects of this endpoint that it no longer asks for. A route that another replaces is left to
// retireRoute.
func (r *Reconciler) prune(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, rendered map[string]bool) error {
	replaced := slices.ContainsFunc(routeKinds, func(kind string) bool { return rendered[kind] })
	for kind := range childKinds {
		if rendered[kind] || replaced && slices.Contains(routeKinds, kind) {
			continue
		}
		live, err := r.ownedChild(ctx, endpoint, kind)
		if err != nil {
			return err
		}
		if live != nil {
			if err := r.deleteChild(ctx, kind, live); err != nil {
				return err
			}
		}
	}
	return nil
}

// knows reports whether the cluster has the kind.
func (r *Reconciler) knows(kind string) (bool, error) {
	if kind != "HTTPRoute" {
		return true, nil
	}
	return r.gateway.installed(r.RESTMapper())
}

// ownedChild returns the endpoint's object of the kind, or nil.
func (r *Reconciler) ownedChild(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, kind string) (client.Object, error) {
	if known, err := r.knows(kind); err != nil || !known {
		return nil, err
	}
	live := childKinds[kind].empty()
	err := r.Get(ctx, client.ObjectKey{Namespace: endpoint.Namespace, Name: render.Name(endpoint)}, live)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("reading %s %s: %w", kind, render.Name(endpoint), err)
	}
	if err != nil || !metav1.IsControlledBy(live, endpoint) || !live.GetDeletionTimestamp().IsZero() {
		return nil, nil
	}
	return live, nil
}

func (r *Reconciler) deleteChild(ctx context.Context, kind string, live client.Object) error {
	uid := live.GetUID()
	err := r.Delete(ctx, live, client.Preconditions{UID: &uid})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting %s %s: %w", kind, live.GetName(), err)
	}
	return nil
}

func nameTaken(wanted *unstructured.Unstructured) error {
	return refs.Waitf(v1alpha1.ReasonNameTaken,
		"%s %s exists and does not belong to this endpoint, so it is left alone: delete or rename it, or choose another name for the endpoint",
		wanted.GetKind(), wanted.GetName())
}

func toUnstructured(object any) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("converting an apply configuration: %w", err)
	}
	return &unstructured.Unstructured{Object: content}, nil
}
