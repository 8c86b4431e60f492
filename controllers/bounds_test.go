// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestAMegabyteInAnyFieldIsRefused fills each string of the spec, and of maps also the keys. All are refused at once but those
// that are bounded as parts of a pod: there the status tells that it cannot be read, in few words, and nothing huge reaches an object.
func TestAMegabyteInAnyFieldIsRefused(t *testing.T) {
	w, definition, schema := newWorld(t), newDefinition(t), specSchema(t)
	fields := stringFields(schema, "spec")
	if len(fields) < 50 {
		t.Fatalf("the CRD has %d strings, it had more: %v", len(fields), fields)
	}
	huge := strings.Repeat("a", 1<<20)
	ofPods := []string{"spec.sidecar.affinity", "spec.sidecar.tolerations", "spec.sidecar.nodeSelector", "spec.sidecar.resources"}
	for _, field := range fields {
		t.Run(field, func(t *testing.T) {
			s := w.newScene(t)
			content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(newEndpoint(s.namespace))
			if err != nil {
				t.Fatal(err)
			}
			path := strings.Split(field, ".")[1:]
			content["spec"] = withValue(schema, content["spec"], path, huge)
			stored, err := definition.accept(content, nil)
			if err != nil {
				if name := strings.TrimRight(path[len(path)-1], "[]{}key"); !strings.Contains(err.Error(), name) {
					t.Errorf("refused for something else: %.1000s", err.Error())
				}
				return
			}
			if !slices.ContainsFunc(ofPods, func(prefix string) bool { return strings.HasPrefix(field, prefix) }) {
				t.Error("the CRD does not bound it")
			}
			s.create(t, stored)
			if _, err := s.reconcileWith(t, nil); err != nil {
				t.Fatalf("%.1000s", err.Error())
			}
			status := s.endpoint(t).Status
			told := func(name string) bool { return apimeta.IsStatusConditionFalse(status.Conditions, name) }
			if !told(v1alpha1.ConditionAccepted) && !told(v1alpha1.ConditionSidecarAvailable) {
				t.Errorf("the status says nothing of it: %+v", status.Conditions)
			}
			for _, condition := range status.Conditions {
				if len(condition.Message) > 1024 {
					t.Errorf("%s has a message of %d bytes", condition.Type, len(condition.Message))
				}
			}
			for _, object := range s.objects(t)[1:] { // the first is the endpoint
				text, err := json.Marshal(object)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(text), huge[:1024]) {
					t.Errorf("%T holds what was to be refused", object)
				}
			}
		})
	}
}

// specSchema is what the CRD says of the spec.
func specSchema(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile("../config/crd/bases/wechatendpoint.io_wechatendpoints.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var definition unstructured.Unstructured
	if err := yaml.Unmarshal(text, &definition.Object); err != nil {
		t.Fatal(err)
	}
	versions, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
	if err != nil || len(versions) != 1 {
		t.Fatalf("%d versions, %v", len(versions), err)
	}
	schema, found, err := unstructured.NestedMap(versions[0].(map[string]any), "schema", "openAPIV3Schema", "properties", "spec")
	if err != nil || !found {
		t.Fatal("the CRD has no spec: ", err)
	}
	return schema
}

// stringFields are the paths of all strings below a schema: [] is an item of a list, {} a value of a map and {key} a key.
func stringFields(schema map[string]any, path string) []string {
	var fields []string
	if isString(schema) {
		fields = append(fields, path)
	}
	for name, property := range mapOf(schema["properties"]) {
		fields = append(fields, stringFields(mapOf(property), path+"."+name)...)
	}
	if items := mapOf(schema["items"]); items != nil {
		fields = append(fields, stringFields(items, path+"[]")...)
	}
	if values := mapOf(schema["additionalProperties"]); values != nil {
		fields = append(fields, path+"{key}")
		fields = append(fields, stringFields(values, path+"{}")...)
	}
	slices.Sort(fields)
	return fields
}

func isString(schema map[string]any) bool {
	return schema["type"] == "string" || schema["x-kubernetes-int-or-string"] == true
}
