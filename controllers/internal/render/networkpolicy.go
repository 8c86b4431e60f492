// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	meta "k8s.io/client-go/applyconfigurations/meta/v1"
	networking "k8s.io/client-go/applyconfigurations/networking/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// operatorName is the name of the operator's pods, by chart and kustomization.
const operatorName = "wechatendpoint-operator"

// portsDNS are where cluster DNS listens: 53, and 5353 where its pods may not bind a low port.
var portsDNS = []int32{53, 5353}

// NetworkPolicy is an installation's choice of who may reach the sidecars' pods, and whom they may.
type NetworkPolicy struct {
	// Enabled gives the pods of every endpoint and gateway a NetworkPolicy. It takes a network that enforces them.
	Enabled bool `json:"enabled,omitempty"`
	// MetricsFrom selects namespaces whose pods may reach the second port, beside the operator's: those that read metrics.
	MetricsFrom []metav1.LabelSelector `json:"metricsFrom,omitempty"`
	// Egress lets the pods reach nothing but DNS, each other and the namespaces of their endpoints' backends and of the collector of traces.
	Egress bool `json:"egress,omitempty"`
}

// makeNetworkPolicy lets callbacks in from anywhere, because where an ingress controller or a load balancer stands is not
// known, and to the second port nobody but the operator, those who read metrics, and the pods of the same fleet. The kubelet's probes come
// from the node of the pod, which a NetworkPolicy does not keep out. What the API server would fill in is written out.
func makeNetworkPolicy(p pods) *networking.NetworkPolicyApplyConfiguration {
	operator := namespaced(p.OperatorNamespace).
		WithPodSelector(meta.LabelSelector().WithMatchLabels(map[string]string{"app.kubernetes.io/name": operatorName}))
	readers := networking.NetworkPolicyIngressRule().WithPorts(port(corev1.ProtocolTCP, NumberOps)).WithFrom(operator)
	for _, namespaces := range p.NetworkPolicy.MetricsFrom {
		readers.WithFrom(networking.NetworkPolicyPeer().WithNamespaceSelector(makeSelector(namespaces)))
	}
	spec := networking.NetworkPolicySpec().
		WithPodSelector(meta.LabelSelector().WithMatchLabels(p.selector())).
		WithPolicyTypes(networkingv1.PolicyTypeIngress).
		WithIngress(networking.NetworkPolicyIngressRule().WithPorts(port(corev1.ProtocolTCP, NumberHTTP)), readers,
			networking.NetworkPolicyIngressRule().WithPorts(port(corev1.ProtocolTCP, NumberOps)).WithFrom(p.peers()))
	if p.NetworkPolicy.Egress {
		spec.WithPolicyTypes(networkingv1.PolicyTypeEgress).WithEgress(p.makeEgress()...)
	}
	return networking.NetworkPolicy(p.Name, p.Namespace).
		WithLabels(p.labels()).WithOwnerReferences(p.reference()).WithSpec(spec)
}

// reaches are the namespaces that the pods call, each once.
func (p pods) reaches() []string {
	called := slices.Clone(p.backends)
	if collector := p.Tracing.Namespace(); collector != "" {
		called = append(called, collector)
	}
	slices.Sort(called)
	return slices.Compact(called)
}

// peers are the pods of the fleet.
func (p pods) peers() *networking.NetworkPolicyPeerApplyConfiguration {
	return networking.NetworkPolicyPeer().WithPodSelector(meta.LabelSelector().WithMatchLabels(p.selector()))
}

// makeEgress lets the sidecar look names up and call the other pods of the fleet, its apps and the collector of traces. DNS is allowed
// anywhere: it may be a cache on the node, which no selector names. Ports of apps are not compared: a policy sees the pod's port, and an
// endpoint names the Service's.
func (p pods) makeEgress() []*networking.NetworkPolicyEgressRuleApplyConfiguration {
	names := networking.NetworkPolicyEgressRule()
	for _, number := range portsDNS {
		names.WithPorts(port(corev1.ProtocolUDP, number), port(corev1.ProtocolTCP, number))
	}
	others := networking.NetworkPolicyEgressRule().WithPorts(port(corev1.ProtocolTCP, NumberOps)).WithTo(p.peers())
	called := p.reaches()
	if len(called) == 0 {
		return []*networking.NetworkPolicyEgressRuleApplyConfiguration{names, others} // a rule without peers would allow all
	}
	apps := networking.NetworkPolicyEgressRule()
	for _, namespace := range called {
		apps.WithTo(namespaced(namespace))
	}
	return []*networking.NetworkPolicyEgressRuleApplyConfiguration{names, others, apps}
}

// backendNamespaces are those of all the endpoint's backends, each once.
func backendNamespaces(endpoint *v1alpha1.WeChatEndpoint) []string {
	namespaces := []string{cmp.Or(endpoint.Spec.Backend.Service.Namespace, endpoint.Namespace)}
	for _, rule := range endpoint.Spec.Rules {
		if rule.Backend != nil {
			namespaces = append(namespaces, cmp.Or(rule.Backend.Service.Namespace, endpoint.Namespace))
		}
	}
	slices.Sort(namespaces)
	return slices.Compact(namespaces)
}

// namespaced is any pod of the namespace, which the API server labels with its name.
func namespaced(namespace string) *networking.NetworkPolicyPeerApplyConfiguration {
	return networking.NetworkPolicyPeer().
		WithNamespaceSelector(meta.LabelSelector().WithMatchLabels(map[string]string{corev1.LabelMetadataName: namespace}))
}

func makeSelector(given metav1.LabelSelector) *meta.LabelSelectorApplyConfiguration {
	made := meta.LabelSelector()
	if len(given.MatchLabels) > 0 {
		made.WithMatchLabels(given.MatchLabels)
	}
	for _, expression := range given.MatchExpressions {
		requirement := meta.LabelSelectorRequirement().WithKey(expression.Key).WithOperator(expression.Operator)
		made.WithMatchExpressions(requirement.WithValues(expression.Values...))
	}
	return made
}

func port(protocol corev1.Protocol, number int32) *networking.NetworkPolicyPortApplyConfiguration {
	return networking.NetworkPolicyPort().WithProtocol(protocol).WithPort(intstr.FromInt32(number))
}
