// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// PodReady reports whether a pod takes requests.
func PodReady(pod corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil
		}
	}
	return false
}

// PodProblem says why a pod takes no requests, by the word of the kubelet and the scheduler; empty where it does.
func PodProblem(pod corev1.Pod) text.Text {
	if PodReady(pod) {
		return text.Text{}
	}
	if pod.DeletionTimestamp != nil {
		return text.New("it is being deleted")
	}
	for _, container := range pod.Status.ContainerStatuses {
		switch {
		case container.State.Waiting != nil && container.State.Waiting.Reason != "":
			return text.New("container %s waits: %s %s", container.Name, container.State.Waiting.Reason, container.State.Waiting.Message)
		case container.State.Terminated != nil:
			return text.New("container %s ended with status %d: %s", container.Name, container.State.Terminated.ExitCode, container.State.Terminated.Reason)
		}
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return text.New("no node takes it: %s", condition.Message)
		}
	}
	return text.New("it does not answer the kubelet's question whether it is ready")
}

// Restarts counts those of all containers.
func Restarts(pod corev1.Pod) (restarts int32) {
	for _, container := range pod.Status.ContainerStatuses {
		restarts += container.RestartCount
	}
	return restarts
}
