// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// placed has something in every field.
func placed() v1alpha1.SidecarPod {
	return v1alpha1.SidecarPod{
		Resources:    &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1500m")}},
		NodeSelector: map[string]string{"kubernetes.io/os": "linux"},
		Tolerations:  []corev1.Toleration{{Key: "edge", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(60))}},
		Affinity: &corev1.Affinity{
			NodeAffinity: &corev1.NodeAffinity{}, // says nothing
			PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				TopologyKey: "zone", LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "noisy"}},
			}}},
		},
		ImagePullSecrets:  []v1alpha1.PullSecret{{Name: "second"}, {Name: "first"}},
		PriorityClassName: "callbacks",
	}
}

func TestChoose(t *testing.T) {
	other := v1alpha1.SidecarPod{
		Resources:         &corev1.ResourceRequirements{},
		NodeSelector:      map[string]string{},
		Tolerations:       []corev1.Toleration{},
		Affinity:          &corev1.Affinity{},
		ImagePullSecrets:  []v1alpha1.PullSecret{},
		PriorityClassName: "own",
	}
	for name, test := range map[string]struct{ own, defaults, want v1alpha1.SidecarPod }{
		"what is left out is the installation's":    {v1alpha1.SidecarPod{}, placed(), placed()},
		"the endpoint's own goes first":             {placed(), other, placed()},
		"what is empty replaces the installation's": {other, placed(), other},
		"neither says anything":                     {},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, choose(test.own, test.defaults)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
