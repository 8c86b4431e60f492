// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	core "k8s.io/client-go/applyconfigurations/core/v1"
	meta "k8s.io/client-go/applyconfigurations/meta/v1"
	policy "k8s.io/client-go/applyconfigurations/policy/v1"
)

// ServicePort is the port of the sidecar's Service, where routes lead. The second port of the pods is not in it.
const ServicePort = 80

func makeService(p pods, leadsTo Fleet) *core.ServiceApplyConfiguration {
	return core.Service(p.Name, p.Namespace).
		WithLabels(p.labels()).WithOwnerReferences(p.reference()).
		WithSpec(core.ServiceSpec().
			WithType(corev1.ServiceTypeClusterIP).
			WithIPFamilyPolicy(corev1.IPFamilyPolicyPreferDualStack). // where there is one family, it gives that one
			WithSelector(leadsTo.selector()).
			WithPorts(core.ServicePort().WithName(portCallback).WithProtocol(corev1.ProtocolTCP).
				WithPort(ServicePort).WithTargetPort(intstr.FromString(portCallback))))
}

// makePeers leads to every ready pod of the fleet, and to no other: each message has one owner among them. Whatever the number of pods, they
// have it, and are told its name: scaling them replaces none. It has one address of each pod, and a port that meshes take for TCP and leave as it is.
func makePeers(p pods) *core.ServiceApplyConfiguration {
	return core.Service(PeersName(p.Name), p.Namespace).
		WithLabels(p.labels()).WithOwnerReferences(p.reference()).
		WithSpec(core.ServiceSpec().
			WithType(corev1.ServiceTypeClusterIP).
			WithClusterIP(corev1.ClusterIPNone).
			WithIPFamilyPolicy(corev1.IPFamilyPolicySingleStack).
			WithSelector(p.selector()).
			WithPorts(core.ServicePort().WithName("tcp-" + portOps).WithProtocol(corev1.ProtocolTCP).
				WithPort(NumberOps).WithTargetPort(intstr.FromString(portOps))))
}

func makePodDisruptionBudget(p pods) *policy.PodDisruptionBudgetApplyConfiguration {
	return policy.PodDisruptionBudget(p.Name, p.Namespace).
		WithLabels(p.labels()).WithOwnerReferences(p.reference()).
		WithSpec(policy.PodDisruptionBudgetSpec().
			WithMaxUnavailable(intstr.FromInt32(1)).
			WithSelector(meta.LabelSelector().WithMatchLabels(p.selector())))
}
