// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestAnUpgradeChangesNothingThatCannotChange compares the chart with earlier ones, each as it was packaged: their values are taken still, no object
// is lost that other objects rest on, and the fields that Kubernetes lets nobody change are the same.
func TestAnUpgradeChangesNothingThatCannotChange(t *testing.T) {
	earlier, err := filepath.Glob("testdata/earlier/*.tgz")
	if err != nil || len(earlier) == 0 {
		t.Fatalf("there are %d earlier charts: %v", len(earlier), err)
	}
	for _, packaged := range earlier {
		for name, values := range map[string]string{
			"the defaults": "{}",
			"what the documents said": "{operator: {image: {repository: registry.example.com/you/operator, tag: 0.0.9}}, sidecar: {image: {repository: registry.example.com/you/sidecar, tag: 0.0.9}}, " +
				"replicaCount: 2, imagePullSecrets: [{name: regcred}], podAnnotations: {a: b}, metrics: {service: {enabled: true}}}",
			"some namespaces": "{watchNamespaces: [team-a], hosts: {wx.example.com: [team-a]}}",
		} {
			t.Run(filepath.Base(packaged)+" with "+name, func(t *testing.T) {
				t.Parallel()
				file := written(t, values)
				before, after := objects(t, packaged, file), objects(t, chart, file)
				compared := 0
				for key, old := range before {
					now := after[key]
					if now == nil {
						t.Errorf("an upgrade deletes %s", key)
						continue
					}
					for _, field := range [][]string{{"spec", "selector"}, {"roleRef"}, {"spec", "scope"}, {"spec", "names"}} {
						was, found, _ := unstructured.NestedFieldNoCopy(old.Object, field...)
						is, _, _ := unstructured.NestedFieldNoCopy(now.Object, field...)
						if diff := cmp.Diff(was, is); diff != "" {
							t.Errorf("%s of %s cannot be changed (-before +after):\n%s", strings.Join(field, "."), key, diff)
						}
						if found {
							compared++
						}
					}
				}
				if compared < 3 {
					t.Errorf("only %d fields were compared", compared)
				}
			})
		}
	}
}

// objects are what a chart renders, by kind, namespace and name.
func objects(t *testing.T, chart, values string) map[string]*unstructured.Unstructured {
	t.Helper()
	rendered, err := templateOf(t, chart, "--skip-tests", "--values", values)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*unstructured.Unstructured{}
	for _, document := range strings.Split(rendered, "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			t.Fatal(err)
		}
		if object.Object != nil {
			found[object.GetKind()+" "+object.GetNamespace()+"/"+object.GetName()] = object
		}
	}
	return found
}
