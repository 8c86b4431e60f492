// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestLevels writes two goldens of one kind, and says of what is not alike that it must be named.
func TestLevels(t *testing.T) {
	const first, second = `
kind: Thing
metadata: {name: shop-sidecar}
spec: {size: 1, color: red, list: [{name: a}]}`, `
kind: Thing
metadata: {name: shop-sidecar}
spec: {size: 2, color: red, list: [{name: b}, {name: c, more: true}], extra: {is: there}}`
	for name, test := range map[string]struct {
		shape string
		want  string // or a part of the error
	}{
		"all of it": {`
levels: ["", /metadata, /spec]
filled: {/spec/added: 7}
asked: {/spec/size: self > 0, "/spec/list/*": self.size() < 3, "/spec/list/*/name": "true", "/spec/list/*/more?": "true"}
there: {/spec/extra: variables.extra}`,
			`{
  '': dyn({'kind': 'Thing'}),
  'metadata.': variables.metadata,
  'spec.': dyn({
    'added': dyn(7),
    'color': dyn('red'),
    'extra': variables.extra ? dyn({'is': 'there'}) : null,
    'list': variables.now.?spec.list.optMap(self,
      self.size() < 3 ? dyn(dyn(self).map(each, each.?more.hasValue() ?
        dyn({'more': each.?more.orValue(null), 'name': each.?name.orValue(variables.never)}) :
        dyn({'name': each.?name.orValue(variables.never)}))) : variables.never).orValue(variables.never),
    'size': variables.now.?spec.size.optMap(self, self > 0 ? self : variables.never).orValue(variables.never)
  })
}`},
		"a value that differs":    {`levels: ["", /metadata, /spec]`, "spec/extra is not in all goldens"},
		"a field of some of them": {"levels: [\"\", /metadata, /spec]\nthere: {/spec/extra: \"true\"}", "/spec/list has no one length"},
		"what is not a level":     {"levels: [\"\", /metadata]\nasked: {/spec/size: \"true\"}", "/spec/extra is not in all goldens"},
	} {
		t.Run(name, func(t *testing.T) {
			var goldens []*unstructured.Unstructured
			for _, text := range []string{first, second} {
				golden := &unstructured.Unstructured{}
				if err := yaml.Unmarshal([]byte(text), &golden.Object); err != nil {
					t.Fatal(err)
				}
				goldens = append(goldens, golden)
			}
			one := &shape{Kind: "Thing"}
			if err := yaml.UnmarshalStrict([]byte(test.shape), one); err != nil {
				t.Fatal(err)
			}
			one.inherit(&shape{Asked: map[string]string{}})
			got, err := one.levels(goldens)
			if err != nil {
				got = err.Error()
			}
			if strings.HasPrefix(test.want, "{") && got != test.want || !strings.Contains(got, test.want) {
				t.Errorf("written as\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// TestALeafOfNothingIsAnError: one that no longer names a field would let the next one of its name through.
func TestALeafOfNothingIsAnError(t *testing.T) {
	golden := &unstructured.Unstructured{Object: map[string]any{"kind": "Thing"}}
	one := &shape{Kind: "Thing", Levels: []string{""}, There: map[string]string{"/spec/gone": "true"}}
	one.inherit(&shape{Asked: map[string]string{}})
	if _, err := one.levels([]*unstructured.Unstructured{golden}); err == nil || !strings.Contains(err.Error(), "/spec/gone names nothing") {
		t.Errorf("error %v", err)
	}
}
