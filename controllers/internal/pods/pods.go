// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pods decides whether an endpoint's pods serve what they were given. It is pure.
package pods

import (
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// AnnotationRevision is by what a Deployment and its ReplicaSets say which template is theirs.
const AnnotationRevision = "deployment.kubernetes.io/revision"

// WakeAgain is how long after a kubelet was woken it is woken again.
const WakeAgain = time.Second

// Of returns the pods that the Deployment made, by the UIDs of their owners: a label alone can be on anybody's pod, which could
// then say that it serves. The newest belong to the ReplicaSet that has the Deployment's own revision.
func Of(deployment *appsv1.Deployment, sets []metav1.PartialObjectMetadata, all []corev1.Pod) []snapshot.Pod {
	made := map[types.UID]*metav1.PartialObjectMetadata{}
	for i := range sets {
		if metav1.IsControlledBy(&sets[i], deployment) {
			made[sets[i].UID] = &sets[i]
		}
	}
	newest := newestOf(deployment, made)
	var pods []snapshot.Pod
	for i := range all {
		owner := metav1.GetControllerOf(&all[i])
		if owner == nil || made[owner.UID] == nil {
			continue
		}
		pods = append(pods, snapshot.Pod{Pod: &all[i], Newest: owner.UID == newest, Ready: MayBeAsked(&all[i])})
	}
	return pods
}

// newestOf is the ReplicaSet of the Deployment's revision. Where that is not known yet, none is.
func newestOf(deployment *appsv1.Deployment, made map[types.UID]*metav1.PartialObjectMetadata) types.UID {
	revision, err := strconv.ParseInt(deployment.Annotations[AnnotationRevision], 10, 64)
	if err != nil {
		return ""
	}
	for uid, set := range made {
		if own, err := strconv.ParseInt(set.Annotations[AnnotationRevision], 10, 64); err == nil && own == revision {
			return uid
		}
	}
	return ""
}

// MayBeAsked reports whether a pod is ready and has an address.
func MayBeAsked(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp.IsZero() && pod.Status.PodIP != "" && isReady(pod)
}

// Changed reports whether anything has changed that is read of a pod, but for the annotation that wakes its kubelet.
func Changed(before, after *corev1.Pod) bool {
	return before.Status.PodIP != after.Status.PodIP || isReady(before) != isReady(after) || Trouble(before) != Trouble(after) ||
		before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero()
}

// Size is the number of pods that a Deployment was scaled to.
func Size(deployment *appsv1.Deployment) int32 {
	if deployment.Spec.Replicas == nil {
		return 1 // the API server's default
	}
	return *deployment.Spec.Replicas
}

// ImageOf is the image of the Deployment's pods.
func ImageOf(deployment *appsv1.Deployment) string {
	if containers := deployment.Spec.Template.Spec.Containers; len(containers) > 0 {
		return containers[0].Image
	}
	return ""
}

// wanted is how many pods there should be: with autoscaling, or where the spec cannot be read, what the Deployment was scaled to.
func wanted(f *snapshot.Fleet) int32 {
	if f.Deployment != nil && (f.Sidecar.Autoscaling != nil || !f.Readable) {
		return Size(f.Deployment)
	}
	return render.Replicas(f.Sidecar)
}

// State is how far the pods serve a generation.
type State struct {
	Problem *verdict.Problem
	// AskAgain says that no watch tells when the pods have caught up.
	AskAgain bool
}

// Judge says whether every wanted pod serves the generation. Lag says why they were not given what the spec asks for, or is nil.
func Judge(f *snapshot.Fleet, generation string, lag *verdict.Problem) State {
	serving, behind, silent := count(f, generation)
	problem := silent
	if problem == nil && (f.Deployment == nil || f.Paused) {
		problem = lag // which may say why there is none, or why waiting is of no use
	}
	if problem == nil {
		problem = judgeDeployment(f)
	}
	if size := int(wanted(f)); problem == nil && (serving < size || behind > 0) {
		problem = verdict.Problemf(v1alpha1.ReasonProgressing, "%d of %d pods serve this configuration; the others are starting or about to load it",
			serving, max(size, serving+behind))
	}
	problem = verdict.First(problem, lag)
	return State{Problem: problem, AskAgain: behind > 0 || problem.Is(v1alpha1.ReasonProgressing)}
}

func serves(pod snapshot.Pod, generation string) bool {
	return pod.Answer.Err == nil && pod.Answer.Status.Generation == generation && pod.Answer.Status.Ready
}

// count counts the ready pods that serve the generation, and those that are ready but behind or silent. A silent one is a problem,
// since it may serve what was revoked.
func count(f *snapshot.Fleet, generation string) (serving, behind int, silent *verdict.Problem) {
	for _, pod := range f.ReadyPods() {
		if serves(pod, generation) {
			serving++
			continue
		}
		behind++
		if pod.Answer.Err != nil {
			silent = verdict.Problemf(v1alpha1.ReasonPodsUnreachable,
				"pod %s does not say what it serves (%v): check that NetworkPolicies and the service mesh let the operator reach port %d",
				pod.Name, pod.Answer.Err, render.NumberOps)
		}
	}
	return serving, behind, silent
}

// Asleep are the pods whose kubelets should be woken: they do not serve the generation.
func Asleep(f *snapshot.Fleet, generation string) []*corev1.Pod {
	var asleep []*corev1.Pod
	for _, pod := range f.ReadyPods() {
		if !serves(pod, generation) && sleeps(pod, generation, f.Now) {
			asleep = append(asleep, pod.Pod)
		}
	}
	return asleep
}

// sleeps reports whether the pod's kubelet should be woken: the pod serves another generation, and its kubelet was not told of
// this one, or a while ago. One that was told may have looked before its own watch knew the new Secret.
func sleeps(pod snapshot.Pod, generation string, now time.Time) bool {
	if generation == pod.Answer.Status.Generation {
		return false // it serves the generation and is draining
	}
	wokenFor, at, _ := strings.Cut(pod.Annotations[v1alpha1.AnnotationGeneration], " ")
	if pod.Answer.Err != nil {
		return wokenFor != generation // it may never answer: once
	}
	last, err := time.Parse(time.RFC3339, at)
	return err != nil || wokenFor != generation || now.Sub(last) >= WakeAgain
}

// Woken reports whether the pod's kubelet was woken for the generation.
func Woken(pod *corev1.Pod, generation string) bool {
	wokenFor, _, _ := strings.Cut(pod.Annotations[v1alpha1.AnnotationGeneration], " ")
	return wokenFor == generation
}

// judgeDeployment says why pods are missing, as far as the API server tells.
func judgeDeployment(f *snapshot.Fleet) *verdict.Problem {
	deployment, size := f.Deployment, wanted(f)
	switch {
	case size == 0:
		return verdict.Problemf(v1alpha1.ReasonScaledToZero, "%s is 0, so nothing answers WeChat: set it to 1 or more", f.Field("replicas"))
	case deployment == nil && f.Paused:
		return verdict.Problemf(v1alpha1.ReasonPaused, "the Deployment is gone, so nothing answers WeChat, and spec.paused is true: set it to false, and it is made again")
	case deployment == nil:
		return verdict.Problemf(v1alpha1.ReasonProgressing, "the Deployment is being made")
	}
	for _, condition := range deployment.Status.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
			return verdict.Problemf(v1alpha1.ReasonPodsNotCreated, "the API server refuses the sidecar's pods: %s; raise the quota, or change %s", condition.Message, f.Field("resources"))
		}
	}
	for _, pod := range f.Pods {
		if trouble := Trouble(pod.Pod); trouble != "" {
			return verdict.Problemf(v1alpha1.ReasonPodsFailing, "pod %s: %s; see kubectl -n %s describe pod %s", pod.Name, trouble, pod.Namespace, pod.Name)
		}
	}
	status := deployment.Status
	if status.ObservedGeneration < deployment.Generation || status.UpdatedReplicas < size || status.AvailableReplicas < size {
		return verdict.Problemf(v1alpha1.ReasonProgressing, "%d of %d pods are ready; wait some seconds", status.AvailableReplicas, size)
	}
	return nil
}

// RolledOut reports whether all pods of the Deployment are of its newest template, as kubectl rollout status does, and whether as many of
// these pods as are wanted were asked. A Deployment may be known before its pods are: then those that were asked are older ones.
func RolledOut(f *snapshot.Fleet, generation string) bool {
	status, size := f.Deployment.Status, Size(f.Deployment)
	newest := 0
	for _, pod := range f.ReadyPods() {
		if pod.Newest && serves(pod, generation) {
			newest++
		}
	}
	return status.ObservedGeneration >= f.Deployment.Generation && status.UpdatedReplicas == size && status.Replicas == size &&
		status.AvailableReplicas == size && newest >= int(size)
}

// WrongReceiver names the account that a message was for which the pods refused last: the token and the key are right, and
// everything else is well. What pods with another configuration say is of the past. Known says that any pod could tell.
func WrongReceiver(f *snapshot.Fleet, generation string) (warning verdict.Verdict, known bool) {
	var last *config.WrongReceiver
	for _, pod := range f.ReadyPods() {
		answer := pod.Answer
		if answer.Err != nil || answer.Status.Generation != generation {
			continue
		}
		known = true
		if wrong := answer.Status.WrongReceiver; wrong != nil && (last == nil || wrong.Last.After(last.Last)) {
			last = wrong
		}
	}
	if last == nil {
		return verdict.Verdict{}, known
	}
	return verdict.True(v1alpha1.ReasonWrongReceiver,
		"a message with a right signature was refused, because it is for %s, which neither appID nor receiverIDs names: correct appID, or add the id to receiverIDs, if the account is yours", last.ID), true
}

// Understand refuses a configuration of a version that a pod does not know. The pods would go on with their last files, but none
// could start anew. Live is the version of the live files, which they do know.
func Understand(f *snapshot.Fleet, live, version int) *verdict.Problem {
	if live == 0 || version <= live {
		return nil
	}
	for _, pod := range f.Pods {
		understood := 0
		if pod.Ready && pod.Answer.Err == nil {
			understood = max(pod.Answer.Status.Version, config.VersionFirst)
		}
		if pod.DeletionTimestamp.IsZero() && understood < version {
			return verdict.Problemf(v1alpha1.ReasonSidecarOutdated,
				"what this spec asks for takes a sidecar that reads version %d of its configuration, and pod %s does not say that it does: what was served before is served on. Wait until the endpoint has got the installation's image (SidecarCurrent), or choose a newer sidecar.imageVersion",
				version, pod.Name)
		}
	}
	return nil
}

// Addresses lead to the pods.
func Addresses(pods []snapshot.Pod) []string {
	addresses := make([]string, len(pods))
	for i := range pods {
		addresses[i] = pods[i].Status.PodIP
	}
	return addresses
}

// Verified says whether every pod that was played against answered as WeChat needs it.
func Verified(played []snapshot.Pod, results []error) *verdict.Problem {
	if i := slices.IndexFunc(results, func(err error) bool { return err != nil }); i >= 0 {
		return verdict.Problemf(v1alpha1.ReasonNotVerified,
			"pod %s does not answer as WeChat needs it (%v): check that NetworkPolicies and the service mesh let the operator reach port %d, and see the pod's log",
			played[i].Name, results[i], render.NumberHTTP)
	}
	return nil
}

func isReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// Trouble quotes why a pod does not start, or returns "" while it may just need time.
func Trouble(pod *corev1.Pod) string {
	for _, condition := range pod.Status.Conditions {
		if IsUnschedulable(condition) {
			return "it cannot be scheduled: " + condition.Message
		}
	}
	for _, status := range pod.Status.ContainerStatuses {
		if waiting := TroubleOf(status); waiting != nil {
			return waiting.Reason + ": " + waiting.Message
		}
	}
	return ""
}

// IsUnschedulable reports whether a condition says that no node takes the pod.
func IsUnschedulable(condition corev1.PodCondition) bool {
	return condition.Type == corev1.PodScheduled && condition.Reason == corev1.PodReasonUnschedulable
}

// TroubleOf is what a container waits for, or nil if it may just need time.
func TroubleOf(status corev1.ContainerStatus) *corev1.ContainerStateWaiting {
	if waiting := status.State.Waiting; waiting != nil && waiting.Reason != "ContainerCreating" && waiting.Reason != "PodInitializing" {
		return waiting
	}
	return nil
}
