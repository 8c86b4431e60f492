// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	networkingv1 "k8s.io/api/networking/v1"
	networking "k8s.io/client-go/applyconfigurations/networking/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// makeIngress publishes the path and its twin with a trailing slash, both exactly: what else is below the host is not
// ours to route.
func makeIngress(endpoint *v1alpha1.WeChatEndpoint) *networking.IngressApplyConfiguration {
	url := endpoint.Spec.URL
	ingress := networking.Ingress(Name(endpoint), endpoint.Namespace).
		WithLabels(Labels(endpoint)).WithOwnerReferences(owner(endpoint))
	rule := networking.IngressRule().WithHTTP(networking.HTTPIngressRuleValue().
		WithPaths(ingressPath(endpoint, url.Path), ingressPath(endpoint, url.Path+"/")))
	if url.Host != "" {
		rule.WithHost(url.Host)
	}
	spec := networking.IngressSpec().WithRules(rule)
	if tuning := url.Ingress; tuning != nil {
		if tuning.ClassName != "" {
			spec.WithIngressClassName(tuning.ClassName)
		}
		if tuning.TLSSecretName != "" {
			spec.WithTLS(networking.IngressTLS().WithHosts(url.Host).WithSecretName(tuning.TLSSecretName))
		}
		if len(tuning.Annotations) > 0 {
			ingress.WithAnnotations(tuning.Annotations)
		}
	}
	return ingress.WithSpec(spec)
}

func ingressPath(endpoint *v1alpha1.WeChatEndpoint, path string) *networking.HTTPIngressPathApplyConfiguration {
	return networking.HTTPIngressPath().WithPath(path).WithPathType(networkingv1.PathTypeExact).
		WithBackend(networking.IngressBackend().WithService(networking.IngressServiceBackend().
			WithName(Name(endpoint)).WithPort(networking.ServiceBackendPort().WithName(portCallback))))
}
