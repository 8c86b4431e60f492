//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// TestSamplesAreAccepted gives every document of config/samples to the API server.
func TestSamplesAreAccepted(t *testing.T) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "samples-"}}
	create(t, namespace)
	files, err := filepath.Glob("../config/samples/[^k]*.yaml")
	if err != nil || len(files) < 12 {
		t.Fatalf("found %v, %v; want one for each platform, and those that config/samples/README.md lists beside them", files, err)
	}
	for _, file := range append(files, "../config/samples/gitops/base/endpoint.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range strings.Split(string(text), "\n---\n") {
			var object unstructured.Unstructured
			if err := yaml.UnmarshalStrict([]byte(document), &object.Object); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			object.SetNamespace(namespace.Name)
			strict := client.WithFieldValidation(cluster.client, metav1.FieldValidationStrict)
			if err := strict.Create(t.Context(), &object, client.DryRunAll); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}
