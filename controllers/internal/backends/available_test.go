// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

func TestWhetherMessagesReachTheApps(t *testing.T) {
	app, chat := types.NamespacedName{Namespace: "a", Name: "app"}, types.NamespacedName{Namespace: "b", Name: "chat"}
	both := map[types.NamespacedName]bool{app: true, chat: true}
	unreached := func(cause string) probe.Result {
		return probe.Result{Status: config.Status{Unreached: &config.Unreached{Cause: cause}}}
	}
	silent := unreached("refused")
	silent.Err = errors.New("timeout")
	for name, test := range map[string]struct {
		ready   map[types.NamespacedName]bool
		answer  probe.Result
		reason  string
		message string // a part of it
	}{
		"each has a pod": {both, probe.Result{}, v1alpha1.ReasonBackendAvailable, "has a pod that is ready"},
		"one has none":   {map[types.NamespacedName]bool{app: true, chat: false}, probe.Result{}, v1alpha1.ReasonNoBackendPods, "Service chat has no pod that is ready"},
		"one is in a namespace that cannot be seen":   {map[types.NamespacedName]bool{app: true}, probe.Result{}, v1alpha1.ReasonBackendAvailable, ""},
		"a sidecar did not reach one":                 {both, unreached("refused"), v1alpha1.ReasonBackendUnreached, "pod p reached no app (the app could not be called: it refuses connections): see whether its pods run"},
		"a sidecar says what nobody knows":            {both, unreached("evil\nwords"), v1alpha1.ReasonBackendUnreached, "(the app could not be called: for a reason that is not known here): see the sidecar's log; if the app runs"},
		"a sidecar that does not answer says nothing": {both, silent, v1alpha1.ReasonBackendAvailable, ""},
	} {
		endpoint := &v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "a"}}
		endpoint.Spec.Backend.Service.Name = app.Name
		endpoint.Spec.Rules = []v1alpha1.Rule{{Backend: &v1alpha1.Backend{Service: v1alpha1.ServiceReference{Namespace: chat.Namespace, Name: chat.Name}}}}
		s := &snapshot.Snapshot{Endpoint: endpoint, HasReadyPod: test.ready, Pods: []snapshot.Pod{{
			Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}}, Ready: true, Answer: test.answer,
		}}}
		if got := Available(s); got.Reason != test.reason || !strings.Contains(got.Message, test.message) || strings.Contains(got.Message, "evil") {
			t.Errorf("%s: said is %+v", name, got)
		}
	}
}
