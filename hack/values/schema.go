// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// schemaOf is the schema of all values. No object has a field that it does not name, but global: Helm gives it to every chart.
func schemaOf(root *value, text []byte) (map[string]any, error) {
	var definitions map[string]any
	if err := yaml.UnmarshalStrict(text, &definitions); err != nil {
		return nil, fmt.Errorf("reading the definitions: %w", err)
	}
	whole := root.schema()
	whole["properties"].(map[string]any)["global"].(map[string]any)["additionalProperties"] = true
	used := map[string]bool{}
	if err := resolve(whole, definitions, used); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(definitions)) {
		if !used[name] {
			return nil, fmt.Errorf("no value has the shape %s of the definitions", name)
		}
	}
	whole["$schema"], whole["title"] = "http://json-schema.org/draft-07/schema#", "Values of the chart wechat-endpoint"
	whole["definitions"] = definitions
	return whole, nil
}

func (v *value) schema() map[string]any {
	written := map[string]any{}
	switch {
	case v.bounds["$ref"] != nil: // beside which draft 7 heeds nothing
		written["allOf"] = []any{maps.Clone(v.bounds)}
	case len(v.children) > 0:
		properties := map[string]any{}
		for _, child := range v.children {
			properties[child.key] = child.schema()
		}
		written["type"], written["additionalProperties"], written["properties"] = "object", false, properties
	default:
		maps.Copy(written, v.bounds)
		if written["type"] == nil && written["enum"] == nil {
			written["type"] = v.kind
		}
	}
	if v.Description != "" {
		written["description"] = strings.ReplaceAll(v.Description, "`", "")
	}
	return written
}

// resolve writes references as JSON Schema does, and notes the definitions that are used, also by others.
func resolve(node any, definitions map[string]any, used map[string]bool) error {
	switch node := node.(type) {
	case []any:
		for _, item := range node {
			if err := resolve(item, definitions, used); err != nil {
				return err
			}
		}
	case map[string]any:
		for key, field := range node {
			name, is := field.(string)
			if key != "$ref" || !is {
				if err := resolve(field, definitions, used); err != nil {
					return err
				}
				continue
			}
			name = strings.TrimPrefix(name, "#/definitions/")
			if definitions[name] == nil {
				return fmt.Errorf("the definitions have no shape %s", name)
			}
			node["$ref"] = "#/definitions/" + name
			if !used[name] {
				used[name] = true
				if err := resolve(definitions[name], definitions, used); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
