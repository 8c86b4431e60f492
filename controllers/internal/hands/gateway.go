// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package hands

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/children"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/plan"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/pods"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/rollout"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
)

// DoGateway writes what is planned for a gateway: all documents that are taken, and then the rest up to the first object that is not.
func (h *Hands) DoGateway(ctx context.Context, s *snapshot.Gateway, p *plan.GatewayPlan) plan.Done {
	member := rollout.OfGateway(s.Gateway)
	done := plan.Done{Generation: p.Batch.Generation, Err: p.Err}
	if p.SlotShown {
		h.slots.forget(member.Key)
	}
	if p.Hold != nil && done.Err == nil {
		done.Err = h.hold(ctx, s.Gateway, *p.Hold)
	}
	if done.Err == nil {
		err := h.writeGateway(ctx, s, p, &done)
		done.Whole = err == nil && p.Accepted == nil && !s.Gateway.Spec.Paused
		h.note(member.Key, err, s.Now, &done)
	}
	if done.Err != nil || done.Behind > 0 {
		return done
	}
	if !s.Gateway.Spec.Paused {
		done.Late = h.wake(ctx, pods.Asleep(p.Fleet, p.Batch.Generation), p.Batch.Generation, s.Now)
	}
	if !done.Whole {
		h.slots.forget(member.Key)
	} else if p.Choice.Seek {
		var err error
		done.Answer, err = h.slots.take(ctx, h, h.Options.Rollout, member, s.Now)
		done.Late = errors.Join(done.Late, err)
	}
	return done
}

// writeGateway writes all documents first: where one Secret is not taken, the others reach the pods all the same.
func (h *Hands) writeGateway(ctx context.Context, s *snapshot.Gateway, p *plan.GatewayPlan, done *plan.Done) error {
	var notTaken error
	for _, w := range p.Batch.Writes {
		document := w.Object.GetKind() == children.Secret
		if notTaken != nil && !document {
			return notTaken
		}
		done.ReachedPods = done.ReachedPods || w.Object.GetKind() == children.Deployment
		if _, err := h.write(ctx, s.Fleet.Fleet, w); err != nil && !document {
			return err
		} else if err != nil {
			notTaken = cmp.Or(notTaken, err)
		}
	}
	if notTaken != nil {
		return notTaken
	}
	return h.deleteAll(ctx, s.Namespace, p.Batch.Prune)
}

// makeGateway makes a gateway that asks for nothing. Where there is one that the cache does not know yet, it stays as it is.
func (h *Hands) makeGateway(ctx context.Context, namespace, name string, done *plan.Done) {
	wanted := &unstructured.Unstructured{}
	wanted.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(render.KindGateway))
	wanted.SetNamespace(namespace)
	wanted.SetName(name)
	wanted.SetResourceVersion("1") // as create does
	err, rejection := h.apply(ctx, wanted), (*plan.Rejection)(nil)
	switch {
	case apierrors.IsConflict(err):
	case !errors.As(err, &rejection):
		done.Err = err
	case done.Rejection == nil:
		done.Rejection = rejection
	}
}

// LetGo lets a gateway go that no endpoint uses. Its objects go with it.
func (h *Hands) LetGo(ctx context.Context, s *snapshot.Gateway, p *plan.GatewayPlan) error {
	if p.Hold == nil {
		return nil
	}
	return h.hold(ctx, s.Gateway, *p.Hold)
}

// hold keeps that very gateway from going, or lets it go. Finalizers of others stay as they are.
func (h *Hands) hold(ctx context.Context, gateway *v1alpha1.WeChatGateway, hold bool) error {
	wanted := &unstructured.Unstructured{}
	wanted.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(render.KindGateway))
	wanted.SetNamespace(gateway.Namespace)
	wanted.SetName(gateway.Name)
	wanted.SetUID(gateway.UID)
	if hold {
		wanted.SetFinalizers([]string{v1alpha1.FinalizerInUse})
	}
	err := h.Apply(ctx, client.ApplyConfigurationFromUnstructured(wanted), client.FieldOwner(render.FieldManager), client.ForceOwnership)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing the finalizer %s: %w", v1alpha1.FinalizerInUse, err)
	}
	return nil
}
