//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// TestDeletedServiceComesBack deletes a child by hand.
func TestDeletedServiceComesBack(t *testing.T) {
	t.Parallel()
	s := newStage(t, "deleted-service")
	s.serve(t)
	key := client.ObjectKey{Namespace: s.namespace, Name: childName}
	var service corev1.Service
	if err := kube.Get(t.Context(), key, &service); err != nil {
		t.Fatal(err)
	}
	if err := kube.Delete(t.Context(), &service); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "another Service", func(ctx context.Context) error {
		var another corev1.Service
		err := kube.Get(ctx, key, &another)
		if err == nil && another.UID == service.UID {
			err = errors.New("the old one is still there")
		}
		return err
	})
	s.awaitPublished(t)
	eventually(t, patience, "an event that says so", func(ctx context.Context) error {
		var events corev1.EventList
		err := kube.List(ctx, &events, client.InNamespace(s.namespace))
		found := slices.ContainsFunc(events.Items, func(e corev1.Event) bool {
			return e.Reason == v1alpha1.ReasonChildRecreated && e.InvolvedObject.Name == endpointName
		})
		if err == nil && !found {
			err = fmt.Errorf("none of %d events has the reason %s", len(events.Items), v1alpha1.ReasonChildRecreated)
		}
		return err
	})
}

// TestDeletedEndpointLeavesNothing compares everything in the namespace before the endpoint and after it.
func TestDeletedEndpointLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, "deleted-endpoint")
	s.create(t, s.secret())
	before := s.inventory(t)
	s.create(t, s.endpoint())
	s.awaitReady(t)
	s.awaitPublished(t)
	made := s.inventory(t)
	for _, kind := range []string{"Deployment", "Service", "ServiceAccount", "Secret", "Ingress", "PodDisruptionBudget", "NetworkPolicy"} {
		if name := kind + " " + s.namespace + "/" + childName; !slices.Contains(made, name) {
			t.Errorf("there is no %s", name)
		}
	}
	if err := kube.Delete(t.Context(), s.endpoint()); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "what was made for the endpoint to be gone", func(context.Context) error {
		var left []string
		for _, name := range s.inventory(t) {
			if !slices.Contains(before, name) {
				left = append(left, name)
			}
		}
		if len(left) > 0 {
			return errors.New(strings.Join(left, ", "))
		}
		return nil
	})
	after := s.inventory(t)
	for _, name := range before {
		if !slices.Contains(after, name) {
			t.Errorf("%s is gone, too", name)
		}
	}
	if answer, err := s.sender().URLCheck(t.Context()); err != nil || answer.Status == 200 {
		t.Errorf("the URL still answers with %d (%v)", answer.Status, err)
	}
}

// inventory lists all that is in the namespace, but what changes by itself.
func (s *stage) inventory(t *testing.T) []string {
	t.Helper()
	found, err := kube.inventory(t.Context(), client.InNamespace(s.namespace))
	if err != nil {
		t.Fatal(err)
	}
	return found.without(restless...).names()
}

// TestForeignObjectIsNotTouched gives an object that is somebody's own the name of a child.
func TestForeignObjectIsNotTouched(t *testing.T) {
	t.Parallel()
	s := newStage(t, "foreign-object")
	foreign := &corev1.Secret{ObjectMeta: s.object(childName), Data: map[string][]byte{"mine": []byte("keep it")}}
	s.create(t, foreign, s.secret(), s.endpoint())
	message := s.await(t, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonNameTaken)
	if !strings.Contains(message, "Secret") || !strings.Contains(message, childName) {
		t.Errorf("the message does not name the object: %s", message)
	}
	s.await(t, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNameTaken)
	var now corev1.Secret
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(foreign), &now); err != nil || now.ResourceVersion != foreign.ResourceVersion {
		t.Fatalf("the object was changed: %+v, %v", now, err)
	}
	if err := kube.Delete(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	s.awaitReady(t)
	s.awaitPublished(t)
}

// TestForeignObjectsOfEveryKindAreSeen gives a foreign object of each kind the name of a child, each of another endpoint. Those
// that the operator's cache does not hold it reads past it.
func TestForeignObjectsOfEveryKindAreSeen(t *testing.T) {
	t.Parallel()
	s := newStage(t, "foreign-kinds")
	s.create(t, s.secret())
	labels := map[string]string{"app": "theirs"}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	for kind, foreign := range map[string]client.Object{
		"NetworkPolicy": &networkingv1.NetworkPolicy{},
		"HorizontalPodAutoscaler": &autoscalingv2.HorizontalPodAutoscaler{Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "theirs"}, MaxReplicas: 1,
		}},
		"ServiceAccount": &corev1.ServiceAccount{},
		"Secret":         &corev1.Secret{},
		"Deployment": &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: new(int32(0)), Selector: selector, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "theirs", Image: "theirs"}}},
		}}},
		"PodDisruptionBudget": &policyv1.PodDisruptionBudget{Spec: policyv1.PodDisruptionBudgetSpec{Selector: selector}},
		"Service":             &corev1.Service{Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Port: 80}}}},
		"Ingress": &networkingv1.Ingress{Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{
			Service: &networkingv1.IngressServiceBackend{Name: appName, Port: networkingv1.ServiceBackendPort{Number: 8080}},
		}}},
	} {
		t.Run(kind, func(t *testing.T) {
			one := *s
			one.name = strings.ToLower(kind)
			one.host = one.name + "." + s.host
			foreign.SetNamespace(s.namespace)
			foreign.SetName(one.name + "-sidecar")
			size := withReplicas(0)
			if kind == "HorizontalPodAutoscaler" {
				size = func(spec *v1alpha1.WeChatEndpointSpec) {
					spec.Sidecar.Autoscaling = &v1alpha1.Autoscaling{MaxReplicas: 3}
				}
			}
			one.create(t, foreign, one.endpoint(size))
			message := one.await(t, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonNameTaken)
			if !strings.Contains(message, kind+" "+foreign.GetName()) {
				t.Errorf("the message does not name the object: %s", message)
			}
			if err := kube.Get(t.Context(), client.ObjectKeyFromObject(foreign), foreign); err != nil || len(foreign.GetOwnerReferences()) > 0 {
				t.Errorf("the object was changed: %+v, %v", foreign, err)
			}
		})
	}
}

// TestURLConflict lets two endpoints ask for one URL: the one that holds it goes on, and the other says why it does not.
func TestURLConflict(t *testing.T) {
	t.Parallel()
	s := newStage(t, "conflict")
	s.serve(t)
	second := s.endpoint()
	second.Name = "second"
	s.create(t, second)
	eventually(t, patience, "the second endpoint to be refused", func(ctx context.Context) error {
		if err := kube.Get(ctx, client.ObjectKeyFromObject(second), second); err != nil {
			return err
		}
		for _, c := range second.Status.Conditions {
			if c.Type == v1alpha1.ConditionAccepted && c.Status == metav1.ConditionFalse && c.Reason == v1alpha1.ReasonURLConflict && strings.Contains(c.Message, endpointName) {
				return nil
			}
		}
		return fmt.Errorf("its conditions are %+v", second.Status.Conditions)
	})
	s.replies(t, s.text(t, "still mine"), "still mine")
	s.awaitReady(t)
}

// TestPaused takes the operator's hands off an endpoint, which goes on serving, and puts them on again.
func TestPaused(t *testing.T) {
	t.Parallel()
	s := newStage(t, "paused")
	s.serve(t)
	document := &corev1.Secret{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: childName}, document); err != nil {
		t.Fatal(err)
	}
	s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.Paused = true })
	s.awaitPaused(t)

	budget := &policyv1.PodDisruptionBudget{ObjectMeta: s.object(childName)}
	if err := kube.Delete(t.Context(), budget); err != nil {
		t.Fatal(err)
	}
	// When the operator has seen this change, it has seen the deletion before it.
	s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) {
		spec.Backend.Deadline = &metav1.Duration{Duration: 2 * time.Second}
	})
	s.awaitPaused(t)
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(budget), budget); !apierrors.IsNotFound(err) {
		t.Errorf("the PodDisruptionBudget is back, although the endpoint is paused (%v)", err)
	}
	now := &corev1.Secret{}
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(document), now); err != nil || now.ResourceVersion != document.ResourceVersion {
		t.Errorf("the configuration was changed, although the endpoint is paused (%v)", err)
	}
	s.replies(t, s.text(t, "served while paused"), "served while paused")

	s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.Paused = false })
	s.awaitReady(t)
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(budget), budget); err != nil {
		t.Errorf("the PodDisruptionBudget is not back: %v", err)
	}
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(document), now); err != nil || now.ResourceVersion == document.ResourceVersion {
		t.Errorf("the configuration was not changed after the pause (%v)", err)
	}
}

// awaitPaused waits until the operator says, of this generation, that it keeps its hands off.
func (s *stage) awaitPaused(t *testing.T) {
	t.Helper()
	eventually(t, patience, "the operator to say that it is paused", func(ctx context.Context) error {
		endpoint, err := s.current(ctx)
		if err != nil {
			return err
		}
		for _, c := range endpoint.Status.Conditions {
			if c.Reason == v1alpha1.ReasonPaused && c.ObservedGeneration == endpoint.Generation {
				return nil
			}
		}
		return fmt.Errorf("the conditions are %+v", endpoint.Status.Conditions)
	})
}

// TestScaledToZero stops the sidecars, and starts them.
func TestScaledToZero(t *testing.T) {
	t.Parallel()
	s := newStage(t, "scaled-to-zero")
	s.serve(t)
	s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) { *spec.Sidecar.Replicas = 0 })
	s.await(t, v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, v1alpha1.ReasonScaledToZero)
	eventually(t, patience, "the URL to answer no more", func(ctx context.Context) error {
		if diagnose.URLCheck(s.sender().URLCheck(ctx)) == nil {
			return errors.New("it answers")
		}
		return nil
	})
	s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) { *spec.Sidecar.Replicas = 1 })
	s.awaitReady(t)
	s.awaitPublished(t)
}
