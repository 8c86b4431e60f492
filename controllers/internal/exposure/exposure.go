// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package exposure decides whether an endpoint's URL is published, and reached. It is pure.
package exposure

import (
	"time"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

// routeSettles is how long a route that replaces another is left alone with it, after it was taken up: ingress controllers
// collect changes for up to some seconds before they act on them.
const routeSettles = 5 * time.Second

// ingressSettles is routeSettles for an Ingress to which no controller gave an address. It has no other status to go by.
const ingressSettles = 30 * time.Second

// Route is what became of the published route. The zero value is none.
type Route struct {
	Kind v1alpha1.Exposure
	// SettlesIn is how long another kind of route is still needed beside it.
	SettlesIn time.Duration
	Address   string // an IP address or a name; empty if none is published
	Secure    bool   // TLS ends there
}

// Judge says whether the route is applied and somebody serves it. Unless an Ingress was applied just now, which the snapshot
// does not show yet, the object must be there and publish this very URL.
func Judge(options *installation.Options, s *snapshot.Snapshot, applied bool) (Route, *verdict.Problem) {
	switch s.Endpoint.Spec.URL.Exposure {
	case v1alpha1.ExposureNone:
		return Route{}, nil
	case v1alpha1.ExposureHTTPRoute:
		return judgeHTTPRoute(options, s)
	default:
		return judgeIngress(options, s, applied)
	}
}

// Settles is how long what publishes the endpoint's URL takes to act on a change of its route.
func Settles(s *snapshot.Snapshot) time.Duration {
	if s.Endpoint.Spec.URL.Exposure == v1alpha1.ExposureIngress && (s.Ingress == nil || len(s.Ingress.Status.LoadBalancer.Ingress) == 0) {
		return ingressSettles
	}
	return routeSettles
}

// Unprogrammable says why the route that the endpoint asks for would lead nowhere, as far as the cluster tells before it is written.
func Unprogrammable(options *installation.Options, s *snapshot.Snapshot) *verdict.Problem {
	switch s.Endpoint.Spec.URL.Exposure {
	case v1alpha1.ExposureNone:
		return nil
	case v1alpha1.ExposureHTTPRoute:
		return checkGateways(options, s)
	default:
		return verdict.First(checkClass(options, s), checkCertificate(s))
	}
}

// NotYet is said of a URL that the operator has not published.
func NotYet() *verdict.Problem {
	return verdict.Waiting("this URL is not published yet: first see to the conditions before this one")
}

// Words say of a route that nothing stands against it, and what was not looked at.
func Words(options *installation.Options, endpoint *v1alpha1.WeChatEndpoint) verdict.Verdict {
	name := render.Name(endpoint)
	switch {
	case endpoint.Spec.URL.Exposure == v1alpha1.ExposureNone:
		return verdict.True(v1alpha1.ReasonNotPublished, "url.exposure is None: route the URL to Service %s, port %d", name, render.ServicePort)
	case endpoint.Spec.URL.Exposure == v1alpha1.ExposureHTTPRoute:
		return verdict.True(v1alpha1.ReasonRouteProgrammed, "HTTPRoute %s is accepted by every Gateway that url.httpRoute names", name)
	case !options.SeesCluster():
		return verdict.True(v1alpha1.ReasonRouteProgrammed, "Ingress %s is applied; the class was not looked up: this installation sees no IngressClasses", name)
	}
	return verdict.True(v1alpha1.ReasonRouteProgrammed, "Ingress %s is applied and its class exists", name)
}

// Left are the routes that another exposure left behind. They are needed until the new one has settled: between them no message is
// lost.
func Left(s *snapshot.Snapshot, now Route) []snapshot.Child {
	var left []snapshot.Child
	for _, child := range s.Children {
		if child.Route && child.Owned && !child.Deleting && now.Kind != "" && child.Kind != string(now.Kind) {
			left = append(left, child)
		}
	}
	return left
}

// Scheme is how the endpoint's URL begins, as far as the cluster tells.
func Scheme(s *snapshot.Snapshot) v1alpha1.Scheme {
	url := s.Endpoint.Spec.URL
	switch {
	case url.Scheme != "":
		return url.Scheme
	case url.Ingress != nil && url.Ingress.TLSSecretName != "":
		return v1alpha1.SchemeHTTPS
	case url.HTTPRoute == nil:
		return v1alpha1.SchemeHTTP
	}
	if _, secure := listener(s); secure {
		return v1alpha1.SchemeHTTPS
	}
	return v1alpha1.SchemeHTTP
}
