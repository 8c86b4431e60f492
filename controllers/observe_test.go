// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
)

func TestWhenAKubeletIsWoken(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	told := func(generation string, ago time.Duration) string {
		return generation + " " + now.Add(-ago).Format(time.RFC3339Nano)
	}
	for name, test := range map[string]struct {
		annotation, serves string
		silent             error
		want               bool
	}{
		"it was never told":                        {"", "abc-1", nil, true},
		"it was told of an earlier generation":     {told("abc-1", time.Second), "abc-1", nil, true},
		"it was told just now":                     {told("abc-2", wakeAgain/2), "abc-1", nil, false},
		"it was told, and nothing came of it":      {told("abc-2", wakeAgain), "abc-1", nil, true},
		"somebody wrote over what it was told":     {"abc-2 yesterday", "abc-1", nil, true},
		"its pod serves this one, and is draining": {"", "abc-2", nil, false},
		"its pod is silent, and it was not told":   {"", "", errors.New("i/o timeout"), true},
		"its pod is silent, and it was told once":  {told("abc-2", time.Hour), "", errors.New("i/o timeout"), false},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{}
			pod.Annotations = map[string]string{v1alpha1.AnnotationGeneration: test.annotation}
			answer := probe.Result{Status: probe.Status{Generation: test.serves}, Err: test.silent}
			if got := sleeps(pod, "abc-2", answer, now); got != test.want {
				t.Errorf("woken: %v, want %v", got, test.want)
			}
		})
	}
}

func TestWhichChangesOfAPodAreLookedAt(t *testing.T) {
	before := &corev1.Pod{}
	before.Labels = map[string]string{v1alpha1.LabelEndpoint: "shop"}
	before.Status = corev1.PodStatus{PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	for name, test := range map[string]struct {
		change func(*corev1.Pod)
		want   bool
	}{
		"its kubelet was woken":         {func(p *corev1.Pod) { p.Annotations = map[string]string{v1alpha1.AnnotationGeneration: "abc-1"} }, false},
		"its conditions were looked at": {func(p *corev1.Pod) { p.Status.Conditions[0].LastProbeTime.Time = time.Unix(1, 0) }, false},
		"it is not ready any more":      {func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }, true},
		"it has another address":        {func(p *corev1.Pod) { p.Status.PodIP = "10.0.0.2" }, true},
		"it does not start": {func(p *corev1.Pod) {
			waiting := &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: waiting}}}
		}, true},
		"it is being deleted":         {func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }, true},
		"somebody changed its labels": {func(p *corev1.Pod) { p.Labels[v1alpha1.LabelEndpoint] = "other" }, true},
		"it has another owner":        {func(p *corev1.Pod) { p.OwnerReferences = []metav1.OwnerReference{{UID: "other"}} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			after := before.DeepCopy()
			test.change(after)
			if got := podChanged.Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}); got != test.want {
				t.Errorf("looked at: %v, want %v", got, test.want)
			}
		})
	}
}
