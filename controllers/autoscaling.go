// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// letGoOfReplicas hands the number of pods over to a HorizontalPodAutoscaler, where the endpoint has one. A field whose only
// owner stops applying it falls back to its default, which is one pod. So before the operator's next apply, which does not
// hold the number, another manager applies it as it is: https://kubernetes.io/docs/reference/using-api/server-side-apply/
// (transferring ownership). The autoscaler leaves a Deployment alone that was scaled to nothing, so that this is mended too.
func (r *Reconciler) letGoOfReplicas(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, live client.Object) error {
	deployment, ok := live.(*appsv1.Deployment)
	if !ok || endpoint.Spec.Sidecar.Autoscaling == nil {
		return nil
	}
	if _, ours := note(live, noteReplicas); !ours && sizeOf(deployment) > 0 {
		return nil
	}
	handover, err := toUnstructured(render.MakeReplicas(endpoint, max(sizeOf(deployment), render.MinReplicas(endpoint.Spec.Sidecar.Autoscaling))))
	if err != nil {
		return err
	}
	handover.SetResourceVersion(deployment.ResourceVersion) // what was scaled meanwhile must not be set back
	return r.applyAs(ctx, render.HandoverManager, handover)
}

// sized returns a Deployment that the cache does not know with its number of pods, which is not rendered for an endpoint
// that autoscales: the one that it has, if somebody took the label away by which the cache sees it, or where to begin. The
// next reconcile lets go of it.
func (r *Reconciler) sized(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, wanted *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if wanted.GetKind() != "Deployment" || endpoint.Spec.Sidecar.Autoscaling == nil {
		return wanted, nil
	}
	size := render.Replicas(endpoint)
	var live appsv1.Deployment
	err := r.Live.Get(ctx, client.ObjectKeyFromObject(wanted), &live)
	switch {
	case err == nil:
		size = max(sizeOf(&live), render.MinReplicas(endpoint.Spec.Sidecar.Autoscaling))
	case !apierrors.IsNotFound(err):
		return nil, fmt.Errorf("reading Deployment %s: %w", wanted.GetName(), err)
	}
	sized := wanted.DeepCopy()
	if err := unstructured.SetNestedField(sized.Object, int64(size), "spec", "replicas"); err != nil {
		return nil, fmt.Errorf("writing the number of pods: %w", err)
	}
	return sized, nil
}

// appliedChanged ignores what a HorizontalPodAutoscaler says of itself several times a minute. The kind counts no generations.
var appliedChanged = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	before, _ := note(e.ObjectOld, noteApplied)
	after, _ := note(e.ObjectNew, noteApplied)
	return before != after || belongsElsewhere(e.ObjectOld, e.ObjectNew)
}}

// sizeOf is the number of pods that a Deployment was scaled to.
func sizeOf(deployment *appsv1.Deployment) int32 {
	if deployment.Spec.Replicas == nil {
		return 1 // the API server's default
	}
	return *deployment.Spec.Replicas
}
