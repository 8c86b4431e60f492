// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
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
			answer := probe.Result{Status: config.Status{Generation: test.serves}, Err: test.silent}
			if got := sleeps(pod, "abc-2", answer, now); got != test.want {
				t.Errorf("woken: %v, want %v", got, test.want)
			}
		})
	}
}

func TestTheLastWrongReceiverIsNamed(t *testing.T) {
	at := func(second int, id string) config.Status {
		return config.Status{Generation: "abc-2", WrongReceiver: &config.WrongReceiver{ID: id, Last: time.Unix(int64(second), 0)}}
	}
	for name, test := range map[string]struct {
		before  string // whom the condition names before, if it is there
		answers []probe.Result
		want    string
	}{
		"nobody was refused":                        {"", []probe.Result{{Status: config.Status{Generation: "abc-2"}}}, ""},
		"somebody was":                              {"", []probe.Result{{Status: at(1, "wx1")}}, "wx1"},
		"the last one of all pods is named":         {"", []probe.Result{{Status: at(1, "wx1")}, {Status: at(3, "wx3")}, {Status: at(2, "wx2")}}, "wx3"},
		"a warning ends with its cause":             {"wx1", []probe.Result{{Status: config.Status{Generation: "abc-2"}}}, ""},
		"a silent pod ends no warning":              {"wx1", []probe.Result{{Err: errors.New("i/o timeout")}}, "wx1"},
		"what another configuration refused is old": {"", []probe.Result{{Status: config.Status{Generation: "abc-1", WrongReceiver: at(1, "wx1").WrongReceiver}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := &v1alpha1.WeChatEndpoint{}
			if test.before != "" {
				warnOfReceiver(endpoint, "abc-2", []probe.Result{{Status: at(0, test.before)}})
			}
			warnOfReceiver(endpoint, "abc-2", test.answers)
			condition := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionWrongReceiver)
			switch {
			case condition == nil && test.want != "":
				t.Errorf("nobody is named, want %s", test.want)
			case condition != nil && (test.want == "" || !strings.Contains(condition.Message, "it is for "+test.want+",")):
				t.Errorf("the warning says %q, want %q named", condition.Message, test.want)
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
