//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestConditionsSayWhatToDo makes one mistake after the other, reads what the operator says to it, and mends it. Each time
// the endpoint goes on by itself: nothing of it is touched but the mistake. The plugin's doctor names each of them, too.
func TestConditionsSayWhatToDo(t *testing.T) {
	t.Parallel()
	s := newStage(t, "conditions")
	s.create(t, s.endpoint())

	t.Run("there is no Secret", func(t *testing.T) {
		s.says(t, v1alpha1.ConditionCredentialsResolved, v1alpha1.ReasonSecretNotFound, secretName)
	})
	t.Run("the Secret has no label", func(t *testing.T) {
		secret := s.secret()
		secret.Labels = nil
		s.create(t, secret)
		s.says(t, v1alpha1.ConditionCredentialsResolved, v1alpha1.ReasonSecretNotFound, v1alpha1.LabelCredentials)
		s.patchSecret(t, func(secret *corev1.Secret) { secret.Labels = s.secret().Labels })
		s.awaitReady(t)
	})
	t.Run("the Secret has another key", func(t *testing.T) {
		s.patchSecret(t, func(secret *corev1.Secret) { secret.Data = map[string][]byte{"Token": []byte(s.token)} })
		s.says(t, v1alpha1.ConditionCredentialsResolved, v1alpha1.ReasonSecretKeyMissing, v1alpha1.KeyToken)
	})
	t.Run("the token ends with the newline of echo", func(t *testing.T) {
		s.patchSecret(t, func(secret *corev1.Secret) {
			secret.Data = map[string][]byte{v1alpha1.KeyToken: []byte(s.token + "\n")}
		})
		message := s.says(t, v1alpha1.ConditionCredentialsResolved, v1alpha1.ReasonSecretMalformed, "newline")
		if strings.Contains(message, s.token) {
			t.Errorf("the message holds the token: %s", message)
		}
		s.patchSecret(t, func(secret *corev1.Secret) { secret.Data = s.secret().Data })
		s.awaitReady(t)
	})
	t.Run("there is no such Service", func(t *testing.T) {
		s.backend(t, "shop-ap", intstr.FromInt32(8080))
		s.says(t, v1alpha1.ConditionBackendResolved, v1alpha1.ReasonServiceNotFound, "shop-ap")
	})
	t.Run("the Service has no such port", func(t *testing.T) {
		s.backend(t, appName, intstr.FromInt32(8081))
		s.says(t, v1alpha1.ConditionBackendResolved, v1alpha1.ReasonPortNotFound, "8081")
		s.backend(t, appName, intstr.FromString("web"))
		s.says(t, v1alpha1.ConditionBackendResolved, v1alpha1.ReasonPortNotFound, "web")
		s.backend(t, appName, intstr.FromString("http"))
		s.awaitReady(t)
	})
	t.Run("the Service is of type ExternalName", func(t *testing.T) {
		s.create(t, &corev1.Service{ObjectMeta: s.object("elsewhere"), Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeExternalName, ExternalName: "metadata.example.com", Ports: []corev1.ServicePort{{Port: 8080}},
		}})
		s.backend(t, "elsewhere", intstr.FromInt32(8080))
		s.says(t, v1alpha1.ConditionBackendResolved, v1alpha1.ReasonServiceNotAllowed, "ExternalName")
		s.backend(t, appName, intstr.FromInt32(8080))
		s.awaitReady(t)
	})
	t.Run("there is no such IngressClass", func(t *testing.T) {
		s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.URL.Ingress.ClassName = "no-such-class" })
		s.says(t, v1alpha1.ConditionRouteProgrammed, v1alpha1.ReasonIngressClassNotFound, "no-such-class")
		s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.URL.Ingress.ClassName = kube.className })
		s.awaitReady(t)
	})
	t.Run("the installation does not allow an annotation", func(t *testing.T) {
		s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) {
			spec.URL.Ingress.Annotations = map[string]v1alpha1.AnnotationValue{"example.com/run": "code"}
		})
		s.says(t, v1alpha1.ConditionAccepted, v1alpha1.ReasonAnnotationNotAllowed, "example.com/run")
		s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.URL.Ingress.Annotations = nil })
		s.awaitReady(t)
	})
	t.Run("the URL has no host", func(t *testing.T) {
		s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.URL.Host = "" })
		s.says(t, v1alpha1.ConditionAccepted, v1alpha1.ReasonHostRequired, "url.host")
		s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.URL.Host = s.host })
		s.awaitReady(t)
	})
	s.awaitPublished(t)
	s.replies(t, s.text(t, "all mended"), "all mended")
}

// says waits until a condition is false for this reason and names the particular; Ready and the plugin's doctor must lead to the same.
func (s *stage) says(t *testing.T, condition, reason, particular string) string {
	t.Helper()
	message := s.await(t, condition, metav1.ConditionFalse, reason)
	if !strings.Contains(message, particular) {
		t.Errorf("the message of %s does not name %s: %s", reason, particular, message)
	}
	ready := s.await(t, v1alpha1.ConditionReady, metav1.ConditionFalse, reason)
	if !strings.Contains(ready, particular) {
		t.Errorf("the message of Ready does not name %s: %s", particular, ready)
	}
	if causes := s.doctor(t); !slices.Contains(causes, reason) {
		t.Errorf("doctor finds %q, and not %s", causes, reason)
	}
	t.Logf("%s: %s", reason, message)
	return message
}

// doctor are the causes that kubectl wechat doctor finds.
func (s *stage) doctor(t *testing.T) (causes []string) {
	t.Helper()
	said, err := call(t.Context(), plugin, "doctor", s.name, "-n", s.namespace, "--address", kube.ingressAddress, "-o", "json")
	var diagnosis struct{ Findings []struct{ Cause string } }
	if noJSON := json.Unmarshal([]byte(said), &diagnosis); noJSON != nil {
		t.Errorf("doctor prints no JSON: %v, %v", noJSON, err)
	}
	for _, finding := range diagnosis.Findings {
		causes = append(causes, finding.Cause)
	}
	return causes
}

func (s *stage) backend(t *testing.T, name string, port intstr.IntOrString) {
	t.Helper()
	s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) {
		spec.Backend.Service = v1alpha1.ServiceReference{Name: name, Port: port}
	})
}
