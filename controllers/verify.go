// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/refs"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// verify plays WeChat against every pod, once all of them say that they serve what was applied. What was found before
// stays where nothing was applied, such as while the endpoint is paused: what runs is what it was found for.
func (r *Reconciler) verify(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, input render.Input, applied bool) error {
	if !apimeta.IsStatusConditionTrue(endpoint.Status.Conditions, v1alpha1.ConditionSidecarAvailable) {
		return record(endpoint, v1alpha1.ConditionVerified, refs.Waitf(v1alpha1.ReasonWaiting, "the pods do not serve this yet: first see to SidecarAvailable"))
	}
	if found := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionVerified); !applied && found != nil {
		set(endpoint, v1alpha1.ConditionVerified, found.Status, found.Reason, found.Message)
		return nil
	}
	pods, err := r.listPods(ctx, endpoint)
	if err != nil {
		return err
	}
	return record(endpoint, v1alpha1.ConditionVerified, r.playWeChat(ctx, readyPods(pods), subjectOf(endpoint, input)))
}

func (r *Reconciler) playWeChat(ctx context.Context, pods []corev1.Pod, subject probe.Subject) error {
	addresses := make([]string, len(pods))
	for i := range pods {
		addresses[i] = pods[i].Status.PodIP
	}
	for i, err := range r.Probe.Play(ctx, addresses, render.NumberHTTP, subject) {
		if err != nil {
			return refs.Waitf(v1alpha1.ReasonNotVerified,
				"pod %s does not answer as WeChat needs it (%v): check that NetworkPolicies and the service mesh let the operator reach port %d, and see the pod's log",
				pods[i].Name, err, render.NumberHTTP)
		}
	}
	return nil
}

// readyPods are those that may be asked.
func readyPods(pods []corev1.Pod) []corev1.Pod {
	var ready []corev1.Pod
	for _, pod := range pods {
		if pod.DeletionTimestamp.IsZero() && pod.Status.PodIP != "" && podReady(&pod) {
			ready = append(ready, pod)
		}
	}
	return ready
}

func subjectOf(endpoint *v1alpha1.WeChatEndpoint, input render.Input) probe.Subject {
	spec := endpoint.Spec
	subject := probe.Subject{
		Platform: string(spec.Platform), MessageMode: string(spec.MessageMode), AppID: spec.AppID, ReceiverIDs: spec.ReceiverIDs,
		Host: spec.URL.Host, Path: spec.URL.Path,
	}
	if len(input.Pairs) > 0 {
		subject.Pair = input.Pairs[0]
	}
	return subject
}
