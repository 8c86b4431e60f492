// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/wechatendpoint/wechatendpoint/hack/policy/literal"
)

// shape is what leaves.yaml says of a kind.
type shape struct {
	Kind string
	Name string // only objects of this name; empty is all of the kind
	Like string // another shape, of which this one has what it does not say itself

	Levels []string
	Filled map[string]any
	Asked  map[string]string
	There  map[string]string
	Chosen []string
	Given  []string

	used map[string]bool // of the pointers
}

// copy takes what another shape says.
func (s *shape) copy(other *shape) {
	s.Kind, s.Levels, s.Chosen, s.Given = other.Kind, other.Levels, other.Chosen, other.Given
	s.Filled, s.There = maps.Clone(other.Filled), maps.Clone(other.There)
	asked := maps.Clone(other.Asked)
	maps.Copy(asked, s.Asked)
	s.Asked = asked
}

// inherit adds what holds of all kinds.
func (s *shape) inherit(from *shape) {
	s.Levels = append(slices.Clone(from.Levels), s.Levels...)
	s.Given = append(slices.Clone(from.Given), s.Given...)
	asked := maps.Clone(from.Asked)
	maps.Copy(asked, s.Asked)
	s.Asked = asked
	s.used = map[string]bool{}
}

// levels writes what is rendered, by level. In it null is a field that is left out.
func (s *shape) levels(goldens []*unstructured.Unstructured) (string, error) {
	objects := s.objects(goldens)
	if len(objects) == 0 {
		return "", fmt.Errorf("no golden has %s %s", s.Kind, s.Name)
	}
	written := map[string]literal.Expression{}
	for _, level := range s.Levels {
		if level == pointerMetadata {
			written[nameOf(level)] = literal.Expression{Text: "variables.metadata", Type: "dyn"}
			continue
		}
		rendered, err := s.level(level, objects)
		if err != nil {
			return "", fmt.Errorf("%s: %w", s.Kind, err)
		}
		written[nameOf(level)] = literal.Expression{Text: "dyn(" + rendered.Text + ")", Type: "dyn"}
	}
	return literal.Map(written).Text, s.unused()
}

const pointerMetadata = "/metadata"

// metadata writes the level that all kinds have in common.
func metadata(shapes map[string]*shape, goldens []*unstructured.Unstructured) (string, error) {
	common := ""
	for _, name := range mapKeys(shapes) {
		written, err := shapes[name].level(pointerMetadata, shapes[name].objects(goldens))
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		if strings.HasSuffix(shapes[name].Name, "-0") {
			continue // a shard has a name of its own, and all else as the others
		}
		if common != "" && common != written.Text {
			return "", fmt.Errorf("the metadata of %s is not that of other kinds", name)
		}
		common = written.Text
	}
	return common, nil
}

// objects are those of the goldens that are of this kind.
func (s *shape) objects(goldens []*unstructured.Unstructured) []any {
	var objects []any
	for _, golden := range goldens {
		if golden.GetKind() == s.Kind && (s.Name == "" || s.Name == golden.GetName()) {
			objects = append(objects, golden.Object)
		}
	}
	return objects
}

// nameOf is how the policy calls a level.
func nameOf(level string) string {
	return strings.TrimPrefix(strings.ReplaceAll(level, "/", ".")+".", ".")
}

// unused says which pointers name nothing.
func (s *shape) unused() error {
	var errs []error
	for _, pointers := range [][]string{mapKeys(s.Filled), mapKeys(s.Asked), mapKeys(s.There)} {
		for _, pointer := range pointers {
			if !s.used[pointer] {
				errs = append(errs, fmt.Errorf("%s: %s names nothing", s.Kind, pointer))
			}
		}
	}
	return errors.Join(errs...)
}

// level writes the fields of one level.
func (s *shape) level(pointer string, objects []any) (literal.Expression, error) {
	values := all(objects, pointer)
	if slices.Contains(s.Chosen, pointer) {
		values = nil
	}
	if slices.Contains(s.Given, pointer) {
		values = withoutGiven(values)
	}
	if len(values) > 0 && len(values) < len(objects) {
		return literal.Expression{}, fmt.Errorf("%s is not in all goldens: name it in %s", pointer, leaves)
	}
	return s.object(pointer, place{path: pointer, base: "variables.now"}, values)
}

// given begins what the goldens' installations give to all objects.
const given = "example.com/"

// withoutGiven leaves out what the installation gives, and what is empty then.
func withoutGiven(values []any) []any {
	var own []any
	for _, value := range values {
		fields := maps.Clone(value.(map[string]any))
		maps.DeleteFunc(fields, func(key string, _ any) bool { return strings.HasPrefix(key, given) })
		if len(fields) > 0 {
			own = append(own, fields)
		}
	}
	return own
}

// place is where a field is: its pointer, and where an expression reaches it from.
type place struct {
	path string // from the base
	base string
}

func (p place) below(key string) place { return place{path: p.path + "/" + key, base: p.base} }

// object writes a map with the fields that the values have, and those that are named below the pointer.
func (s *shape) object(pointer string, at place, values []any) (literal.Expression, error) {
	lenient := slices.Contains(s.Levels, pointer)
	with, without, there := map[string]literal.Expression{}, map[string]literal.Expression{}, ""
	for _, key := range s.keys(pointer, values) {
		below := pointer + "/" + key
		if slices.Contains(s.Levels, below) {
			continue
		}
		var given []any
		for _, value := range values {
			if field, ok := value.(map[string]any)[unescape(key)]; ok {
				given = append(given, field)
			}
		}
		leftOut := s.has(s.Asked, below+"?")
		if len(given) > 0 && len(given) < len(values) && !leftOut && !s.has(s.There, below) {
			return literal.Expression{}, fmt.Errorf("%s is not in all goldens: name it in %s", below, leaves)
		}
		written, err := s.field(below, at.below(key), given)
		if err != nil {
			return literal.Expression{}, err
		}
		with[unescape(key)] = written
		switch {
		case !leftOut || lenient:
			without[unescape(key)] = written
		case there != "":
			return literal.Expression{}, fmt.Errorf("%s has two fields that may be left out: make it a level", pointer)
		default:
			there = access(at.below(key).base, at.below(key).path)
		}
	}
	if there == "" {
		return literal.Map(with), nil
	}
	choices := "dyn(" + literal.Map(with).Text + ") :\ndyn(" + literal.Map(without).Text + ")"
	return literal.Expression{Text: there + ".hasValue() ?\n" + literal.Indent(choices)}, nil
}

// keys are the names of the fields of an object, escaped.
func (s *shape) keys(pointer string, values []any) []string {
	keys := map[string]bool{}
	for _, value := range values {
		for key := range value.(map[string]any) {
			keys[escape(key)] = true
		}
	}
	for _, pointers := range [][]string{mapKeys(s.Filled), mapKeys(s.Asked)} {
		for _, named := range pointers {
			if rest, ok := strings.CutPrefix(named, pointer+"/"); ok && rest != "*" {
				key, _, _ := strings.Cut(rest, "/")
				keys[strings.TrimSuffix(key, "?")] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(keys))
}

// field writes one field: what leaves.yaml says of it, or what all goldens have.
func (s *shape) field(pointer string, at place, values []any) (literal.Expression, error) {
	self := access(at.base, at.path)
	if slices.Contains(s.Levels, pointer) { // the only element of a list
		return optional(self, "null"), nil
	}
	if value, ok := take(s, s.Filled, pointer); ok {
		if len(values) > 0 {
			return literal.Expression{}, fmt.Errorf("%s is filled in, and the goldens have it", pointer)
		}
		return constant(value)
	}
	if condition, ok := take(s, s.Asked, pointer); ok {
		return optional(where(self, condition), "variables.never"), nil
	}
	if condition, ok := take(s, s.Asked, pointer+"?"); ok {
		return optional(where(self, condition), "null"), nil
	}
	written, err := s.value(pointer, at, values)
	if condition, ok := take(s, s.There, pointer); ok && err == nil {
		return literal.Expression{Text: condition + " ? dyn(" + written.Text + ") : null", Type: "dyn"}, nil
	}
	return written, err
}

// value writes what all goldens have.
func (s *shape) value(pointer string, at place, values []any) (literal.Expression, error) {
	if len(values) == 0 {
		return literal.Expression{}, fmt.Errorf("%s: no golden has it", pointer)
	}
	switch first := values[0].(type) {
	case map[string]any:
		return s.object(pointer, at, values)
	case []any:
		if condition, ok := take(s, s.Asked, pointer+"/*"); ok {
			return s.each(pointer+"/*", at, values, condition)
		}
		var items []literal.Expression
		for i := range first {
			var given []any
			for _, value := range values {
				if list := value.([]any); len(list) == len(first) {
					given = append(given, list[i])
				}
			}
			key := fmt.Sprint(i)
			if below := pointer + "/" + key; len(given) < len(values) && !s.has(s.Asked, below) {
				return literal.Expression{}, fmt.Errorf("%s has no one length in all goldens: name it in %s", pointer, leaves)
			}
			item, err := s.field(pointer+"/"+key, at.below(key), given)
			if err != nil {
				return literal.Expression{}, err
			}
			items = append(items, item)
		}
		return literal.List(items), nil
	default:
		if slices.ContainsFunc(values, func(value any) bool { return !reflect.DeepEqual(value, first) }) {
			return literal.Expression{}, fmt.Errorf("%s differs between goldens: name it in %s", pointer, leaves)
		}
		return constant(first)
	}
}

// each writes a list of any length, whose elements are alike.
func (s *shape) each(pointer string, at place, values []any, condition string) (literal.Expression, error) {
	var elements []any
	for _, value := range values {
		elements = append(elements, value.([]any)...)
	}
	element, err := s.value(pointer, place{base: "each"}, elements)
	if err != nil {
		return literal.Expression{}, err
	}
	alike := "dyn(dyn(self).map(each, " + element.Text + "))"
	return optional(choose(access(at.base, at.path), condition, alike), "variables.never"), nil
}

// optional is an optional expression, or another value where it has none. An index leaves its type open.
func optional(text, otherwise string) literal.Expression {
	written := literal.Expression{Text: text + ".orValue(" + otherwise + ")", Type: "dyn"}
	if strings.Contains(text, "]") {
		written.Type = ""
	}
	return written
}

// where is an optional field: what no field can be, if the condition does not hold of it.
func where(field, condition string) string {
	if condition == "true" {
		return field
	}
	return choose(field, condition, "self")
}

func choose(field, condition, value string) string {
	chosen := condition + " ? " + value + " : variables.never)"
	if text := field + ".optMap(self, " + chosen; len(text) <= literal.Width && !strings.Contains(value, "\n") {
		return text
	}
	return field + ".optMap(self,\n" + literal.Indent(chosen)
}

// constant writes a value of the goldens: what they have of the example's endpoint or gateway is the owner's own.
func constant(value any) (literal.Expression, error) {
	switch value {
	case "shop", "front":
		return literal.Expression{Text: "variables.owner", Type: "string"}, nil
	case "WeChatEndpoint", "WeChatGateway":
		return literal.Expression{Text: "variables.ownerKind", Type: "string"}, nil
	case "shop-sidecar", "shop-sidecar-copy", "shop-sidecar-peers", "shop-gateway-key", "front-wechat-gateway", "front-wechat-gateway-peers":
		return literal.Expression{Text: "variables.name", Type: "string"}, nil
	case "team-a":
		return literal.Expression{Text: "request.namespace", Type: "string"}, nil
	}
	if shard, is := strings.CutPrefix(fmt.Sprint(value), "front-wechat-gateway-"); is {
		return literal.Expression{Text: "variables.name + " + literal.Quote("-"+shard), Type: "string"}, nil
	}
	return literal.Of(value)
}

// access is the expression of the field, which is optional.
func access(base, pointer string) string {
	text := base + ".?"
	for i, key := range strings.Split(pointer, "/")[1:] {
		name := unescape(key)
		switch {
		case strings.Trim(name, "0123456789") == "":
			text += "[" + name + "]"
		case strings.ContainsAny(name, "./-") && i == 0:
			text = base + "[?" + literal.Quote(name) + "]"
		case strings.ContainsAny(name, "./-"):
			text += "[" + literal.Quote(name) + "]"
		case i == 0:
			text += name
		default:
			text += "." + name
		}
	}
	return text
}

// all are the values that objects have at the pointer.
func all(objects []any, pointer string) []any {
	for _, key := range strings.Split(pointer, "/")[1:] {
		var below []any
		for _, object := range objects {
			switch object := object.(type) {
			case map[string]any:
				if value, ok := object[unescape(key)]; ok {
					below = append(below, value)
				}
			case []any:
				below = append(below, object...) // a level is the only element
			}
		}
		objects = below
	}
	return objects
}

// take returns what is said of the pointer, and notes that it is used.
func take[V any](s *shape, from map[string]V, pointer string) (value V, ok bool) {
	value, ok = from[pointer]
	if ok {
		s.used[pointer] = true
	}
	return value, ok
}

func (s *shape) has(pointers map[string]string, pointer string) bool {
	_, ok := pointers[pointer]
	return ok
}

func mapKeys[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }

func escape(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

func unescape(key string) string {
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
}
