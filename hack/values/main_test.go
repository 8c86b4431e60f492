// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	shapes = "name: {type: string, maxLength: 5}"
	page   = "{{range .}}## {{.Title}}\n{{.Text}}\n{{range .Values}}{{.Row}}\n{{end}}{{end}}"
)

func TestWrite(t *testing.T) {
	schema, readme, err := write([]byte(strings.TrimSpace(`
# @section First
# What it is
# about.

global:
  # Who a|b is.
  # @schema {$ref: name}
  who: ""
# @section Second

# How `+"`often`"+`.
# @schema {minimum: 1}
often: 3
`)), []byte(shapes), page)
	if err != nil {
		t.Fatal(err)
	}
	want := "## First\nWhat it is about.\n| `global.who` | Who a\\|b is. | `\"\"` |\n## Second\n\n| `often` | How `often`. | `3` |\n"
	if diff := cmp.Diff(want, string(readme)); diff != "" {
		t.Errorf("the page (-want +got):\n%s", diff)
	}
	var got map[string]any
	if err := json.Unmarshal(schema, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{
		"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart wechat-endpoint",
		"type": "object", "additionalProperties": false,
		"properties": map[string]any{
			"global": map[string]any{"type": "object", "additionalProperties": true, "properties": map[string]any{
				"who": map[string]any{"description": "Who a|b is.", "allOf": []any{map[string]any{"$ref": "#/definitions/name"}}},
			}},
			"often": map[string]any{"type": "integer", "minimum": 1.0, "description": "How often."},
		},
		"definitions": map[string]any{"name": map[string]any{"type": "string", "maxLength": 5.0}},
	}, got); diff != "" {
		t.Errorf("the schema (-want +got):\n%s", diff)
	}
}

func TestWhatIsNotDescribedIsRefused(t *testing.T) {
	const begin = "# @section A\n\nglobal:\n  # A name.\n  # @schema {$ref: name}\n  name: \"\"\n"
	for name, test := range map[string]struct{ values, shapes, want string }{
		"a value without a comment":     {begin + "often: 3\n", shapes, "often has no description"},
		"one below another":             {begin + "a:\n  b: 3\n", shapes, "a.b has no description"},
		"a comment that is not beside":  {begin + "# How often.\n\noften: 3\n", shapes, "often has no description"},
		"a text of any form":            {begin + "# Who.\nwho: \"\"\n", shapes, "who may hold anything"},
		"a list of anything":            {begin + "# Whom.\nwhom: []\n", shapes, "whom may hold anything"},
		"no default":                    {begin + "# Who.\nwho:\n", shapes, "who has no type"},
		"bounds that are no YAML":       {begin + "# Who.\n# @schema {a: [}\nwho: \"\"\n", shapes, "who: reading"},
		"a shape that is not there":     {begin + "# Who.\n# @schema {$ref: nam}\nwho: \"\"\n", shapes, "no shape nam"},
		"a shape that nobody has":       {begin, shapes + "\nother: {type: string}", "no value has the shape other"},
		"a value before every section":  {"# How often.\noften: 3\n" + begin, shapes, "often is in no section"},
		"definitions that are not YAML": {begin, "a: [", "reading the definitions"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := write([]byte(test.values), []byte(test.shapes), page); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("it says %v; want %q in it", err, test.want)
			}
		})
	}
}
