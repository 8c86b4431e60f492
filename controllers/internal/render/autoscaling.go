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

// Replicas is how many pods are asked for: with autoscaling, where it begins.
func Replicas(sidecar v1alpha1.Sidecar) int32 {
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
func MakeReplicas(f Fleet, replicas int32) *apps.DeploymentApplyConfiguration {
	return apps.Deployment(f.Name, f.Namespace).WithSpec(apps.DeploymentSpec().WithReplicas(replicas))
}

func makeAutoscaler(p pods, scaling *v1alpha1.Autoscaling) *autoscaling.HorizontalPodAutoscalerApplyConfiguration {
	return autoscaling.HorizontalPodAutoscaler(p.Name, p.Namespace).
		WithLabels(p.labels()).WithOwnerReferences(p.reference()).
		WithSpec(autoscaling.HorizontalPodAutoscalerSpec().
			WithScaleTargetRef(autoscaling.CrossVersionObjectReference().
				WithAPIVersion("apps/v1").WithKind("Deployment").WithName(p.Name)).
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
