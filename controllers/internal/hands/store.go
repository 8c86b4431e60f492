// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package hands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/plan"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/rollout"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/status"
)

// Store writes the status if it changed, and then tells of the conditions that turned.
func (h *Hands) Store(ctx context.Context, before *v1alpha1.WeChatEndpoint, after v1alpha1.WeChatEndpointStatus, now time.Time) error {
	stored, err := h.patchStatus(ctx, before, after)
	if apierrors.IsInvalid(err) {
		return errors.Join(err, h.storeRefused(ctx, before, err, now))
	}
	if err != nil || !stored {
		return err
	}
	h.tell(before, before.Status.Conditions, after.Conditions)
	return nil
}

// StoreGateway writes a gateway's status if it changed, and then tells of the conditions that turned.
func (h *Hands) StoreGateway(ctx context.Context, before *v1alpha1.WeChatGateway, status v1alpha1.WeChatGatewayStatus) error {
	if equality.Semantic.DeepEqual(before.Status, status) {
		return nil
	}
	after := before.DeepCopy()
	after.Status = status
	patch, err := statusPatch(before, before.Status.Unreadable, after.Status)
	if err != nil {
		return err
	}
	if err := h.Status().Patch(ctx, after, patch); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("storing the status: %w", err))
	}
	h.tell(before, before.Status.Conditions, status.Conditions)
	return nil
}

func (h *Hands) tell(owner client.Object, before, after []metav1.Condition) {
	for _, condition := range status.Turned(before, after) {
		h.event(owner, condition)
	}
}

func (h *Hands) event(owner client.Object, condition metav1.Condition) {
	eventType := corev1.EventTypeNormal
	if status.Warns(condition) {
		eventType = corev1.EventTypeWarning
	}
	h.Events.Eventf(owner, nil, eventType, condition.Reason, "Reconcile", "%s", condition.Message)
}

// patchStatus writes the status if it changed, and reports whether it did. Of an endpoint that was deleted meanwhile there is none to write.
func (h *Hands) patchStatus(ctx context.Context, before *v1alpha1.WeChatEndpoint, status v1alpha1.WeChatEndpointStatus) (bool, error) {
	if equality.Semantic.DeepEqual(before.Status, status) {
		return false, nil
	}
	after := before.DeepCopy()
	after.Status = status
	patch, err := statusPatch(before, before.Status.Unreadable, after.Status)
	if err != nil {
		return false, err
	}
	err = h.Status().Patch(ctx, after, patch)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("storing the status: %w", err)
	}
	return err == nil, nil
}

// statusPatch changes what differs, or replaces the whole status where that could not be read: what differs from it is not known.
func statusPatch(before client.Object, unreadable []string, after any) (client.Patch, error) {
	if unreadable == nil {
		return client.MergeFrom(before), nil
	}
	text, err := json.Marshal([]map[string]any{{"op": "add", "path": "/status", "value": after}})
	if err != nil {
		return nil, fmt.Errorf("writing the status: %w", err)
	}
	return client.RawPatch(types.JSONPatchType, text), nil
}

// storeRefused tells of a status that the API server does not take. Where that is refused too, an event tells.
func (h *Hands) storeRefused(ctx context.Context, before *v1alpha1.WeChatEndpoint, refusal error, now time.Time) error {
	h.slots.forget(rollout.OfEndpoint(before).Key)
	told := plan.Refused(before, refusal, now)
	_, err := h.patchStatus(ctx, before, told)
	if err != nil {
		if condition := status.Ready(told.Conditions); condition != nil {
			h.event(before, *condition)
		}
	}
	return err
}
