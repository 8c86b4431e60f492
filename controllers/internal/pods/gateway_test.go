// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package pods

import (
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

// onGateway is a snapshot of an endpoint on a gateway with two pods, which serve its generation g.
func onGateway(edits ...func(*snapshot.Snapshot)) *snapshot.Snapshot {
	s := serving()
	s.Deployment = nil
	s.Endpoint.ObjectMeta = metav1.ObjectMeta{Namespace: "team-a", Name: "shop"}
	s.Endpoint.Spec.Sidecar = v1alpha1.Sidecar{}
	s.Endpoint.Spec.Gateway = &v1alpha1.GatewayReference{Name: "front"}
	s.WeChatGateway = &v1alpha1.WeChatGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "front"}}
	s.GatewayDeployment = &appsv1.Deployment{}
	for _, edit := range edits {
		edit(s)
	}
	return s
}

func gateway(edit func(*v1alpha1.WeChatGateway)) func(*snapshot.Snapshot) {
	return func(s *snapshot.Snapshot) { edit(s.WeChatGateway) }
}

// TestWhatAGatewaysPodsServe: how many pods there should be is the gateway's own matter; every ready one must serve the endpoint.
func TestWhatAGatewaysPodsServe(t *testing.T) {
	deleted := func(g *v1alpha1.WeChatGateway) { g.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }
	led := func(s *snapshot.Snapshot) { s.Endpoint.Status.Fleet.LeadsTo = "front-wechat-gateway" }
	unknown := func(pod int) func(*snapshot.Snapshot) {
		return answer(pod, func(r *probe.Result) { r.Status.Generation = "" })
	}
	behind := answer(1, func(r *probe.Result) { r.Status.Generation = "f" })
	for name, test := range map[string]struct {
		edits           []func(*snapshot.Snapshot)
		lag             *verdict.Problem
		reason, message string
		again           bool
	}{
		"both serve":                                                       {},
		"one serves, and the other is not ready":                           {edits: []func(*snapshot.Snapshot){func(s *snapshot.Snapshot) { s.Pods[1].Ready = false }}},
		"a gateway that is being deleted serves on":                        {edits: []func(*snapshot.Snapshot){gateway(deleted), led}},
		"the spec asks for what is not there":                              {nil, verdict.Problemf(v1alpha1.ReasonSidecarOutdated, "later"), v1alpha1.ReasonSidecarOutdated, "later", false},
		"there is no such gateway":                                         {[]func(*snapshot.Snapshot){func(s *snapshot.Snapshot) { s.WeChatGateway, s.Pods = nil, nil }}, nil, v1alpha1.ReasonNoSuchGateway, "does not exist in namespace team-a: create it, or correct gateway.name", false},
		"the gateway is being deleted":                                     {[]func(*snapshot.Snapshot){gateway(deleted)}, nil, v1alpha1.ReasonGatewayDeleted, "name another one in gateway.name, or remove gateway for pods of its own", false},
		"it is being deleted, and the URL of a new endpoint was led there": {[]func(*snapshot.Snapshot){gateway(deleted), led, unknown(0), unknown(1)}, nil, v1alpha1.ReasonGatewayDeleted, "takes no endpoint any more", false},
		"it is being deleted, and a new pod of it knows nothing yet":       {[]func(*snapshot.Snapshot){gateway(deleted), led, unknown(1)}, nil, v1alpha1.ReasonProgressing, "1 of 2 pods", true},
		"it is being deleted, and its pods are silent": {
			[]func(*snapshot.Snapshot){gateway(deleted), led, unknown(0), answer(1, func(r *probe.Result) { r.Err = errors.New("no route") })}, nil,
			v1alpha1.ReasonPodsUnreachable, "does not say what it serves", true,
		},
		"it is being deleted, and no pod is ready": {
			[]func(*snapshot.Snapshot){gateway(deleted), led, func(s *snapshot.Snapshot) { s.Pods[0].Ready, s.Pods[1].Ready = false, false }}, nil,
			v1alpha1.ReasonGatewayNotReady, "nothing answers WeChat there", false,
		},
		"the gateway has no room": {
			[]func(*snapshot.Snapshot){gateway(func(g *v1alpha1.WeChatGateway) { g.Status.Left = []string{"other", "shop"} }), behind}, nil,
			v1alpha1.ReasonGatewayFull, "has no room for this endpoint: name another one", false,
		},
		"the gateway has no room for another one": {edits: []func(*snapshot.Snapshot){gateway(func(g *v1alpha1.WeChatGateway) { g.Status.Left = []string{"other"} })}},
		"no pod is ready": {
			[]func(*snapshot.Snapshot){func(s *snapshot.Snapshot) { s.Pods[0].Ready, s.Pods[1].Ready = false, false }}, nil,
			v1alpha1.ReasonGatewayNotReady, "nothing answers WeChat there: see kubectl -n team-a describe wxg front", false,
		},
		"one has not loaded it yet": {[]func(*snapshot.Snapshot){behind}, nil, v1alpha1.ReasonProgressing, "1 of 2 pods of WeChatGateway front serve this configuration", true},
		"one does not answer": {
			[]func(*snapshot.Snapshot){answer(1, func(r *probe.Result) { r.Err = errors.New("no route") })}, nil,
			v1alpha1.ReasonPodsUnreachable, "pod b does not say what it serves (no route)", true,
		},
		"one refuses it": {
			[]func(*snapshot.Snapshot){behind, answer(1, func(r *probe.Result) { r.Status.Problem = "no room for it beside 560 others" })}, nil,
			v1alpha1.ReasonEntryRefused, "pod b of WeChatGateway front does not take this endpoint: no room for it beside 560 others", true,
		},
		"the gateway is paused": {
			[]func(*snapshot.Snapshot){behind, gateway(func(g *v1alpha1.WeChatGateway) { g.Spec.Paused = true })}, nil,
			v1alpha1.ReasonPaused, "WeChatGateway front is paused, and its pods do not get this configuration: set its spec.paused to false", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := JudgeOf(onGateway(test.edits...), "g", false, test.lag)
			said := got.Problem.Or(verdict.Verdict{})
			if said.Reason != test.reason || !strings.Contains(said.Message, test.message) || got.AskAgain != test.again {
				t.Errorf("it says %s: %s, and is asked again: %v; want %s: %s, %v", said.Reason, said.Message, got.AskAgain, test.reason, test.message, test.again)
			}
		})
	}
}

// TestWhatAGatewayTellsOfItsPods: an endpoint repeats that they are current. What stands against it the gateway says; as the endpoint's own
// it would take a slot of the rollout, or stop others.
func TestWhatAGatewayTellsOfItsPods(t *testing.T) {
	for _, test := range []struct {
		status metav1.ConditionStatus
		reason string
		want   string
	}{
		{metav1.ConditionTrue, v1alpha1.ReasonSidecarCurrent, v1alpha1.ReasonSidecarCurrent},
		{metav1.ConditionFalse, v1alpha1.ReasonRolloutFailed, v1alpha1.ReasonWaiting},
		{metav1.ConditionFalse, v1alpha1.ReasonRollingOut, v1alpha1.ReasonWaiting},
	} {
		s := onGateway(gateway(func(g *v1alpha1.WeChatGateway) {
			g.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionSidecarCurrent, Status: test.status, Reason: test.reason}}
		}))
		if got := GatewayCurrent(s); got.Reason != test.want {
			t.Errorf("of a gateway that says %s it says %s: %s", test.reason, got.Reason, got.Message)
		}
	}
	if got := GatewayCurrent(onGateway(func(s *snapshot.Snapshot) { s.WeChatGateway = nil })); got.Reason != v1alpha1.ReasonWaiting {
		t.Errorf("without a gateway it says %s", got.Reason)
	}
}
