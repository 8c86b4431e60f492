// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"time"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
)

// Available says whether messages reach the apps: by the pods of their Services, and by what the sidecars say of their last calls.
func Available(s *snapshot.Snapshot) verdict.Verdict {
	for _, service := range Services(s.Endpoint) {
		if ready, seen := s.HasReadyPod[service]; seen && !ready {
			return verdict.False(v1alpha1.ReasonNoBackendPods,
				"Service %s has no pod that is ready, so that messages are answered as backend.onDeadline says: see kubectl -n %s get pods, and the Service's selector",
				service.Name, service.Namespace)
		}
	}
	for _, pod := range s.ReadyPods() {
		unreached := pod.Answer.Status.Unreached
		if pod.Answer.Err != nil || unreached == nil {
			continue
		}
		cause, remedy := outcome.Report{Outcome: outcome.Unavailable, Failure: outcome.Failure{Cause: outcome.Cause(unreached.Cause)}}.Explain()
		return verdict.False(v1alpha1.ReasonBackendUnreached,
			"the last message of pod %s reached no app (%s): %s; if the app runs, see whether a NetworkPolicy of its namespace lets the sidecars' pods in", pod.Name, cause, remedy)
	}
	return verdict.True(v1alpha1.ReasonBackendAvailable, "every Service that the spec names has a pod that is ready")
}

// Again says when to look again: no watch tells that the sidecars reach an app again.
func Again(available verdict.Verdict, saidFor time.Duration) verdict.Again {
	if available.Reason != v1alpha1.ReasonBackendUnreached {
		return verdict.Never
	}
	return verdict.Growing(saidFor, verdict.Rarely).NotBefore(verdict.Unwatched)
}
