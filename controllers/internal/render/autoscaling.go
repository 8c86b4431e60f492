// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apps "k8s.io/client-go/applyconfigurations/apps/v1"
	autoscaling "k8s.io/client-go/applyconfigurations/autoscaling/v2"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// The defaults of the API, for an endpoint that did not come through it.
const (
	defaultReplicas    = 2
	defaultUtilization = 70
)

// Replicas is how many pods the endpoint asks for: with autoscaling, where it begins.
func Replicas(endpoint *v1alpha1.WeChatEndpoint) int32 {
	sidecar := endpoint.Spec.Sidecar
	asked := valueOr(sidecar.Replicas, defaultReplicas)
	if scaling := sidecar.Autoscaling; scaling != nil {
		return min(max(asked, MinReplicas(scaling)), scaling.MaxReplicas)
	}
	return asked
}

// MinReplicas is the least number of pods that autoscaling may choose.
func MinReplicas(scaling *v1alpha1.Autoscaling) int32 {
	return valueOr(scaling.MinReplicas, defaultReplicas)
}

// MakeReplicas says how many pods a Deployment has, and nothing else of it.
func MakeReplicas(endpoint *v1alpha1.WeChatEndpoint, replicas int32) *apps.DeploymentApplyConfiguration {
	return apps.Deployment(Name(endpoint), endpoint.Namespace).WithSpec(apps.DeploymentSpec().WithReplicas(replicas))
}

func makeAutoscaler(endpoint *v1alpha1.WeChatEndpoint, scaling *v1alpha1.Autoscaling) *autoscaling.HorizontalPodAutoscalerApplyConfiguration {
	return autoscaling.HorizontalPodAutoscaler(Name(endpoint), endpoint.Namespace).
		WithLabels(Labels(endpoint)).WithOwnerReferences(owner(endpoint)).
		WithSpec(autoscaling.HorizontalPodAutoscalerSpec().
			WithScaleTargetRef(autoscaling.CrossVersionObjectReference().
				WithAPIVersion("apps/v1").WithKind("Deployment").WithName(Name(endpoint))).
			WithMinReplicas(MinReplicas(scaling)).
			WithMaxReplicas(scaling.MaxReplicas).
			WithMetrics(autoscaling.MetricSpec().
				WithType(autoscalingv2.ResourceMetricSourceType).
				WithResource(autoscaling.ResourceMetricSource().
					WithName(corev1.ResourceCPU).
					WithTarget(autoscaling.MetricTarget().
						WithType(autoscalingv2.UtilizationMetricType).
						WithAverageUtilization(valueOr(scaling.TargetCPUUtilizationPercentage, defaultUtilization))))))
}

func valueOr(given *int32, otherwise int32) int32 {
	if given == nil {
		return otherwise
	}
	return *given
}
