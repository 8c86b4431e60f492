// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"slices"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// Turned returns the conditions whose status or reason changed. Ready only repeats another one, unless it holds;
// and what is as it should be when it is first looked at has not turned. With hundreds of endpoints applied at once, or waiting
// for their slot in a rollout, events of that would be most of what the operator asks of the API server. What passes
// by itself does not turn either, nor does what becomes Unknown, and their end is told by Ready alone: otherwise each edit of a Secret would be
// seven events.
func Turned(before, after []metav1.Condition) []metav1.Condition {
	var turned []metav1.Condition
	isNew := !slices.ContainsFunc(before, func(condition metav1.Condition) bool { return condition.Reason != v1alpha1.ReasonNotObserved })
	for _, now := range after {
		was := apimeta.FindStatusCondition(before, now.Type)
		same := was != nil && was.Status == now.Status && was.Reason == now.Reason
		isReady := now.Type == v1alpha1.ConditionReady
		repeats := isReady && now.Status != metav1.ConditionTrue
		expected := isNew && !isReady && !Warns(now) || was == nil && now.Reason == v1alpha1.ReasonSidecarCurrent
		// A condition that simply holds has its own name as its reason.
		ended := !isReady && was != nil && (passes(was.Reason) || was.Status == metav1.ConditionUnknown) && now.Status == metav1.ConditionTrue && now.Reason == now.Type
		if !same && !repeats && !expected && !ended && !passes(now.Reason) && now.Status != metav1.ConditionUnknown && !waitsForSlot(now.Reason) {
			turned = append(turned, now)
		}
	}
	return turned
}

// passes reports whether a state ends by itself.
func passes(reason string) bool {
	return reason == v1alpha1.ReasonProgressing || reason == v1alpha1.ReasonRotationStarting
}

// Warns reports whether somebody may have to act.
func Warns(condition metav1.Condition) bool {
	return (condition.Status == metav1.ConditionFalse || rowOf(condition.Type).warning) &&
		!passes(condition.Reason) && condition.Reason != v1alpha1.ReasonRollingOut
}

// Ready is the condition that sums up all others, or nil.
func Ready(conditions []metav1.Condition) *metav1.Condition {
	return apimeta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
}
