// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package literal writes values as literals of CEL, as admission policies want them: what stands in one map or list must be of
// one type there, or be wrapped in dyn().
package literal

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Expression is a text of CEL.
type Expression struct {
	Text string
	// Type is string, int, bool, or dyn, which is of any type; empty is another.
	Type string
}

// Of writes a value as encoding/json decodes it. Numbers are whole.
func Of(value any) (Expression, error) {
	switch value := value.(type) {
	case nil:
		return Expression{"dyn(null)", "dyn"}, nil
	case string:
		return Expression{Quote(value), "string"}, nil
	case bool:
		return Expression{strconv.FormatBool(value), "bool"}, nil
	case int64:
		return Expression{strconv.FormatInt(value, 10), "int"}, nil
	case float64:
		if value != float64(int64(value)) {
			return Expression{}, fmt.Errorf("%v is no whole number", value)
		}
		return Expression{strconv.FormatInt(int64(value), 10), "int"}, nil
	case []any:
		var items []Expression
		for _, item := range value {
			written, err := Of(item)
			if err != nil {
				return Expression{}, err
			}
			items = append(items, written)
		}
		return List(items), nil
	case map[string]any:
		fields := map[string]Expression{}
		for key, field := range value {
			written, err := Of(field)
			if err != nil {
				return Expression{}, err
			}
			fields[key] = written
		}
		return Map(fields), nil
	default:
		return Expression{}, fmt.Errorf("%T has no literal", value)
	}
}

// Loose writes a JSON document with each part of it wrapped in dyn(), of which nothing need be alike. The chart's template
// wechat-endpoint.cel writes the same text.
func Loose(document []byte) (string, error) {
	var value any
	if err := json.Unmarshal(document, &value); err != nil {
		return "", fmt.Errorf("reading JSON: %w", err)
	}
	return loose(value)
}

func loose(value any) (string, error) {
	var items []string
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			name, err := json.Marshal(key)
			if err != nil {
				return "", err
			}
			item, err := loose(value[key])
			if err != nil {
				return "", err
			}
			items = append(items, string(name)+": "+item)
		}
		return "dyn({" + strings.Join(items, ", ") + "})", nil
	case []any:
		for _, one := range value {
			item, err := loose(one)
			if err != nil {
				return "", err
			}
			items = append(items, item)
		}
		return "dyn([" + strings.Join(items, ", ") + "])", nil
	default:
		text, err := json.Marshal(value)
		return "dyn(" + string(text) + ")", err
	}
}

// List writes a list of expressions.
func List(items []Expression) Expression {
	return Expression{Text: enclose("[", alike(items), "]")}
}

// Map writes a map of expressions, in the order of their keys.
func Map(fields map[string]Expression) Expression {
	keys := slices.Sorted(maps.Keys(fields))
	var values []Expression
	for _, key := range keys {
		values = append(values, fields[key])
	}
	lines := make([]string, len(keys))
	for i, text := range alike(values) {
		lines[i] = Quote(keys[i]) + ": " + text
	}
	return Expression{Text: enclose("{", lines, "}")}
}

// alike wraps what is not of one plain type.
func alike(values []Expression) []string {
	mixed := len(values) > 1 && slices.ContainsFunc(values, func(e Expression) bool { return e.Type == "" || e.Type != values[0].Type })
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = value.Text
		if mixed && value.Type != "dyn" {
			texts[i] = "dyn(" + value.Text + ")"
		}
	}
	return texts
}

// Width is how long a line may be.
const Width = 110

func enclose(left string, lines []string, right string) string {
	line := left + strings.Join(lines, ", ") + right
	if len(line) <= Width && !strings.Contains(line, "\n") {
		return line
	}
	return left + "\n" + Indent(strings.Join(lines, ",\n")) + "\n" + right
}

// Indent moves every line to the right.
func Indent(text string) string {
	return "  " + strings.ReplaceAll(text, "\n", "\n  ")
}

// Quote writes a string. What JSON escapes CEL reads alike.
func Quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // no string is refused
	}
	if inner := string(quoted[1 : len(quoted)-1]); !strings.ContainsAny(inner, `\'`) {
		return "'" + inner + "'"
	}
	return string(quoted)
}
