// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package deviations

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFind lists every deviation of a small object, with what its first value makes of it.
func TestFind(t *testing.T) {
	var schemas Schemas
	if err := json.Unmarshal([]byte(`{
		"thing": {"type": "object", "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Thing"}], "properties": {
			"size": {"type": "integer"},
			"color": {"type": "string", "enum": ["red", "blue"]},
			"labels": {"type": "object", "additionalProperties": {"type": "string"}},
			"parts": {"type": "array", "items": {"allOf": [{"$ref": "#/components/schemas/part"}]}}
		}},
		"part": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "spare": {"type": "boolean"}}}
	}`), &schemas); err != nil {
		t.Fatal(err)
	}
	object := func() map[string]any {
		return map[string]any{"size": int64(3), "parts": []any{map[string]any{"name": "a"}}}
	}
	var got []string
	for _, deviation := range schemas.Find("Thing", object()) {
		changed := object()
		deviation.Alternatives[0](changed)
		text, err := json.Marshal(changed)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s: %s", deviation.Path, deviation.What, text))
	}
	want := []string{
		`color added: {"color":"red","parts":[{"name":"a"}],"size":3}`,
		`labels.* added: {"labels":{"other":"other"},"parts":[{"name":"a"}],"size":3}`,
		`parts removed: {"size":3}`,
		`parts[] doubled: {"parts":[{"name":"a"},{"name":"a"}],"size":3}`,
		`parts[] removed: {"parts":[],"size":3}`,
		`parts[].name appended: {"parts":[{"name":"a"},{"name":"other"}],"size":3}`,
		`parts[].name changed a little: {"parts":[{"name":"a0"}],"size":3}`,
		`parts[].name changed: {"parts":[{"name":"other"}],"size":3}`,
		`parts[].name removed: {"parts":[{}],"size":3}`,
		`parts[].spare added: {"parts":[{"name":"a","spare":true}],"size":3}`,
		`parts[].spare appended: {"parts":[{"name":"a"},{"name":"other","spare":true}],"size":3}`,
		`size changed a little: {"parts":[{"name":"a"}],"size":4}`,
		`size changed: {"parts":[{"name":"a"}],"size":1}`,
		`size removed: {"parts":[{"name":"a"}]}`,
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other deviations were found (-want +got):\n%s", diff)
	}
}
