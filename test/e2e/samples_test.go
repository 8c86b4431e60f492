//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestSamples applies the samples of config/samples, and waits until each endpoint is ready. TestEveryKindOfAccount applies the platforms' samples, and
// test/interop runs the apps of django.yaml and node.yaml. The test makes what a sample leaves to others: the apps' Services, the certificates of
// cert-manager, the Secrets of External Secrets. An endpoint has one pod here, and takes the cluster's own Gateway.
func TestSamples(t *testing.T) {
	t.Parallel()
	if !kube.local {
		t.Skip("the samples name the local cluster's IngressClass")
	}
	s := newStage(t, "samples")
	given := map[string]bool{"Service " + appName: true}
	var samples []*unstructured.Unstructured
	for _, name := range []string{"django.yaml", "gateway.yaml", "gateway-api.yaml", "node.yaml", "rules.yaml", "tls-cert-manager.yaml", "gitops/overlays/production"} {
		for _, object := range objectsOf(t, name) {
			object.SetNamespace(s.namespace)
			switch object.GetKind() {
			case "Deployment": // its image is the user's
			case "ExternalSecret":
				s.create(t, secretOf(t, object))
			case "WeChatEndpoint":
				samples = append(samples, object)
			default:
				s.create(t, object)
				given[object.GetKind()+" "+object.GetName()] = true
			}
		}
	}
	for _, object := range samples {
		s.applySample(t, object, given)
	}
	var endpoints v1alpha1.WeChatEndpointList
	if err := kube.List(t.Context(), &endpoints, client.InNamespace(s.namespace)); err != nil || len(endpoints.Items) < 9 {
		t.Fatalf("%d endpoints, %v", len(endpoints.Items), err)
	}
	for _, endpoint := range endpoints.Items {
		own := *s
		own.name = endpoint.Name
		own.awaitReady(t)
	}
}

// objectsOf reads a file of the samples, or builds a folder of them.
func objectsOf(t *testing.T, name string) (objects []*unstructured.Unstructured) {
	t.Helper()
	path := root + "/config/samples/" + name
	text, err := os.ReadFile(path)
	if !strings.HasSuffix(name, ".yaml") {
		var built string
		built, err = call(t.Context(), kube.kubectl, "kustomize", path)
		text = []byte(built)
	}
	if err != nil {
		t.Fatal(err)
	}
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
		object := &unstructured.Unstructured{}
		switch err := decoder.Decode(object); {
		case errors.Is(err, io.EOF):
			return objects
		case err != nil:
			t.Fatalf("%s: %v", name, err)
		case object.Object != nil:
			objects = append(objects, object)
		}
	}
}

// applySample applies an endpoint, and what the sample leaves to others.
func (s *stage) applySample(t *testing.T, object *unstructured.Unstructured, given map[string]bool) {
	t.Helper()
	var endpoint v1alpha1.WeChatEndpoint
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &endpoint); err != nil {
		t.Fatal(err)
	}
	spec, one := &endpoint.Spec, int32(1)
	if spec.Gateway == nil {
		spec.Sidecar.Replicas = &one
	}
	if spec.URL.HTTPRoute != nil {
		spec.URL.HTTPRoute.ParentRefs = []v1alpha1.ParentReference{plainHTTP}
	}
	if ingress := spec.URL.Ingress; ingress != nil && ingress.TLSSecretName != "" && !given["Secret "+ingress.TLSSecretName] {
		s.create(t, s.tlsSecret(t, ingress.TLSSecretName, spec.URL.Host))
		given["Secret "+ingress.TLSSecretName] = true
	}
	backends := []v1alpha1.Backend{spec.Backend}
	for _, rule := range spec.Rules {
		if rule.Backend != nil {
			backends = append(backends, *rule.Backend)
		}
	}
	for _, backend := range backends {
		service := backend.Service
		if given["Service "+service.Name] {
			continue
		}
		given["Service "+service.Name] = true
		s.create(t, &corev1.Service{ObjectMeta: s.object(service.Name), Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": appName},
			Ports:    []corev1.ServicePort{{Name: cmp.Or(service.Port.StrVal, "web"), Port: cmp.Or(service.Port.IntVal, 80), TargetPort: intstr.FromInt32(8080)}},
		}})
	}
	s.create(t, &endpoint)
}

// secretOf is what External Secrets makes of its object.
func secretOf(t *testing.T, object *unstructured.Unstructured) *corev1.Secret {
	t.Helper()
	labels, found, err := unstructured.NestedStringMap(object.Object, "spec", "target", "template", "metadata", "labels")
	if err != nil || !found {
		t.Fatalf("ExternalSecret %s gives no labels: %v", object.GetName(), err)
	}
	secret := &corev1.Secret{Data: map[string][]byte{v1alpha1.KeyToken: []byte("SampleToken1"), v1alpha1.KeyEncodingAESKey: []byte(sampleKey)}}
	secret.Namespace, secret.Name, secret.Labels = object.GetNamespace(), object.GetName(), labels
	return secret
}
