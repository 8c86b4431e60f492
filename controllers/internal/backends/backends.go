// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package backends decides where messages go, and whether anything else goes there too. It is pure.
package backends

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// URLs lead to the apps, without paths.
type URLs struct {
	Backend string   // http://host:port, or https://
	Rules   []string // of the backends of spec.rules, in their order; empty where a rule has none
}

// Services names every Service that messages may be sent to, each once.
func Services(endpoint *v1alpha1.WeChatEndpoint) []types.NamespacedName {
	var names []types.NamespacedName
	add := func(reference v1alpha1.ServiceReference) {
		if name := nameOf(endpoint, reference); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	add(endpoint.Spec.Backend.Service)
	for _, rule := range endpoint.Spec.Rules {
		if rule.Backend != nil {
			add(rule.Backend.Service)
		}
	}
	return names
}

func nameOf(endpoint *v1alpha1.WeChatEndpoint, reference v1alpha1.ServiceReference) types.NamespacedName {
	return types.NamespacedName{Namespace: cmp.Or(reference.Namespace, endpoint.Namespace), Name: reference.Name}
}

// Resolve finds the apps. Whatever is wrong: each rule has an entry.
func Resolve(options *installation.Options, s *snapshot.Snapshot) (URLs, *verdict.Problem) {
	spec := s.Endpoint.Spec
	urls := URLs{Rules: make([]string, len(spec.Rules))}
	var problem *verdict.Problem
	if urls.Backend, problem = urlOf(options, s, "backend", &spec.Backend); problem != nil {
		return urls, problem
	}
	for i, rule := range spec.Rules {
		if rule.Backend == nil {
			continue
		}
		if urls.Rules[i], problem = urlOf(options, s, fmt.Sprintf("rules[%d].backend", i), rule.Backend); problem != nil {
			return urls, problem
		}
	}
	return urls, nil
}

// urlOf returns the URL of an app. The field, such as backend or rules[0].backend, is its place in the spec.
func urlOf(options *installation.Options, s *snapshot.Snapshot, field string, backend *v1alpha1.Backend) (string, *verdict.Problem) {
	address, problem := addressOf(options, s, field, backend.Service)
	if problem != nil || backend.TLS == nil {
		return "http://" + address, problem
	}
	if _, err := config.ParseCA(backend.TLS.CABundle); err != nil {
		return "", verdict.Problemf(v1alpha1.ReasonTLSMalformed, "%s.tls.caBundle: %v", field, err)
	}
	return "https://" + address, nil
}

// addressOf returns host:port of an app.
func addressOf(options *installation.Options, s *snapshot.Snapshot, field string, reference v1alpha1.ServiceReference) (string, *verdict.Problem) {
	name := nameOf(s.Endpoint, reference)
	if problem := checkNamespace(options, s, field, name); problem != nil {
		return "", problem
	}
	service := s.Services[name]
	switch {
	case service == nil:
		return "", verdict.Problemf(v1alpha1.ReasonServiceNotFound,
			"Service %s does not exist in namespace %s: create it, or correct %s.service.name", name.Name, name.Namespace, field)
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		return "", verdict.Problemf(v1alpha1.ReasonServiceNotAllowed,
			"Service %s is of type ExternalName, which could lead verified messages out of the cluster, so that it is not called: name a Service with a selector in %s.service.name", name.Name, field)
	case isSidecar(service):
		return "", verdict.Problemf(v1alpha1.ReasonServiceNotAllowed, "Service %s is a sidecar's own: name the Service of the app in %s.service.name", name.Name, field)
	}
	port, ok := findPort(service.Spec.Ports, reference.Port)
	if _, err := strconv.Atoi(reference.Port.StrVal); !ok && err == nil {
		return "", verdict.Problemf(v1alpha1.ReasonPortNotFound, "Service %s has no TCP port of the name %s: write a port's number without quotes, and set %s.service.port to one of %s",
			name.Name, reference.Port.StrVal, field, describePorts(service.Spec.Ports))
	}
	if !ok {
		return "", verdict.Problemf(v1alpha1.ReasonPortNotFound, "Service %s has no TCP port %s: set %s.service.port to one of %s",
			name.Name, reference.Port.String(), field, describePorts(service.Spec.Ports))
	}
	return fmt.Sprintf("%s.%s.svc:%d", name.Name, name.Namespace, port), nil
}

// checkNamespace refuses a Service of another namespace without a grant, before anything is said about the Service: it is nobody's
// business whether it exists. Where this installation may not look, neither the Service nor a grant could be read.
func checkNamespace(options *installation.Options, s *snapshot.Snapshot, field string, service types.NamespacedName) *verdict.Problem {
	mine := s.Endpoint.Namespace
	from := gatewayv1beta1.ReferenceGrantFrom{
		Group: gatewayv1.Group(v1alpha1.GroupVersion.Group), Kind: "WeChatEndpoint", Namespace: gatewayv1.Namespace(mine),
	}
	switch {
	case service.Namespace == mine:
		return nil
	case !options.Sees(service.Namespace):
		return verdict.Problemf(v1alpha1.ReasonReferenceNotGranted,
			"%s.service.namespace is %s, which this installation of the operator does not see: name a Service of the endpoint's own namespace, or ask the platform team to add %s to watchNamespaces",
			field, service.Namespace, service.Namespace)
	case !s.Granted(from, service):
		return verdict.Problemf(v1alpha1.ReasonReferenceNotGranted,
			"Service %s is in namespace %s, which does not allow it to be used from here: ask its team for a ReferenceGrant from WeChatEndpoints of namespace %s to Services, or correct %s.service.namespace",
			service.Name, service.Namespace, mine, field)
	}
	return nil
}

// Called names the Services that a live configuration calls.
func Called(live *config.Config) []types.NamespacedName {
	var names []types.NamespacedName
	for _, backend := range backendsOf(live) {
		if name, ok := Serviced(backend.URL); ok && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Guarded returns a live configuration that calls no Service which is of type ExternalName now: it may have been accepted, and then turned to
// lead verified messages out of the cluster. When it turns back, it is called again.
func Guarded(options *installation.Options, live *config.Config, services map[types.NamespacedName]*corev1.Service) *config.Config {
	if live == nil {
		return nil
	}
	guarded := *live
	guarded.Rules = slices.Clone(live.Rules)
	for i, rule := range guarded.Rules {
		if rule.Backend != nil {
			guarded.Rules[i].Backend = new(*rule.Backend)
		}
	}
	for _, backend := range backendsOf(&guarded) {
		name, ok := Serviced(backend.URL)
		if !ok || !options.Sees(name.Namespace) {
			continue
		}
		backend.URL = Open(backend.URL)
		if service := services[name]; service != nil && service.Spec.Type == corev1.ServiceTypeExternalName {
			backend.URL = Close(backend.URL)
		}
	}
	return &guarded
}

// backendsOf are the backends of a configuration; nil has none.
func backendsOf(c *config.Config) []*config.Backend {
	if c == nil {
		return nil
	}
	backends := []*config.Backend{&c.Backend}
	for i := range c.Rules {
		if backend := c.Rules[i].Backend; backend != nil {
			backends = append(backends, backend)
		}
	}
	return backends
}

// isSidecar reports whether a Service was made for an endpoint or a gateway, as its owner tells.
func isSidecar(service *corev1.Service) bool {
	owner := metav1.GetControllerOfNoCopy(service)
	return owner != nil && owner.APIVersion == v1alpha1.GroupVersion.String()
}

// closedSuffix ends the host of a backend that is not called. No name below invalid. exists (RFC 6761), and the dot at the end keeps resolvers from
// looking for it elsewhere.
const closedSuffix = ".invalid."

// Serviced returns the Service that the URL of a backend leads to, as addressOf made it, closed or not.
func Serviced(backendURL string) (service types.NamespacedName, ok bool) {
	parsed, err := url.Parse(Open(backendURL))
	if err != nil {
		return service, false
	}
	labels := strings.Split(parsed.Hostname(), ".")
	if len(labels) != 3 || labels[2] != "svc" {
		return service, false
	}
	return types.NamespacedName{Namespace: labels[1], Name: labels[0]}, true
}

// Close returns the URL of a backend as one that leads nowhere, and Open undoes it.
func Close(backendURL string) string {
	host, port, found := strings.Cut(strings.TrimPrefix(Open(backendURL), schemeOf(backendURL)), ":")
	if !found {
		return backendURL
	}
	return schemeOf(backendURL) + host + closedSuffix + ":" + port
}

// Open returns the URL of a backend as it was before Close.
func Open(backendURL string) string { return strings.Replace(backendURL, closedSuffix+":", ":", 1) }

func schemeOf(backendURL string) string {
	scheme, _, _ := strings.Cut(backendURL, "://")
	return scheme + "://"
}

func findPort(ports []corev1.ServicePort, wanted intstr.IntOrString) (int32, bool) {
	for _, port := range ports {
		named := wanted.Type == intstr.String && port.Name == wanted.StrVal
		numbered := wanted.Type == intstr.Int && port.Port == wanted.IntVal
		if (named || numbered) && (port.Protocol == corev1.ProtocolTCP || port.Protocol == "") {
			return port.Port, true
		}
	}
	return 0, false
}

func describePorts(ports []corev1.ServicePort) string {
	names := make([]string, 0, len(ports))
	for _, port := range ports {
		text := strconv.Itoa(int(port.Port))
		if port.Name != "" {
			text += " (" + port.Name + ")"
		}
		names = append(names, text)
	}
	return strings.Join(names, ", ")
}
