// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package pods

import (
	"slices"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

// JudgeOf says whether the pods that shall serve the endpoint serve the generation: its own, or its gateway's. Made says that the operator makes a
// gateway that is missing.
func JudgeOf(s *snapshot.Snapshot, generation string, made bool, lag *verdict.Problem) State {
	if s.Endpoint.Spec.Gateway == nil {
		return Judge(s.Fleet(), generation, lag)
	}
	problem := verdict.First(judgeGateway(s, generation, made), lag)
	unwatched := problem.Is(v1alpha1.ReasonProgressing) || problem.Is(v1alpha1.ReasonPodsUnreachable) || problem.Is(v1alpha1.ReasonEntryRefused)
	return State{Problem: problem, AskAgain: unwatched}
}

// judgeGateway says why the gateway's pods do not serve the endpoint. How many of them there should be is told by the gateway.
func judgeGateway(s *snapshot.Snapshot, generation string, made bool) *verdict.Problem {
	name, gateway, asked := s.Endpoint.Spec.Gateway.Name, s.WeChatGateway, s.ReadyPods()
	serving, behind, silent := count(s.Fleet(), generation)
	switch {
	case gateway == nil && made:
		return verdict.Problemf(v1alpha1.ReasonProgressing, "WeChatGateway %s is being made, and then its pods", name)
	case gateway == nil:
		return verdict.Problemf(v1alpha1.ReasonNoSuchGateway,
			"WeChatGateway %s does not exist in namespace %s: create it, or correct gateway.name", name, s.Endpoint.Namespace)
	case !gateway.DeletionTimestamp.IsZero() && (s.Endpoint.Status.Fleet.LeadsTo != render.GatewayName(name) || isNew(asked)):
		return verdict.Problemf(v1alpha1.ReasonGatewayDeleted,
			"WeChatGateway %s is being deleted and takes no endpoint any more: name another one in gateway.name, or remove gateway for pods of its own", name)
	case slices.Contains(gateway.Status.Left, s.Endpoint.Name):
		return verdict.Problemf(v1alpha1.ReasonGatewayFull,
			"WeChatGateway %s has no room for this endpoint: name another one in gateway.name, or remove gateway for pods of its own; shorter domainFiles and caBundles take less", name)
	case silent != nil:
		return silent
	case len(asked) == 0:
		return verdict.Problemf(v1alpha1.ReasonGatewayNotReady,
			"no pod of WeChatGateway %s is ready, so that nothing answers WeChat there: see kubectl -n %s describe wxg %s", name, s.Endpoint.Namespace, name)
	case behind == 0:
		return nil
	}
	if gateway.Spec.Paused {
		return verdict.Problemf(v1alpha1.ReasonPaused, "WeChatGateway %s is paused, and its pods do not get this configuration: set its spec.paused to false", name)
	}
	for _, pod := range asked {
		if refused := pod.Answer.Status.Problem; refused != "" && pod.Answer.Status.Generation != generation {
			return verdict.Problemf(v1alpha1.ReasonEntryRefused,
				"pod %s of WeChatGateway %s does not take this endpoint: %s; correct it, or remove gateway for pods of its own", pod.Name, name, refused)
		}
	}
	return verdict.Problemf(v1alpha1.ReasonProgressing, "%d of %d pods of WeChatGateway %s serve this configuration; the others are about to load it",
		serving, len(asked), name)
}

// isNew reports whether no pod knows anything of the endpoint.
func isNew(asked []snapshot.Pod) bool {
	knows := func(pod snapshot.Pod) bool {
		return pod.Answer.Err != nil || pod.Answer.Status.Generation != "" || pod.Answer.Status.Problem != ""
	}
	return len(asked) > 0 && !slices.ContainsFunc(asked, knows)
}

// GatewayCurrent says of an endpoint on a gateway what its gateway says of its pods.
func GatewayCurrent(s *snapshot.Snapshot) verdict.Verdict {
	name := s.Endpoint.Spec.Gateway.Name
	if s.WeChatGateway != nil {
		for _, condition := range s.WeChatGateway.Status.Conditions {
			if condition.Type == v1alpha1.ConditionSidecarCurrent && condition.Status == "True" {
				return verdict.True(v1alpha1.ReasonSidecarCurrent, "the pods are those of WeChatGateway %s, and what the installation asks for", name)
			}
		}
	}
	return verdict.Unknown(v1alpha1.ReasonWaiting, "the pods are those of WeChatGateway %s: see its SidecarCurrent", name)
}
