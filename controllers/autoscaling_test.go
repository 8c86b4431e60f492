//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apps "k8s.io/client-go/applyconfigurations/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// TestNoPodIsDroppedWhenAutoscalingComesAndGoes looks at every number of pods that the Deployment was ever told.
func TestNoPodIsDroppedWhenAutoscalingComesAndGoes(t *testing.T) {
	for name, test := range map[string]struct {
		before, with, after int32 // spec.sidecar.replicas
		least               int32
		want                []int32
	}{
		"the number stays":                {before: 3, with: 3, after: 3, least: 2, want: []int32{3, 5, 3}},
		"it is lowered on the way":        {before: 4, with: 1, after: 2, least: 2, want: []int32{4, 5, 2}},
		"autoscaling asks for more":       {before: 1, with: 1, after: 6, least: 3, want: []int32{1, 3, 5, 6}},
		"the endpoint was scaled to zero": {before: 0, with: 1, after: 5, least: 2, want: []int32{0, 2, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := newNamespace(t)
			told := recordReplicas(t, namespace)
			endpoint := newEndpoint(namespace)
			endpoint.Spec.Sidecar.Replicas = &test.before
			create(t, endpoint)
			awaitObserved(t, endpoint)

			change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) {
				e.Spec.Sidecar.Replicas, e.Spec.Sidecar.Autoscaling = &test.with, &v1alpha1.Autoscaling{MinReplicas: &test.least, MaxReplicas: 9}
			})
			awaitOwned(t, namespace, false)
			scaler := autoscaler(namespace)
			awaitChild(t, scaler)
			if scaler.Spec.ScaleTargetRef != (autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "shop-sidecar"}) ||
				*scaler.Spec.MinReplicas != test.least || scaler.Spec.MaxReplicas != 9 || *scaler.Spec.Metrics[0].Resource.Target.AverageUtilization != 70 {
				t.Errorf("the autoscaler is %+v", scaler.Spec)
			}
			scale(t, namespace, 5)
			change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Backend.Path = "/again" })
			awaitObserved(t, endpoint)
			awaitOwned(t, namespace, false)

			change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) {
				e.Spec.Sidecar.Replicas, e.Spec.Sidecar.Autoscaling = &test.after, nil
			})
			awaitOwned(t, namespace, true)
			eventually(t, func() string {
				if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(scaler), scaler); !apierrors.IsNotFound(err) {
					return fmt.Sprint("the autoscaler is still there: ", err)
				}
				return ""
			})
			eventually(t, func() string { return cmp.Diff(test.want, told()) })
		})
	}
}

// TestAutoscalingFromTheStart begins where it is asked to, not at the API server's default of one pod.
func TestAutoscalingFromTheStart(t *testing.T) {
	namespace := newNamespace(t)
	told := recordReplicas(t, namespace)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.Sidecar.Replicas, endpoint.Spec.Sidecar.Autoscaling = new(int32(4)), &v1alpha1.Autoscaling{MaxReplicas: 9}
	create(t, endpoint)
	awaitOwned(t, namespace, false)

	scaler := autoscaler(namespace)
	awaitChild(t, scaler)
	before, version := untouchedByPath(t, namespace), scaler.ResourceVersion
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Backend.Path = "/again" })
	awaitObserved(t, endpoint)
	awaitChild(t, scaler)
	if diff := cmp.Diff(before, untouchedByPath(t, namespace)); diff != "" || scaler.ResourceVersion != version {
		t.Errorf("a settled endpoint was written again (-before +after):\n%s", diff)
	}

	scale(t, namespace, 6)
	deployment := children(namespace)[2].(*appsv1.Deployment)
	change(t, deployment, func(d *appsv1.Deployment) { d.Labels = nil }) // so that the operator's cache does not hold it
	eventually(t, func() string {
		awaitChild(t, deployment)
		if len(deployment.Labels) == 0 {
			return "the labels are not back"
		}
		return ""
	})
	awaitOwned(t, namespace, false)
	scale(t, namespace, 0) // an autoscaler leaves that alone
	eventually(t, func() string { return cmp.Diff([]int32{4, 6, 0, 2}, told()) })
}

// TestAutoscaledPodsAreCountedAsTheyWereScaled: Ready speaks of as many pods as there should be now.
func TestAutoscaledPodsAreCountedAsTheyWereScaled(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.Sidecar.Replicas, endpoint.Spec.Sidecar.Autoscaling = new(int32(1)), &v1alpha1.Autoscaling{MinReplicas: new(int32(1)), MaxReplicas: 9}
	create(t, endpoint)
	served, _ := awaitFiles(t, namespace, "a-fine-token")
	cluster.pods.serve("198.51.100.77", served.Generation)
	playPod(t, namespace, "198.51.100.77")
	awaitCondition(t, endpoint, v1alpha1.ConditionSidecarAvailable, metav1.ConditionTrue, v1alpha1.ReasonSidecarAvailable)
	scale(t, namespace, 3)
	wantMessage(t, awaitCondition(t, endpoint, v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, v1alpha1.ReasonProgressing), "1 of 3 pods")
	scale(t, namespace, 1)
	eventually(t, func() string {
		deployment := children(namespace)[2].(*appsv1.Deployment)
		awaitChild(t, deployment)
		deployment.Status.ObservedGeneration = deployment.Generation
		if err := cluster.client.Status().Update(t.Context(), deployment); err != nil {
			return err.Error()
		}
		return ""
	})
	awaitCondition(t, endpoint, v1alpha1.ConditionSidecarAvailable, metav1.ConditionTrue, v1alpha1.ReasonSidecarAvailable)
}

func autoscaler(namespace string) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar"}}
}

// scale does what an autoscaler does.
func scale(t *testing.T, namespace string, replicas int32) {
	t.Helper()
	deployment := children(namespace)[2]
	body := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	if err := cluster.client.SubResource("scale").Update(t.Context(), deployment, client.WithSubResourceBody(body)); err != nil {
		t.Fatal(err)
	}
}

// awaitOwned waits until the operator owns the number of pods, or no longer does.
func awaitOwned(t *testing.T, namespace string, want bool) {
	t.Helper()
	deployment := children(namespace)[2].(*appsv1.Deployment)
	eventually(t, func() string {
		if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(deployment), deployment); err != nil {
			return err.Error()
		}
		owned, err := apps.ExtractDeployment(deployment, render.FieldManager)
		if err == nil && owned.Spec != nil && (owned.Spec.Replicas != nil) == want {
			return ""
		}
		return fmt.Sprintf("want %v: does the operator own spec.replicas?", want)
	})
}

// recordReplicas watches the Deployments of a namespace, and returns a function that tells which numbers of pods they had,
// one after the other.
func recordReplicas(t *testing.T, namespace string) func() []int32 {
	t.Helper()
	watching, err := client.NewWithWatch(cluster.config, client.Options{Scheme: cluster.client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	watch, err := watching.Watch(t.Context(), &appsv1.DeploymentList{}, client.InNamespace(namespace))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watch.Stop)
	var mu sync.Mutex
	var told []int32
	go func() {
		for event := range watch.ResultChan() {
			if deployment, ok := event.Object.(*appsv1.Deployment); ok {
				mu.Lock()
				told = append(told, *deployment.Spec.Replicas)
				mu.Unlock()
			}
		}
	}()
	return func() []int32 {
		mu.Lock()
		defer mu.Unlock()
		return slices.Compact(slices.Clone(told))
	}
}
