// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	for i, err := range r.Probe.Play(ctx, addressesOf(pods), render.NumberHTTP, subject) {
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

func addressesOf(pods []corev1.Pod) []string {
	addresses := make([]string, len(pods))
	for i := range pods {
		addresses[i] = pods[i].Status.PodIP
	}
	return addresses
}

// reach plays WeChat through the published address, and says in the status what came of it. It is an observation, on which
// nothing rests: the operator may stand where that address does not lead.
func (r *Reconciler) reach(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, input render.Input, applied bool, published route) {
	found := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionReachable)
	holds := func(condition string) bool {
		return apimeta.IsStatusConditionTrue(endpoint.Status.Conditions, condition)
	}
	unknown := func(reason, message string) {
		set(endpoint, v1alpha1.ConditionReachable, metav1.ConditionUnknown, reason, message)
	}
	switch {
	case endpoint.Spec.URL.Exposure == v1alpha1.ExposureNone:
		unknown(v1alpha1.ReasonNoAddress, "url.exposure is None, so that the operator knows no address: try the URL with kubectl wechat verify")
	case !holds(v1alpha1.ConditionRouteProgrammed) || !holds(v1alpha1.ConditionVerified):
		unknown(v1alpha1.ReasonWaiting, "there is nothing to reach yet: first see to RouteProgrammed and Verified")
	case !applied && found != nil:
		set(endpoint, v1alpha1.ConditionReachable, found.Status, found.Reason, found.Message)
	case published.address == "":
		unknown(v1alpha1.ReasonNoAddress, published.kind+" "+render.Name(endpoint)+
			" has no address in its status, which many controllers never report: try the URL with kubectl wechat verify")
	default:
		err := r.Probe.Reach(ctx, published.address, published.secure, subjectOf(endpoint, input))
		if notAllowed := (*probe.NotAllowedError)(nil); errors.As(err, &notAllowed) {
			unknown(v1alpha1.ReasonAddressNotAllowed, fmt.Sprintf("%s %s publishes an address that the operator does not call: %v; %s",
				published.kind, render.Name(endpoint), notAllowed, remedyFor(notAllowed)))
			return
		}
		if err != nil && !programmedSince(endpoint, reachPatience) {
			unknown(v1alpha1.ReasonProgressing, "the route is new, and "+published.address+" does not lead to the pods yet: wait some seconds")
			return
		}
		if err != nil {
			set(endpoint, v1alpha1.ConditionReachable, metav1.ConditionFalse, v1alpha1.ReasonNotReachable, fmt.Sprintf(
				"the URL check through %s is not answered as WeChat needs it (%v): see the ingress controller's log; if only the operator cannot get there, kubectl wechat verify tells",
				published.address, err))
			return
		}
		set(endpoint, v1alpha1.ConditionReachable, metav1.ConditionTrue, v1alpha1.ReasonReachable, "the operator played WeChat through "+published.address)
	}
}

func remedyFor(notAllowed *probe.NotAllowedError) string {
	if notAllowed.Private {
		return "try the URL with kubectl wechat verify, or ask the platform team to add the network to loadBalancerNetworks"
	}
	return "ask the platform team what publishes it"
}

// reachPatience is how long an ingress controller may take to act on a new route before it is called a failure.
const reachPatience = 10 * time.Second

func programmedSince(endpoint *v1alpha1.WeChatEndpoint, long time.Duration) bool {
	route := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionRouteProgrammed)
	return route != nil && time.Since(route.LastTransitionTime.Time) > long
}

// reachSeldom is how often the address is tried that did not lead to the pods for long.
const reachSeldom = resync

// reachDelay is when to try the address again: soon after it failed first, and then less and less often. Zero is never.
func reachDelay(endpoint *v1alpha1.WeChatEndpoint) time.Duration {
	condition := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionReachable)
	if condition == nil || condition.Reason != v1alpha1.ReasonNotReachable && condition.Reason != v1alpha1.ReasonProgressing {
		return 0
	}
	return growing(condition, reachSeldom)
}

func subjectOf(endpoint *v1alpha1.WeChatEndpoint, input render.Input) probe.Subject {
	spec := endpoint.Spec
	subject := probe.Subject{
		Platform: string(spec.Platform), MessageMode: string(spec.MessageMode), AppID: spec.AppID, ReceiverIDs: spec.ReceiverIDs,
		Host: spec.URL.Host, Path: spec.URL.Path, Query: spec.URL.Query,
	}
	if len(input.Pairs) > 0 {
		subject.Pair = input.Pairs[0]
	}
	return subject
}
