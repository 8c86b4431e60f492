// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/refs"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// How often pods are asked again that do not serve what they should, how often their kubelet is woken, how often is looked for
// what no watch tells of, and how often at an endpoint that is as it should be.
const (
	askAgain  = time.Second
	wakeAgain = time.Second
	lookAgain = 15 * time.Second
	askSeldom = 5 * time.Second // of a pod that has been behind or answered wrongly for long
	askRarely = 5 * time.Minute // of one that has been so for longer: each question may cost seconds
	resync    = 10 * time.Minute
)

// askDelay grows with the time for which the pods have not served what they should.
func askDelay(endpoint *v1alpha1.WeChatEndpoint) time.Duration {
	return growing(apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionSidecarAvailable), askRarely)
}

// growing is when to look again at what a condition says is wrong: a quarter of the time for which it has been so, within
// bounds. A thousand endpoints that are wrong for hours must not keep the operator from those that change.
func growing(condition *metav1.Condition, most time.Duration) time.Duration {
	if condition == nil || condition.Status == metav1.ConditionTrue {
		return askAgain
	}
	return min(max(time.Since(condition.LastTransitionTime.Time)/4, askAgain), most)
}

// observeSidecar asks every pod what it serves, and wakes the kubelets of those that are behind. Lag says why they were not
// given what the spec asks for, or is nil. It reports whether to ask again soon: no watch tells when a pod has caught up.
func (r *Reconciler) observeSidecar(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, generation string, lag error) (bool, error) {
	deployment, err := r.ownDeployment(ctx, endpoint)
	if err != nil {
		return false, err
	}
	pods, err := r.listPods(ctx, endpoint)
	if err != nil {
		return false, err
	}
	wanted := wantedPods(endpoint, deployment)
	serving, behind, err, failed := r.askPods(ctx, endpoint, pods, generation)
	if err == nil && deployment == nil {
		err = lag // which may say why there is none
	}
	if err == nil {
		err = judgeDeployment(endpoint, deployment, pods)
	}
	if err == nil && (serving < int(wanted) || behind > 0) {
		err = refs.Waitf(v1alpha1.ReasonProgressing, "%d of %d pods serve this configuration; the others are starting or about to load it",
			serving, max(int(wanted), serving+behind))
	}
	if err == nil {
		err = lag
	}
	progressing := waitReason(err) == v1alpha1.ReasonProgressing
	return behind > 0 || progressing, errors.Join(failed, record(endpoint, v1alpha1.ConditionSidecarAvailable, err))
}

// ownDeployment returns the endpoint's Deployment, or nil.
func (r *Reconciler) ownDeployment(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) (*appsv1.Deployment, error) {
	var deployment appsv1.Deployment
	err := r.Get(ctx, client.ObjectKey{Namespace: endpoint.Namespace, Name: render.Name(endpoint)}, &deployment)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("reading Deployment %s: %w", render.Name(endpoint), err)
	}
	if err != nil || !metav1.IsControlledBy(&deployment, endpoint) {
		return nil, nil
	}
	return &deployment, nil
}

// wantedPods is how many there should be: with autoscaling, or where the spec cannot be read, what the Deployment was scaled to.
func wantedPods(endpoint *v1alpha1.WeChatEndpoint, deployment *appsv1.Deployment) int32 {
	if deployment != nil && (endpoint.Spec.Sidecar.Autoscaling != nil || checkReadable(endpoint) != nil) {
		return sizeOf(deployment)
	}
	return render.Replicas(endpoint)
}

// listPods returns the pods that the endpoint's Deployment made, by the UIDs of their owners: a label alone can be on
// anybody's pod, which could then say that it serves.
func (r *Reconciler) listPods(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) ([]corev1.Pod, error) {
	deployment, err := r.ownDeployment(ctx, endpoint)
	if deployment == nil || err != nil {
		return nil, err
	}
	sets := metav1.PartialObjectMetadataList{}
	sets.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ReplicaSetList"))
	var pods corev1.PodList
	within, labelled := client.InNamespace(endpoint.Namespace), client.MatchingLabels(render.Labels(endpoint))
	if err := errors.Join(r.List(ctx, &sets, within, labelled), r.List(ctx, &pods, within, labelled)); err != nil {
		return nil, fmt.Errorf("listing the sidecar's pods: %w", err)
	}
	made := map[types.UID]bool{}
	for i := range sets.Items {
		made[sets.Items[i].UID] = metav1.IsControlledBy(&sets.Items[i], deployment)
	}
	return slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool {
		owner := metav1.GetControllerOf(&pod)
		return owner == nil || !made[owner.UID]
	}), nil
}

// askPods counts the ready pods that serve the generation, and those that are ready but behind or silent, whose kubelets it
// wakes. A silent one is an error for the status, since it may serve what was revoked. Failed is what the API server failed at.
func (r *Reconciler) askPods(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, pods []corev1.Pod, generation string) (serving, behind int, silent, failed error) {
	ready := readyPods(pods)
	answers := r.Probe.Ask(ctx, addressesOf(ready))
	warnOfReceiver(endpoint, generation, answers)
	for i, answer := range answers {
		noteUses(endpoint, answer.Status.Used, time.Now())
		if answer.Err == nil && answer.Status.Generation == generation && answer.Status.Ready {
			serving++
			continue
		}
		behind++
		failed = errors.Join(failed, r.wake(ctx, &ready[i], generation, answer))
		if answer.Err != nil {
			silent = refs.Waitf(v1alpha1.ReasonPodsUnreachable,
				"pod %s does not say what it serves (%v): check that NetworkPolicies and the service mesh let the operator reach port %d",
				ready[i].Name, answer.Err, render.NumberOps)
		}
	}
	return serving, behind, silent, failed
}

// warnOfReceiver names the account that a message was for which the pods refused last: the token and the key are right, so that
// everything else is well. What pods with another configuration say is of the past.
func warnOfReceiver(endpoint *v1alpha1.WeChatEndpoint, generation string, answers []probe.Result) {
	var last *config.WrongReceiver
	serves := false
	for _, answer := range answers {
		if answer.Err != nil || answer.Status.Generation != generation {
			continue
		}
		serves = true
		if wrong := answer.Status.WrongReceiver; wrong != nil && (last == nil || wrong.Last.After(last.Last)) {
			last = wrong
		}
	}
	switch {
	case last != nil:
		set(endpoint, v1alpha1.ConditionWrongReceiver, metav1.ConditionTrue, v1alpha1.ReasonWrongReceiver, fmt.Sprintf(
			"a message with a right signature was refused, because it is for %s, which neither appID nor receiverIDs names: correct appID, or add the id to receiverIDs, if the account is yours", last.ID))
	case serves:
		apimeta.RemoveStatusCondition(&endpoint.Status.Conditions, v1alpha1.ConditionWrongReceiver)
	}
}

// wake changes an annotation of the pod, upon which its kubelet refreshes the pod's files at once instead of within a
// minute. A patch of the status subresource suffices, and can change nothing that runs.
func (r *Reconciler) wake(ctx context.Context, pod *corev1.Pod, generation string, answer probe.Result) error {
	if !sleeps(pod, generation, answer, time.Now()) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{
		v1alpha1.AnnotationGeneration: generation + " " + time.Now().UTC().Format(time.RFC3339Nano),
	}}})
	if err != nil {
		return fmt.Errorf("making the patch of pod %s: %w", pod.Name, err)
	}
	err = r.Status().Patch(ctx, pod, client.RawPatch(types.MergePatchType, patch))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("waking the kubelet of pod %s: %w", pod.Name, err)
	}
	return nil
}

// sleeps reports whether the pod's kubelet should be woken: the pod serves another generation, and its kubelet was not told of
// this one, or a while ago. One that was told may have looked before its own watch knew the new Secret.
func sleeps(pod *corev1.Pod, generation string, answer probe.Result, now time.Time) bool {
	if generation == answer.Status.Generation {
		return false // it serves the generation and is draining
	}
	wokenFor, at, _ := strings.Cut(pod.Annotations[v1alpha1.AnnotationGeneration], " ")
	if answer.Err != nil {
		return wokenFor != generation // it may never answer: once
	}
	last, err := time.Parse(time.RFC3339, at)
	return err != nil || wokenFor != generation || now.Sub(last) >= wakeAgain
}

// judgeDeployment says why pods are missing, as far as the API server tells.
func judgeDeployment(endpoint *v1alpha1.WeChatEndpoint, deployment *appsv1.Deployment, pods []corev1.Pod) error {
	wanted := wantedPods(endpoint, deployment)
	if wanted == 0 {
		return refs.Waitf(v1alpha1.ReasonScaledToZero, "sidecar.replicas is 0, so nothing answers WeChat: set it to 1 or more")
	}
	if deployment == nil && endpoint.Spec.Paused {
		return refs.Waitf(v1alpha1.ReasonPaused, "the Deployment is gone, so nothing answers WeChat, and spec.paused is true: set it to false, and it is made again")
	}
	if deployment == nil {
		return refs.Waitf(v1alpha1.ReasonProgressing, "the Deployment is being made")
	}
	for _, condition := range deployment.Status.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
			return refs.Waitf(v1alpha1.ReasonPodsNotCreated, "the API server refuses the sidecar's pods: %s; raise the quota, or change sidecar.resources", condition.Message)
		}
	}
	for i := range pods {
		if trouble := podTrouble(&pods[i]); trouble != "" {
			return refs.Waitf(v1alpha1.ReasonPodsFailing, "pod %s: %s; see kubectl -n %s describe pod %s", pods[i].Name, trouble, endpoint.Namespace, pods[i].Name)
		}
	}
	if deployment.Status.ObservedGeneration < deployment.Generation || deployment.Status.UpdatedReplicas < wanted ||
		deployment.Status.AvailableReplicas < wanted {
		return refs.Waitf(v1alpha1.ReasonProgressing, "%d of %d pods are ready; wait some seconds",
			deployment.Status.AvailableReplicas, wanted)
	}
	return nil
}

// podChanged ignores what is not read of a pod: above all the annotation by which its kubelet is woken.
var podChanged = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	before, after := e.ObjectOld.(*corev1.Pod), e.ObjectNew.(*corev1.Pod)
	return before.Status.PodIP != after.Status.PodIP || podReady(before) != podReady(after) || podTrouble(before) != podTrouble(after) ||
		before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero() || belongsElsewhere(before, after)
}}

func podReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// podTrouble quotes why a pod does not start, or returns "" while it may just need time.
func podTrouble(pod *corev1.Pod) string {
	for _, condition := range pod.Status.Conditions {
		if isUnschedulable(condition) {
			return "it cannot be scheduled: " + condition.Message
		}
	}
	for _, status := range pod.Status.ContainerStatuses {
		if waiting := troubleOf(status); waiting != nil {
			return waiting.Reason + ": " + waiting.Message
		}
	}
	return ""
}

func isUnschedulable(condition corev1.PodCondition) bool {
	return condition.Type == corev1.PodScheduled && condition.Reason == corev1.PodReasonUnschedulable
}

// troubleOf is what a container waits for, or nil if it may just need time.
func troubleOf(status corev1.ContainerStatus) *corev1.ContainerStateWaiting {
	if waiting := status.State.Waiting; waiting != nil && waiting.Reason != "ContainerCreating" && waiting.Reason != "PodInitializing" {
		return waiting
	}
	return nil
}
