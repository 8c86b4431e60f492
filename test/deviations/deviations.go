// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package deviations finds everything in which an object of Kubernetes may differ from what it is, by the schema that an API server
// publishes: it is for tests of what refuses all of it.
package deviations

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

// Schemas are those of an API server's kinds, by their names.
type Schemas map[string]any

// Deviation is one difference: a field is set to something else, removed, or added with one of the fields that it may have itself.
type Deviation struct {
	// Path names the field, such as spec.rules[].host.
	Path string
	// What is done to it.
	What string
	// Alternatives do the same with other values, the likeliest first: the API server refuses some of them by itself.
	Alternatives []Alteration
}

// Alteration changes an object.
type Alteration func(object map[string]any)

// ReadSchemas reads what the API server publishes of some versions, such as api/v1 and apis/apps/v1.
func ReadSchemas(config *rest.Config, versions ...string) (Schemas, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	paths, err := client.OpenAPIV3().Paths()
	if err != nil {
		return nil, err
	}
	schemas := Schemas{}
	for _, path := range versions {
		group, ok := paths[path]
		if !ok {
			return nil, fmt.Errorf("the API server has no schema of %s", path)
		}
		text, err := group.Schema("application/json")
		if err != nil {
			return nil, err
		}
		var document struct {
			Components struct{ Schemas map[string]any }
		}
		if err := json.Unmarshal(text, &document); err != nil {
			return nil, fmt.Errorf("reading the schema of %s: %w", path, err)
		}
		maps.Copy(schemas, document.Components.Schemas)
	}
	return schemas, nil
}

// Find finds those of an object, as encoding/json or a client decodes it.
func (s Schemas) Find(kind string, object map[string]any) []Deviation {
	w := &walk{schemas: s}
	for _, one := range s {
		schema := one.(map[string]any)
		kinds, _ := schema["x-kubernetes-group-version-kind"].([]any)
		if slices.ContainsFunc(kinds, func(named any) bool { return named.(map[string]any)["kind"] == kind }) {
			w.visit(place{}, schema, object)
		}
	}
	return w.found
}

// walk collects what it finds on its way through a schema.
type walk struct {
	schemas Schemas
	found   []Deviation
}

// resolve follows references. What stands beside one, such as a default, is no matter here.
func (w *walk) resolve(schema map[string]any) map[string]any {
	for {
		reference, ok := schema["$ref"].(string)
		if all, one := schema["allOf"].([]any); one && len(all) == 1 {
			reference, ok = all[0].(map[string]any)["$ref"].(string)
		}
		if !ok {
			return schema
		}
		if strings.HasSuffix(reference, ".Quantity") {
			return map[string]any{"type": "string", "format": "quantity"}
		}
		schema = w.schemas[strings.TrimPrefix(reference, "#/components/schemas/")].(map[string]any)
	}
}

// place is a field of an object: the keys and indices that lead there, and its name in a report.
type place struct {
	steps []any
	path  string
}

func (p place) field(name string) place {
	return place{append(slices.Clone(p.steps), name), strings.TrimPrefix(p.path+"."+name, ".")}
}

func (p place) item(i int) place { return place{append(slices.Clone(p.steps), i), p.path + "[]"} }

// most is how many values are tried of a field, before the API server is believed that it takes none.
const most = 3

func (w *walk) add(what, path string, candidates []Alteration) {
	if len(candidates) > 0 {
		w.found = append(w.found, Deviation{Path: path, What: what, Alternatives: candidates[:min(most, len(candidates))]})
	}
}

// visit finds the deviations of a field that is there, and of all below it.
func (w *walk) visit(at place, schema map[string]any, value any) {
	schema = w.resolve(schema)
	switch value := value.(type) {
	case map[string]any:
		w.visitObject(at, schema, value)
	case []any:
		w.visitList(at, schema, value)
	default:
		w.add("changed", at.path, sets(at, without(scalars(at.path, schema), value)))
		w.add("changed a little", at.path, sets(at, nearly(value)))
		if text, ok := value.(string); ok {
			w.add("turned round", at.path, sets(at, without([]any{backwards(text)}, value)))
		}
	}
	if len(at.steps) > 0 {
		w.add("removed", at.path, []Alteration{at.remove})
	}
}

func (w *walk) visitObject(at place, schema, value map[string]any) {
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		property := properties[name].(map[string]any)
		if there, ok := value[name]; ok && there != nil {
			w.visit(at.field(name), property, there)
			continue
		}
		for _, added := range w.variants(at.field(name).path, property) {
			candidates := sets(at.field(name), added.values)
			if len(rivalsOf(at.path, name, properties)) > 0 {
				candidates = nil
				for _, one := range added.values {
					candidates = append(candidates, at.set(with(at.path, properties, value, name, one)))
				}
			}
			w.add("added", added.path, candidates)
		}
	}
	if more, ok := schema["additionalProperties"].(map[string]any); ok {
		for _, key := range slices.Sorted(maps.Keys(value)) {
			w.visit(at.field(key), more, value[key])
		}
		for _, added := range w.variants(at.path+".*", more) {
			var candidates []Alteration
			for _, value := range added.values {
				candidates = append(candidates, at.field("other").set(value), at.field("example.com/other").set(value))
			}
			w.add("added", added.path, candidates)
		}
	}
}

func (w *walk) visitList(at place, schema map[string]any, value []any) {
	items := schema["items"].(map[string]any)
	for i, item := range value {
		w.visit(at.item(i), items, item)
	}
	for _, added := range w.variants(at.path+"[]", items) {
		var candidates []Alteration
		for _, item := range added.values {
			candidates = append(candidates, at.set(append(slices.Clone(value), item)))
		}
		w.add("appended", added.path, candidates)
	}
	if len(value) > 0 {
		w.add("doubled", at.path+"[]", []Alteration{at.set(append(slices.Clone(value), value[0]))})
	}
	if len(value) > 1 {
		w.add("shortened", at.path+"[]", []Alteration{at.set(value[1:])})
		w.add("reordered", at.path+"[]", []Alteration{at.set(append(slices.Clone(value[1:]), value[0]))})
	}
}

// variant is a value for a field that is not there, with one field in it that need not be there.
type variant struct {
	path   string
	values []any
}

// variants are the values of a field that is not there: one for each field below it.
func (w *walk) variants(path string, schema map[string]any) []variant {
	schema = w.resolve(schema)
	if items, ok := schema["items"].(map[string]any); ok {
		var found []variant
		for _, item := range w.variants(path+"[]", items) {
			found = append(found, item.wrap(func(value any) any { return []any{value} }))
		}
		return found
	}
	if more, ok := schema["additionalProperties"].(map[string]any); ok {
		var found []variant
		for _, value := range w.variants(path+".*", more) {
			found = append(found, value.wrap(func(value any) any { return map[string]any{"other": value} }))
		}
		return found
	}
	properties, ok := schema["properties"].(map[string]any)
	if !ok {
		return []variant{{path, scalars(path, schema)}}
	}
	var found []variant
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		for _, field := range w.variants(path+"."+name, properties[name].(map[string]any)) {
			found = append(found, field.wrap(func(value any) any {
				return with(path, properties, w.minimal(path, schema), name, value)
			}))
		}
	}
	return found
}

func (v variant) wrap(in func(any) any) variant {
	wrapped := variant{path: v.path}
	for _, value := range v.values {
		wrapped.values = append(wrapped.values, in(value))
	}
	return wrapped
}

func sets(at place, values []any) []Alteration {
	var edits []Alteration
	for _, value := range values {
		edits = append(edits, at.set(value))
	}
	return edits
}

// set makes the field be the value.
func (p place) set(value any) Alteration {
	return func(object map[string]any) { alter(object, p.steps, value) }
}

func (p place) remove(object map[string]any) { alter(object, p.steps, nil) }

// alter returns the node with another value at the end of the steps; nil is removed there.
func alter(node any, steps []any, value any) any {
	if len(steps) == 0 {
		return runtime.DeepCopyJSONValue(value)
	}
	if i, ok := steps[0].(int); ok {
		list := node.([]any)
		if value == nil && len(steps) == 1 {
			return slices.Delete(list, i, i+1)
		}
		list[i] = alter(list[i], steps[1:], value)
		return list
	}
	fields, key := node.(map[string]any), steps[0].(string)
	if value == nil && len(steps) == 1 {
		delete(fields, key)
	} else {
		fields[key] = alter(fields[key], steps[1:], value)
	}
	return fields
}
