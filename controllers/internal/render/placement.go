// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	core "k8s.io/client-go/applyconfigurations/core/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// choose takes each field from the endpoint, or from the defaults of the installation where the endpoint leaves it out.
func choose(own, defaults v1alpha1.SidecarPod) v1alpha1.SidecarPod {
	if own.Resources == nil {
		own.Resources = defaults.Resources
	}
	if own.NodeSelector == nil {
		own.NodeSelector = defaults.NodeSelector
	}
	if own.Tolerations == nil {
		own.Tolerations = defaults.Tolerations
	}
	if own.Affinity == nil {
		own.Affinity = defaults.Affinity
	}
	if own.ImagePullSecrets == nil {
		own.ImagePullSecrets = defaults.ImagePullSecrets
	}
	if own.PriorityClassName == "" {
		own.PriorityClassName = defaults.PriorityClassName
	}
	return own
}

// place says where the pod runs, how its image is pulled, and whom it may push aside. An empty field is not written: it
// would be asked for and never be stored, which would look like a change for ever.
func place(spec *core.PodSpecApplyConfiguration, pod v1alpha1.SidecarPod) error {
	if len(pod.NodeSelector) > 0 {
		spec.WithNodeSelector(pod.NodeSelector)
	}
	for _, given := range pod.Tolerations {
		spec.WithTolerations(makeToleration(given))
	}
	for _, name := range pullSecrets(pod.ImagePullSecrets) {
		spec.WithImagePullSecrets(core.LocalObjectReference().WithName(name))
	}
	if pod.PriorityClassName != "" {
		spec.WithPriorityClassName(pod.PriorityClassName)
	}
	affinity, err := makeAffinity(pod.Affinity)
	spec.Affinity = affinity
	return err
}

// pullSecrets are the names in an order of their own: the API server keys the list by them.
func pullSecrets(given []v1alpha1.PullSecret) []string {
	var names []string
	for _, secret := range given {
		names = append(names, secret.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func makeToleration(given corev1.Toleration) *core.TolerationApplyConfiguration {
	toleration := core.Toleration()
	if given.Key != "" {
		toleration.WithKey(given.Key)
	}
	if given.Operator != "" {
		toleration.WithOperator(given.Operator)
	}
	if given.Value != "" {
		toleration.WithValue(given.Value)
	}
	if given.Effect != "" {
		toleration.WithEffect(given.Effect)
	}
	toleration.TolerationSeconds = given.TolerationSeconds
	return toleration
}

// makeAffinity takes the affinity as it is, by way of the JSON that both types share. Sections without a term say nothing,
// and are left out.
func makeAffinity(given *corev1.Affinity) (*core.AffinityApplyConfiguration, error) {
	said := given.DeepCopy()
	if said == nil {
		return nil, nil
	}
	if a := said.NodeAffinity; a != nil && a.RequiredDuringSchedulingIgnoredDuringExecution == nil && len(a.PreferredDuringSchedulingIgnoredDuringExecution) == 0 {
		said.NodeAffinity = nil
	}
	if a := said.PodAffinity; a != nil && len(a.RequiredDuringSchedulingIgnoredDuringExecution)+len(a.PreferredDuringSchedulingIgnoredDuringExecution) == 0 {
		said.PodAffinity = nil
	}
	if a := said.PodAntiAffinity; a != nil && len(a.RequiredDuringSchedulingIgnoredDuringExecution)+len(a.PreferredDuringSchedulingIgnoredDuringExecution) == 0 {
		said.PodAntiAffinity = nil
	}
	if *said == (corev1.Affinity{}) {
		return nil, nil
	}
	text, err := json.Marshal(said)
	if err != nil {
		return nil, fmt.Errorf("writing the affinity: %w", err)
	}
	affinity := core.Affinity()
	if err := json.Unmarshal(text, affinity); err != nil {
		return nil, fmt.Errorf("reading the affinity: %w", err)
	}
	return affinity, nil
}
