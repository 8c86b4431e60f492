// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package pods

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
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
		"it was told just now":                     {told("abc-2", WakeAgain/2), "abc-1", nil, false},
		"it was told, and nothing came of it":      {told("abc-2", WakeAgain), "abc-1", nil, true},
		"somebody wrote over what it was told":     {"abc-2 yesterday", "abc-1", nil, true},
		"its pod serves this one, and is draining": {"", "abc-2", nil, false},
		"its pod is silent, and it was not told":   {"", "", errors.New("i/o timeout"), true},
		"its pod is silent, and it was told once":  {told("abc-2", time.Hour), "", errors.New("i/o timeout"), false},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{}
			pod.Annotations = map[string]string{v1alpha1.AnnotationGeneration: test.annotation}
			answer := probe.Result{Status: config.Status{Generation: test.serves}, Err: test.silent}
			if got := sleeps(snapshot.Pod{Pod: pod, Answer: answer}, "abc-2", now); got != test.want {
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
		answers []probe.Result
		want    string
		known   bool // whether a warning of before ends
	}{
		"nobody was refused":                        {[]probe.Result{{Status: config.Status{Generation: "abc-2"}}}, "", true},
		"somebody was":                              {[]probe.Result{{Status: at(1, "wx1")}}, "wx1", true},
		"the last one of all pods is named":         {[]probe.Result{{Status: at(1, "wx1")}, {Status: at(3, "wx3")}, {Status: at(2, "wx2")}}, "wx3", true},
		"a silent pod ends no warning":              {[]probe.Result{{Err: errors.New("i/o timeout")}}, "", false},
		"what another configuration refused is old": {[]probe.Result{{Status: config.Status{Generation: "abc-1", WrongReceiver: at(1, "wx1").WrongReceiver}}}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := &snapshot.Snapshot{Endpoint: &v1alpha1.WeChatEndpoint{}}
			for _, answer := range test.answers {
				s.Pods = append(s.Pods, snapshot.Pod{Pod: &corev1.Pod{}, Ready: true, Answer: answer})
			}
			warning, known := WrongReceiver(s.Fleet(), "abc-2")
			if known != test.known || (warning.Reason == v1alpha1.ReasonWrongReceiver) != (test.want != "") || !strings.Contains(warning.Message, test.want) {
				t.Errorf("the warning says %+v, known: %v; want %q named", warning, known, test.want)
			}
		})
	}
}
