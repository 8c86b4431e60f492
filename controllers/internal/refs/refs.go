// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package refs reads what an endpoint refers to, into plain values. What a person must mend is a *Wait; every other error
// is the API server's and worth another try.
package refs

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// Wait is a state that trying again cannot mend: a person must change something, and a watch wakes the endpoint when they do.
type Wait struct {
	Reason  string // a constant of api/v1alpha1
	Message string // what is wrong and what to do about it, for kubectl describe
}

func (w *Wait) Error() string { return w.Message }

// Waitf makes a Wait.
func Waitf(reason, format string, arguments ...any) *Wait {
	return &Wait{Reason: reason, Message: fmt.Sprintf(format, arguments...)}
}

// Grants knows what a namespace allows others to refer to.
type Grants interface {
	// Granted reports whether endpoints of namespace from may send messages to a Service of namespace to.
	Granted(ctx context.Context, from, to, service string) (bool, error)
}

// BackendAddress returns host:port of an app. The field, such as backend or rules[0].backend, is the reference's place in the
// spec.
func BackendAddress(ctx context.Context, reader client.Reader, grants Grants, namespace, field string, reference v1alpha1.ServiceReference) (string, error) {
	if reference.Namespace != "" && reference.Namespace != namespace {
		// Before anything is said about the Service: without a grant it is nobody's business whether it exists.
		granted, err := grants.Granted(ctx, namespace, reference.Namespace, reference.Name)
		if err != nil {
			return "", err
		}
		if !granted {
			return "", Waitf(v1alpha1.ReasonReferenceNotGranted,
				"Service %s is in namespace %s, which does not allow it to be used from here: ask its team for a ReferenceGrant from WeChatEndpoints of namespace %s to Services, or correct %s.service.namespace",
				reference.Name, reference.Namespace, namespace, field)
		}
		namespace = reference.Namespace
	}
	var service corev1.Service
	err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: reference.Name}, &service)
	switch {
	case apierrors.IsNotFound(err):
		return "", Waitf(v1alpha1.ReasonServiceNotFound,
			"Service %s does not exist in namespace %s: create it, or correct %s.service.name", reference.Name, namespace, field)
	case err != nil:
		return "", fmt.Errorf("reading Service %s: %w", reference.Name, err)
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		return "", Waitf(v1alpha1.ReasonServiceNotAllowed,
			"Service %s is of type ExternalName, which could lead verified messages out of the cluster, so that it is not called: name a Service with a selector in %s.service.name", reference.Name, field)
	case isSidecar(&service):
		return "", Waitf(v1alpha1.ReasonServiceNotAllowed, "Service %s is a sidecar's own: name the Service of the app in %s.service.name", reference.Name, field)
	}
	port, ok := findPort(service.Spec.Ports, reference.Port)
	if _, err := strconv.Atoi(reference.Port.StrVal); !ok && err == nil {
		return "", Waitf(v1alpha1.ReasonPortNotFound, "Service %s has no TCP port of the name %s: write a port's number without quotes, and set %s.service.port to one of %s",
			reference.Name, reference.Port.StrVal, field, describePorts(service.Spec.Ports))
	}
	if !ok {
		return "", Waitf(v1alpha1.ReasonPortNotFound, "Service %s has no TCP port %s: set %s.service.port to one of %s",
			reference.Name, reference.Port.String(), field, describePorts(service.Spec.Ports))
	}
	return fmt.Sprintf("%s.%s.svc:%d", reference.Name, namespace, port), nil
}

// isSidecar reports whether a Service was made for an endpoint, as its owner tells.
func isSidecar(service *corev1.Service) bool {
	owner := metav1.GetControllerOfNoCopy(service)
	return owner != nil && owner.APIVersion == v1alpha1.GroupVersion.String() && owner.Kind == "WeChatEndpoint"
}

// closedSuffix ends the host of a backend that is not called. No name below invalid. exists (RFC 6761), and the dot at the end keeps resolvers from
// looking for it elsewhere.
const closedSuffix = ".invalid."

// Serviced returns the Service that the URL of a backend leads to, as BackendAddress made it, closed or not.
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

// IngressClass says whether the class that the endpoint's Ingress names, or the default one, exists.
func IngressClass(ctx context.Context, reader client.Reader, endpoint *v1alpha1.WeChatEndpoint) error {
	var classes networkingv1.IngressClassList
	if err := reader.List(ctx, &classes); err != nil {
		return fmt.Errorf("listing IngressClasses: %w", err)
	}
	wanted := ""
	if tuning := endpoint.Spec.URL.Ingress; tuning != nil {
		wanted = tuning.ClassName
	}
	names := make([]string, 0, len(classes.Items))
	for _, class := range classes.Items {
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
		return Waitf(v1alpha1.ReasonIngressClassNotFound, "no IngressClass is the cluster's default; %s", there)
	}
	return Waitf(v1alpha1.ReasonIngressClassNotFound, "IngressClass %s does not exist; %s", wanted, there)
}
