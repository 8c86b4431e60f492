//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestAutoscaling places the pods, leaves their number to an autoscaler, and takes it back, while messages come. There is no
// metrics API here, so that the autoscaler keeps the pods as many as they are.
func TestAutoscaling(t *testing.T) {
	t.Parallel()
	s := newStage(t, "autoscaling")
	s.serve(t, func(spec *v1alpha1.WeChatEndpointSpec) {
		spec.Sidecar.NodeSelector = map[string]string{corev1.LabelOSStable: "linux"}
		spec.Sidecar.Tolerations = []corev1.Toleration{{Key: "edge", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}}
		spec.Sidecar.Autoscaling = &v1alpha1.Autoscaling{MinReplicas: new(int32(2)), MaxReplicas: 3}
	})
	pods, err := s.pods(t.Context(), client.MatchingLabels{v1alpha1.LabelEndpoint: s.name})
	if err != nil || len(pods) != 2 {
		t.Fatalf("there are %d pods, not the autoscaler's least (%v)", len(pods), err)
	}
	for _, pod := range pods {
		if pod.Spec.NodeSelector[corev1.LabelOSStable] != "linux" || pod.Spec.Tolerations[0].Key != "edge" {
			t.Errorf("pod %s is placed by %v and %+v", pod.Name, pod.Spec.NodeSelector, pod.Spec.Tolerations)
		}
	}
	before := s.sidecars(t)
	stop := s.load(t)
	scaler := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: s.object(childName)}
	eventually(t, patience, "the autoscaler to have looked for metrics", func(ctx context.Context) error {
		if err := kube.Get(ctx, client.ObjectKeyFromObject(scaler), scaler); err != nil {
			return err
		}
		for _, condition := range scaler.Status.Conditions {
			if condition.Type == autoscalingv2.ScalingActive && condition.Status == corev1.ConditionFalse {
				return nil
			}
		}
		return fmt.Errorf("its conditions are %+v", scaler.Status.Conditions)
	})
	after := s.sidecars(t)
	for uid := range before {
		if _, found := after[uid]; !found || len(after) != 2 {
			t.Errorf("the pods were %v and are %v", before, after)
		}
	}

	s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) {
		spec.Sidecar.Autoscaling, spec.Sidecar.Replicas = nil, new(int32(1))
	})
	eventually(t, patience, "one pod, without an autoscaler", func(ctx context.Context) error {
		err := kube.Get(ctx, client.ObjectKeyFromObject(scaler), scaler)
		if err == nil {
			return errors.New("the autoscaler is still there")
		}
		if !apierrors.IsNotFound(err) {
			return err
		}
		pods, err := s.pods(ctx, client.MatchingLabels{v1alpha1.LabelEndpoint: s.name})
		if err == nil && len(pods) != 1 {
			err = fmt.Errorf("there are %d pods", len(pods))
		}
		return err
	})
	s.awaitReady(t)
	stop()
}
