// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package hands writes: the children of an endpoint or a gateway, its status, and what wakes the kubelets of its pods.
package hands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/plan"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/pods"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/rollout"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

// Hands write what was decided.
type Hands struct {
	client.Client
	// Live reads past the cache, before what was changed by somebody is written over.
	Live    client.Reader
	Events  events.EventRecorder
	Options *installation.Options
	*State
}

// State is what the operator's process keeps between two reconciles. The zero value is ready to use.
type State struct {
	slots  slots
	behind behind
}

// Forget is for an endpoint or a gateway that is gone.
func (s *State) Forget(owner rollout.Key) {
	s.slots.forget(owner)
	s.behind.forget(owner)
}

// Do writes what is planned: all that the spec asks for, or, where that cannot be served or is rejected, what goes on. It stops
// at the first object that is not taken, and says which.
func (h *Hands) Do(ctx context.Context, s *snapshot.Snapshot, p *plan.Plan) plan.Done {
	member := rollout.OfEndpoint(s.Endpoint)
	done := plan.Done{Generation: s.Live.Generation, Err: p.Err}
	if p.SlotShown {
		h.slots.forget(member.Key)
	}
	if done.Err == nil && p.Whole != nil {
		h.doWhole(ctx, s, p, &done)
	}
	if done.Err == nil && done.Behind == 0 && !done.Whole && p.GoesOn != nil {
		h.doGoesOn(ctx, s, p, &done)
	}
	if done.Err == nil && done.Behind == 0 && p.Gateway != "" {
		h.makeGateway(ctx, s.Endpoint.Namespace, p.Gateway, &done)
	}
	if done.Err != nil || done.Behind > 0 {
		return done
	}
	if done.Generation != "" && s.Endpoint.Spec.Gateway == nil { // a gateway wakes its own
		done.Late = h.wake(ctx, pods.Asleep(s.Fleet(), done.Generation), done.Generation, s.Now)
	}
	if done.LeavesRollout() {
		h.slots.forget(member.Key)
	} else if p.Choice.Seek {
		var err error
		done.Answer, err = h.slots.take(ctx, h, h.Options.Rollout, member, s.Now)
		done.Late = errors.Join(done.Late, err)
	}
	return done
}

// doWhole writes all that the spec asks for, deletes what it no longer asks for, and retires the route that another replaces.
func (h *Hands) doWhole(ctx context.Context, s *snapshot.Snapshot, p *plan.Plan, done *plan.Done) {
	err := h.writeAll(ctx, s, p.Whole, p, done)
	if err == nil {
		err = h.deleteAll(ctx, s.Endpoint.Namespace, p.Whole.Prune)
	}
	done.Whole = err == nil
	if err == nil {
		err = h.deleteAll(ctx, s.Endpoint.Namespace, p.Whole.Retire)
		done.Retired = err == nil && len(p.Whole.Retire) > 0
	}
	h.note(rollout.OfEndpoint(s.Endpoint).Key, err, s.Now, done)
}

// note says what an error of a write means.
func (h *Hands) note(owner rollout.Key, err error, now time.Time, done *plan.Done) {
	if done.Behind = h.behind.check(owner, err, now); done.Behind > 0 {
		return
	}
	if taken := (*takenError)(nil); errors.As(err, &taken) {
		done.Taken = taken.problem
	} else if err != nil && !errors.As(err, &done.Rejection) {
		done.Err = err
	}
}

// doGoesOn writes the live configuration with the credentials that are accepted now, and then what the pods need. Of two rejections the
// status tells the first.
func (h *Hands) doGoesOn(ctx context.Context, s *snapshot.Snapshot, p *plan.Plan, done *plan.Done) {
	err := h.writeAll(ctx, s, p.GoesOn, p, done)
	if done.Rejection == nil {
		done.Behind = h.behind.check(rollout.OfEndpoint(s.Endpoint).Key, err, s.Now)
	}
	rejection, taken := (*plan.Rejection)(nil), (*takenError)(nil)
	switch {
	case done.Behind > 0:
	case errors.As(err, &taken):
		done.Taken = verdict.First(done.Taken, taken.problem)
	case !errors.As(err, &rejection):
		done.Err = err
	case done.Rejection == nil:
		done.Rejection = rejection
	}
}

func (h *Hands) writeAll(ctx context.Context, s *snapshot.Snapshot, batch *plan.Batch, p *plan.Plan, done *plan.Done) error {
	owner := render.OwnFleet(s.Endpoint)
	for _, w := range batch.Writes {
		kind, name := w.Object.GetKind(), w.Object.GetName()
		done.ReachedPods = done.ReachedPods || kind == "Deployment" && batch == p.Whole
		event, err := h.write(ctx, owner, w)
		if err != nil {
			return err
		}
		if w.Entry {
			done.Generation, done.Pairs = batch.Generation, p.Pairs
		}
		if w.Route != "" {
			done.Route = w.Route
		}
		if batch.Restores && event != "" {
			h.Events.Eventf(s.Endpoint, nil, corev1.EventTypeNormal, event, "Apply", "%s %s was not as this endpoint asks for: applied again", kind, name)
		}
	}
	return nil
}

func (h *Hands) deleteAll(ctx context.Context, namespace string, all []snapshot.Child) error {
	for _, child := range all {
		if err := h.delete(ctx, namespace, child); err != nil {
			return err
		}
	}
	return nil
}

// wake changes an annotation of the pods, upon which their kubelets refresh the pods' files at once instead of within a minute. A
// patch of the status subresource suffices, and can change nothing that runs.
func (h *Hands) wake(ctx context.Context, asleep []*corev1.Pod, generation string, now time.Time) error {
	var failed error
	for _, pod := range asleep {
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{
			v1alpha1.AnnotationGeneration: generation + " " + now.UTC().Format(time.RFC3339Nano),
		}}})
		if err != nil {
			return fmt.Errorf("making the patch of pod %s: %w", pod.Name, err)
		}
		err = h.Status().Patch(ctx, pod.DeepCopy(), client.RawPatch(types.MergePatchType, patch))
		if client.IgnoreNotFound(err) != nil {
			failed = errors.Join(failed, fmt.Errorf("waking the kubelet of pod %s: %w", pod.Name, err))
		}
	}
	return failed
}
