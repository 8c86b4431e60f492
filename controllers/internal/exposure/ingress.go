// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package exposure

import (
	"cmp"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

// judgeIngress has no status to go by but the address, which many controllers do not report.
func judgeIngress(options *installation.Options, s *snapshot.Snapshot, applied bool) (Route, *verdict.Problem) {
	if problem := checkClass(options, s); problem != nil {
		return Route{}, problem
	}
	ingress := s.Ingress
	there := ingress != nil && s.Owns(string(v1alpha1.ExposureIngress)) && publishes(ingress, s.Endpoint)
	if !applied && !there {
		return Route{}, NotYet()
	}
	if ingress != nil && ingress.Spec.IngressClassName == nil {
		return Route{}, verdict.Problemf(v1alpha1.ReasonIngressClassNotFound,
			"Ingress %s was made before the cluster had a default class and has none: set url.ingress.className", ingress.Name)
	}
	if !there {
		return Route{Kind: v1alpha1.ExposureIngress, SettlesIn: ingressSettles}, nil
	}
	return Route{
		Kind: v1alpha1.ExposureIngress, SettlesIn: Settles(s) - s.Now.Sub(ingress.CreationTimestamp.Time),
		Address: addressOf(ingress.Status.LoadBalancer), Secure: len(ingress.Spec.TLS) > 0,
	}, nil
}

func addressOf(status networkingv1.IngressLoadBalancerStatus) string {
	if len(status.Ingress) == 0 {
		return ""
	}
	return cmp.Or(status.Ingress[0].IP, status.Ingress[0].Hostname)
}

// publishes reports whether the Ingress has all routes of the endpoint.
func publishes(ingress *networkingv1.Ingress, endpoint *v1alpha1.WeChatEndpoint) bool {
	return !slices.ContainsFunc(render.Routes(endpoint), func(route render.Route) bool {
		return !publishesRoute(ingress, endpoint.Spec.URL.Host, route)
	})
}

func publishesRoute(ingress *networkingv1.Ingress, host string, route render.Route) bool {
	return slices.ContainsFunc(ingress.Spec.Rules, func(rule networkingv1.IngressRule) bool {
		return rule.Host == host && rule.HTTP != nil && slices.ContainsFunc(rule.HTTP.Paths, func(p networkingv1.HTTPIngressPath) bool {
			return p.Path == route.Path && p.PathType != nil && *p.PathType == route.PathType()
		})
	})
}

// checkClass says whether the class that the endpoint's Ingress names, or the default one, exists. Where classes cannot be seen, it must
// be named: the default one is not known then.
func checkClass(options *installation.Options, s *snapshot.Snapshot) *verdict.Problem {
	wanted := ""
	if tuning := s.Endpoint.Spec.URL.Ingress; tuning != nil {
		wanted = tuning.ClassName
	}
	if !options.SeesCluster() {
		if wanted != "" {
			return nil
		}
		return verdict.Problemf(v1alpha1.ReasonIngressClassNotFound,
			"this installation sees no IngressClasses, so that it does not know the cluster's default one: set url.ingress.className, which the platform team can tell")
	}
	names := make([]string, 0, len(s.Classes))
	for _, class := range s.Classes {
		isDefault := class.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true"
		if class.Name == wanted || wanted == "" && isDefault {
			return nil
		}
		names = append(names, class.Name)
	}
	slices.Sort(names)
	there := "there is none: install an ingress controller"
	if len(names) > 0 {
		there = "set url.ingress.className to one of: " + strings.Join(names, ", ")
	}
	if wanted == "" {
		return verdict.Problemf(v1alpha1.ReasonIngressClassNotFound, "no IngressClass is the cluster's default; %s", there)
	}
	return verdict.Problemf(v1alpha1.ReasonIngressClassNotFound, "IngressClass %s does not exist; %s", wanted, there)
}

// checkCertificate says that the Secret with the certificate does not exist. That it is wrong is for the ingress controller to say.
func checkCertificate(s *snapshot.Snapshot) *verdict.Problem {
	if !s.MissingTLS {
		return nil
	}
	return verdict.Problemf(v1alpha1.ReasonTLSSecretNotFound,
		"Secret %s does not exist: make it, or correct url.ingress.tlsSecretName", s.Endpoint.Spec.URL.Ingress.TLSSecretName)
}
