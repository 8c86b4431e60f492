//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestWhatPodsAreAskedToBeIsWrittenOnce: whatever the API server makes of it, a second look finds nothing to write.
func TestWhatPodsAreAskedToBeIsWrittenOnce(t *testing.T) {
	term := corev1.PodAffinityTerm{
		TopologyKey: "zone", LabelSelector: &metav1.LabelSelector{}, NamespaceSelector: &metav1.LabelSelector{},
		MatchLabelKeys: []string{"pod-template-hash"},
	}
	linux := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
		{Key: "kubernetes.io/os", Operator: corev1.NodeSelectorOpIn, Values: []string{"linux"}},
		{Key: "gone", Operator: corev1.NodeSelectorOpDoesNotExist, Values: []string{}},
	}}
	for name, pod := range map[string]v1alpha1.SidecarPod{
		"nothing": {},
		"a place": {
			NodeSelector: map[string]string{"kubernetes.io/os": "linux", "disk": ""},
			Tolerations: []corev1.Toleration{
				{Operator: corev1.TolerationOpExists},
				{Key: "a", Value: "b"},
				{Key: "edge", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(0))},
			},
			ImagePullSecrets:  []v1alpha1.PullSecret{{Name: "second"}, {Name: "first"}},
			PriorityClassName: "callbacks",
		},
		"an affinity of every kind": {Affinity: &corev1.Affinity{
			NodeAffinity: &corev1.NodeAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution:  &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{linux, {}}},
				PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 1, Preference: linux}},
			},
			PodAffinity: &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{Weight: 100, PodAffinityTerm: term}}},
			PodAntiAffinity: &corev1.PodAntiAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: "kubernetes.io/hostname"}, term},
			},
		}},
		"sections that say nothing": {Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}, PodAntiAffinity: &corev1.PodAntiAffinity{}}},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := newNamespace(t)
			endpoint := newEndpoint(namespace)
			endpoint.Spec.Sidecar.SidecarPod = pod
			create(t, endpoint)
			awaitObserved(t, endpoint)
			before := untouchedByPath(t, namespace)
			change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Backend.Path = "/again" })
			awaitObserved(t, endpoint)
			if diff := cmp.Diff(before, untouchedByPath(t, namespace)); diff != "" {
				t.Errorf("the second look wrote again (-first +second):\n%s", diff)
			}
		})
	}
}

// TestPodsAreNoLongerAskedToBeAnything takes each field back.
func TestPodsAreNoLongerAskedToBeAnything(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.Sidecar.SidecarPod = v1alpha1.SidecarPod{
		NodeSelector:      map[string]string{"disk": "ssd"},
		Tolerations:       []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
		Affinity:          &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: "zone"}}}},
		ImagePullSecrets:  []v1alpha1.PullSecret{{Name: "regcred"}},
		PriorityClassName: "callbacks",
	}
	create(t, endpoint)
	awaitObserved(t, endpoint)
	deployment := children(namespace)[2].(*appsv1.Deployment)
	awaitChild(t, deployment)
	if pod := deployment.Spec.Template.Spec; pod.NodeSelector["disk"] != "ssd" || len(pod.Tolerations) != 1 || pod.Affinity == nil ||
		pod.ImagePullSecrets[0].Name != "regcred" || pod.PriorityClassName != "callbacks" {
		t.Fatalf("the pods are asked to be %+v", pod)
	}
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Sidecar.SidecarPod = v1alpha1.SidecarPod{} })
	awaitObserved(t, endpoint)
	awaitChild(t, deployment)
	if pod := deployment.Spec.Template.Spec; pod.NodeSelector != nil || pod.Tolerations != nil || pod.Affinity != nil ||
		pod.ImagePullSecrets != nil || pod.PriorityClassName != "" {
		t.Errorf("the pods are still asked to be %+v", pod)
	}
}

// awaitObserved waits until the status speaks of the newest generation, which is stored after the children.
func awaitObserved(t *testing.T, endpoint *v1alpha1.WeChatEndpoint) {
	t.Helper()
	eventually(t, func() string {
		if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(endpoint), endpoint); err != nil {
			return err.Error()
		}
		if endpoint.Status.ObservedGeneration != endpoint.Generation {
			return fmt.Sprintf("generation %d is not observed but %d: %+v", endpoint.Generation, endpoint.Status.ObservedGeneration, endpoint.Status.Conditions)
		}
		return ""
	})
}

// untouchedByPath are the versions of the children that another backend.path does not concern.
func untouchedByPath(t *testing.T, namespace string) map[string]string {
	t.Helper()
	versions := resourceVersions(t, namespace)
	policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar"}}
	awaitChild(t, policy)
	versions["NetworkPolicy"] = policy.ResourceVersion
	for _, concerned := range []string{"*v1.Secret", "*v1alpha1.WeChatEndpoint"} {
		delete(versions, concerned)
	}
	return versions
}

// TestServiceOfOneFamilyBecomesDualStackWhereItCan: this API server has one family, gives that one, and is not asked again.
// A Service from before asked for no policy.
func TestServiceOfOneFamilyBecomesDualStackWhereItCan(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	create(t, endpoint)
	awaitObserved(t, endpoint)
	service := children(namespace)[4].(*corev1.Service)
	awaitChild(t, service)
	if service.Spec.IPFamilyPolicy == nil || *service.Spec.IPFamilyPolicy != corev1.IPFamilyPolicyPreferDualStack || len(service.Spec.IPFamilies) != 1 {
		t.Fatalf("the Service has the policy %v and the families %v", service.Spec.IPFamilyPolicy, service.Spec.IPFamilies)
	}
	address := service.Spec.ClusterIP
	change(t, service, func(s *corev1.Service) { s.Spec.IPFamilyPolicy = new(corev1.IPFamilyPolicySingleStack) })
	eventually(t, func() string {
		awaitChild(t, service)
		if policy := *service.Spec.IPFamilyPolicy; policy != corev1.IPFamilyPolicyPreferDualStack {
			return "the policy is " + string(policy)
		}
		return ""
	})
	if service.Spec.ClusterIP != address {
		t.Errorf("the Service had the address %s and has %s", address, service.Spec.ClusterIP)
	}
}
