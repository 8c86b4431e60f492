// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// ToUnstructured converts an apply configuration.
func ToUnstructured(object any) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("converting an apply configuration: %w", err)
	}
	return &unstructured.Unstructured{Object: content}, nil
}

// Digest names an object by its content: two that differ have different ones.
func Digest(object *unstructured.Unstructured) string {
	text, err := json.Marshal(object.Object) // with its keys in order
	if err != nil {
		return ""
	}
	digest := sha256.Sum256(text)
	return hex.EncodeToString(digest[:16])
}

// AroundTemplate leaves out of a Deployment its pods' template, and the annotations that tell of it.
func AroundTemplate(deployment *unstructured.Unstructured) *unstructured.Unstructured {
	around := deployment.DeepCopy()
	unstructured.RemoveNestedField(around.Object, "spec", "template")
	unstructured.RemoveNestedField(around.Object, "metadata", "annotations")
	return around
}
