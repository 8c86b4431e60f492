// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
)

func TestWhenAKubeletIsWoken(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	told := func(generation string, ago time.Duration) string {
		return generation + " " + now.Add(-ago).Format(time.RFC3339)
	}
	for name, test := range map[string]struct {
		annotation, serves string
		want               bool
	}{
		"it was never told":                        {"", "abc-1", true},
		"it was told of an earlier generation":     {told("abc-1", time.Second), "abc-1", true},
		"it was told just now":                     {told("abc-2", time.Second), "abc-1", false},
		"it was told, and nothing came of it":      {told("abc-2", wakeAgain), "abc-1", true},
		"somebody wrote over what it was told":     {"abc-2 yesterday", "abc-1", true},
		"its pod serves this one, and is draining": {"", "abc-2", false},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{}
			pod.Annotations = map[string]string{v1alpha1.AnnotationGeneration: test.annotation}
			answer := probe.Result{Status: probe.Status{Generation: test.serves}}
			if got := sleeps(pod, "abc-2", answer, now); got != test.want {
				t.Errorf("woken: %v, want %v", got, test.want)
			}
		})
	}
}
