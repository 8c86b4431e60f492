// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package refs reads what an endpoint refers to, into plain values. What a person must mend is a *Wait; every other error
// is the API server's and worth another try.
package refs

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
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

// Token reads the token of the user's Secret. Its errors never hold a byte of it.
func Token(ctx context.Context, reader client.Reader, endpoint *v1alpha1.WeChatEndpoint) (string, error) {
	name := endpoint.Spec.Credentials.SecretName
	var secret corev1.Secret
	err := reader.Get(ctx, client.ObjectKey{Namespace: endpoint.Namespace, Name: name}, &secret)
	if apierrors.IsNotFound(err) || err == nil && secret.Labels[v1alpha1.LabelCredentials] != v1alpha1.CredentialsUser {
		return "", Waitf(v1alpha1.ReasonSecretNotFound,
			"Secret %s does not exist or lacks the label without which the operator cannot see it: create it with the key %s, and run: kubectl -n %s label secret %s %s=%s",
			name, v1alpha1.KeyToken, endpoint.Namespace, name, v1alpha1.LabelCredentials, v1alpha1.CredentialsUser)
	}
	if err != nil {
		return "", fmt.Errorf("reading Secret %s: %w", name, err)
	}
	token, ok := secret.Data[v1alpha1.KeyToken]
	if !ok {
		return "", Waitf(v1alpha1.ReasonSecretKeyMissing, "Secret %s has no key %s: put the Token of the console there", name, v1alpha1.KeyToken)
	}
	if err := config.ValidateToken(string(token)); err != nil {
		return "", Waitf(v1alpha1.ReasonSecretMalformed, "Secret %s, key %s %v", name, v1alpha1.KeyToken, err)
	}
	return string(token), nil
}

// BackendURL returns http://host:port of the app.
func BackendURL(ctx context.Context, reader client.Reader, endpoint *v1alpha1.WeChatEndpoint) (string, error) {
	reference := endpoint.Spec.Backend.Service
	var service corev1.Service
	err := reader.Get(ctx, client.ObjectKey{Namespace: endpoint.Namespace, Name: reference.Name}, &service)
	switch {
	case apierrors.IsNotFound(err):
		return "", Waitf(v1alpha1.ReasonServiceNotFound,
			"Service %s does not exist in namespace %s: create it, or correct backend.service.name", reference.Name, endpoint.Namespace)
	case err != nil:
		return "", fmt.Errorf("reading Service %s: %w", reference.Name, err)
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		return "", Waitf(v1alpha1.ReasonServiceNotAllowed,
			"Service %s is of type ExternalName, which could lead verified messages out of the cluster: name a Service with a selector", reference.Name)
	case service.Labels[render.LabelManagedBy] == render.ManagedBy:
		return "", Waitf(v1alpha1.ReasonServiceNotAllowed, "Service %s is a sidecar's own: name the Service of the app", reference.Name)
	}
	port, ok := findPort(service.Spec.Ports, reference.Port)
	if !ok {
		return "", Waitf(v1alpha1.ReasonPortNotFound, "Service %s has no TCP port %s: set backend.service.port to one of %s",
			reference.Name, reference.Port.String(), describePorts(service.Spec.Ports))
	}
	return fmt.Sprintf("http://%s.%s.svc:%d", reference.Name, endpoint.Namespace, port), nil
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
