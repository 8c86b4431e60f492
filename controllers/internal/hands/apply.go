// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package hands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/children"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/plan"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/pods"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

// takenError stops a batch: somebody else's object has the name of a child.
type takenError struct{ problem *verdict.Problem }

func (e *takenError) Error() string { return e.problem.Message }

// write writes one object if it differs, and returns which event tells of it, or "" if nothing was written.
func (h *Hands) write(ctx context.Context, owner render.Fleet, w plan.Write) (string, error) {
	if w.Taken != nil {
		return "", &takenError{w.Taken}
	}
	if w.Live == nil {
		object, err := h.sized(ctx, owner, w.Object)
		if err != nil {
			return "", err
		}
		return v1alpha1.ReasonChildRecreated, h.create(ctx, owner, object)
	}
	if w.Handover != nil {
		if err := h.applyAs(ctx, render.HandoverManager, w.Handover); err != nil {
			return "", err
		}
	}
	switch {
	case w.Same:
		return "", nil
	case w.KeepTemplate:
		return v1alpha1.ReasonChildRestored, h.updateAroundTemplate(ctx, owner, w.Object)
	}
	return v1alpha1.ReasonChildRestored, h.update(ctx, w.Object, w.Live.UID, w.Live.ResourceVersion)
}

// sized returns a Deployment that the cache does not know with its number of pods, which is not rendered for an owner
// that autoscales: the one that it has, if somebody took the label away by which the cache sees it, or where to begin. The
// next reconcile lets go of it.
func (h *Hands) sized(ctx context.Context, owner render.Fleet, wanted *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if wanted.GetKind() != children.Deployment || owner.Sidecar.Autoscaling == nil {
		return wanted, nil
	}
	size := render.Replicas(owner.Sidecar)
	var live appsv1.Deployment
	err := h.Live.Get(ctx, client.ObjectKeyFromObject(wanted), &live)
	switch {
	case err == nil:
		size = max(pods.Size(&live), render.MinReplicas(owner.Sidecar.Autoscaling))
	case !apierrors.IsNotFound(err):
		return nil, fmt.Errorf("reading Deployment %s: %w", wanted.GetName(), err)
	}
	sized := wanted.DeepCopy()
	if err := unstructured.SetNestedField(sized.Object, int64(size), "spec", "replicas"); err != nil {
		return nil, fmt.Errorf("writing the number of pods: %w", err)
	}
	return sized, nil
}

// updateAroundTemplate writes a Deployment but for its pods' template, which stays as it was applied last.
func (h *Hands) updateAroundTemplate(ctx context.Context, owner render.Fleet, wanted *unstructured.Unstructured) error {
	var live appsv1.Deployment // with the template, which the cache does not keep
	if err := h.Live.Get(ctx, client.ObjectKeyFromObject(wanted), &live); err != nil {
		return fmt.Errorf("reading Deployment %s: %w", wanted.GetName(), err)
	}
	if !children.Owns(owner, &live) {
		return &takenError{plan.Taken(owner, wanted.GetKind(), wanted.GetName())}
	}
	applied, err := children.AppliedTo(&live)
	if err != nil {
		return err
	}
	keepTemplate(wanted, applied)
	wanted.SetResourceVersion(live.ResourceVersion) // of an older Deployment the template is older too
	return h.update(ctx, wanted, live.UID, live.ResourceVersion)
}

// keepTemplate leaves the pod template as it was applied last; all other fields follow the spec.
func keepTemplate(wanted, applied *unstructured.Unstructured) {
	wanted.SetAnnotations(applied.GetAnnotations())
	if template, found, err := unstructured.NestedFieldCopy(applied.Object, "spec", "template"); err == nil && found {
		wanted.Object["spec"].(map[string]any)["template"] = template
	}
}

// create applies an object that the cache does not know. The cache holds only labelled objects of most kinds, and shows no
// foreign object of that name. A resource version that no object can have makes the API server refuse
// the write if there is one, in the same request that would have made it.
func (h *Hands) create(ctx context.Context, owner render.Fleet, wanted *unstructured.Unstructured) error {
	fresh := wanted.DeepCopy()
	fresh.SetResourceVersion("1")
	conflict := h.apply(ctx, fresh)
	if !apierrors.IsConflict(conflict) {
		return conflict
	}
	if children.Named(wanted.GetKind()).Whole {
		return notYetCached(wanted, conflict)
	}
	var live metav1.PartialObjectMetadata
	live.SetGroupVersionKind(wanted.GroupVersionKind())
	if err := h.Live.Get(ctx, client.ObjectKeyFromObject(wanted), &live); err != nil {
		return fmt.Errorf("reading %s %s: %w", wanted.GetKind(), wanted.GetName(), err)
	}
	if !children.Owns(owner, &live) {
		return &takenError{plan.Taken(owner, wanted.GetKind(), wanted.GetName())}
	}
	if labels.SelectorFromSet(wanted.GetLabels()).Matches(labels.Set(live.Labels)) {
		return notYetCached(wanted, conflict)
	}
	return h.update(ctx, wanted, live.UID, live.ResourceVersion) // ours, but somebody took a label away by which it is seen
}

// notYetCached is tried again: what was rendered may rest on the object's absence.
func notYetCached(wanted *unstructured.Unstructured, conflict error) error {
	return fmt.Errorf("%s %s is not in the cache yet: %w", wanted.GetKind(), wanted.GetName(), conflict)
}

// update applies to that very object and no other of its name. A Secret is only written over the version that was
// read: the credentials' history is made from it, and one that the cache had not seen yet would be lost.
func (h *Hands) update(ctx context.Context, wanted *unstructured.Unstructured, uid types.UID, version string) error {
	exact := wanted.DeepCopy()
	exact.SetUID(uid)
	if wanted.GetKind() == "Secret" {
		exact.SetResourceVersion(version)
	}
	err := h.apply(ctx, exact)
	if apierrors.IsInvalid(err) && h.overwrite(ctx, wanted, uid) == nil {
		return h.apply(ctx, exact)
	}
	return err
}

// overwrite replaces the lists that the operator applies, with what others put in them: an entry of theirs may be what makes
// the API server refuse ours, such as a port of another number with the same name.
func (h *Hands) overwrite(ctx context.Context, wanted *unstructured.Unstructured, uid types.UID) error {
	spec, there := wanted.Object["spec"]
	if !there {
		return errors.New("there is nothing to overwrite")
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": uid}, "spec": spec})
	if err != nil {
		return fmt.Errorf("making the patch: %w", err)
	}
	target := &unstructured.Unstructured{}
	target.SetGroupVersionKind(wanted.GroupVersionKind())
	target.SetNamespace(wanted.GetNamespace())
	target.SetName(wanted.GetName())
	return h.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(render.FieldManager))
}

func (h *Hands) apply(ctx context.Context, object *unstructured.Unstructured) error {
	return h.applyAs(ctx, render.FieldManager, object)
}

func (h *Hands) applyAs(ctx context.Context, manager client.FieldOwner, object *unstructured.Unstructured) error {
	err := h.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), manager, client.ForceOwnership)
	ending := apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) // which is Forbidden too
	if !ending && (apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err)) {
		return &plan.Rejection{Kind: object.GetKind(), Err: err}
	}
	if err != nil {
		return fmt.Errorf("applying %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return nil
}

// delete deletes that very object, and no other of its name.
func (h *Hands) delete(ctx context.Context, namespace string, child snapshot.Child) error {
	object := children.Named(child.Kind).Empty()
	object.SetNamespace(namespace)
	object.SetName(child.Name)
	err := h.Delete(ctx, object, client.Preconditions{UID: &child.UID})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting %s %s: %w", child.Kind, child.Name, err)
	}
	return nil
}
