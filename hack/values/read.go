// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"go.yaml.in/yaml/v3"
)

// value is what values.yaml says of one value.
type value struct {
	Path, Description string
	// Default is as JSON writes it.
	Default string

	bounds   map[string]any // keywords of a schema
	kind     string         // its type, by its default
	children []*value       // in their order
	key      string
}

// section is a table of the README.
type section struct {
	Title, Text string
	Values      []*value
}

// commentOf are the lines of the comment right above a key. A section's title stands above an empty line.
func commentOf(key *yaml.Node) []string {
	blocks := strings.Split(key.HeadComment, "\n\n")
	last := blocks[len(blocks)-1]
	if strings.HasPrefix(last, "# @section ") {
		return nil
	}
	var lines []string
	for line := range strings.SplitSeq(last, "\n") {
		lines = append(lines, strings.TrimPrefix(strings.TrimPrefix(line, "#"), " "))
	}
	return lines
}

// read returns the sections of the file, and its values as one.
func read(text []byte) ([]section, *value, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, nil, fmt.Errorf("reading the values: %w", err)
	}
	lines := strings.Split(string(text), "\n")
	root := &value{kind: "object"}
	if err := root.fill(document.Content[0]); err != nil {
		return nil, nil, err
	}
	var sections []section
	begins := map[int]int{} // the number of the section that begins at a line
	for i, line := range lines {
		title, ok := strings.CutPrefix(line, "# @section ")
		if !ok {
			continue
		}
		var rest []string
		for _, line := range lines[i+1:] {
			if !strings.HasPrefix(line, "#") {
				break
			}
			rest = append(rest, strings.TrimPrefix(strings.TrimPrefix(line, "#"), " "))
		}
		begins[i+1] = len(sections)
		sections = append(sections, section{Title: title, Text: strings.Join(rest, " ")})
	}
	for i := 0; i < len(document.Content[0].Content); i += 2 {
		at := -1
		for line, number := range begins {
			if line < document.Content[0].Content[i].Line {
				at = max(at, number)
			}
		}
		if at < 0 {
			return nil, nil, fmt.Errorf("%s is in no section", document.Content[0].Content[i].Value)
		}
		sections[at].Values = append(sections[at].Values, root.children[i/2].leaves()...)
	}
	return sections, root, nil
}

// fill reads what is below a value.
func (v *value) fill(node *yaml.Node) error {
	var errs []error
	for i := 0; i < len(node.Content); i += 2 {
		key, content := node.Content[i], node.Content[i+1]
		child := &value{key: key.Value, Path: strings.TrimPrefix(v.Path+"."+key.Value, ".")}
		errs = append(errs, child.describe(commentOf(key), content))
		if child.bounds == nil && content.Kind == yaml.MappingNode {
			errs = append(errs, child.fill(content))
		}
		v.children = append(v.children, child)
	}
	return errors.Join(errs...)
}

// describe reads a value's comment and its default.
func (v *value) describe(comment []string, node *yaml.Node) error {
	var words []string
	for _, line := range comment {
		text, bounds := strings.CutPrefix(line, "@schema ")
		if !bounds {
			words = append(words, line)
			continue
		}
		var keywords map[string]any
		if err := yaml.Unmarshal([]byte(text), &keywords); err != nil {
			return fmt.Errorf("%s: reading %q: %w", v.Path, line, err)
		}
		if v.bounds == nil {
			v.bounds = map[string]any{}
		}
		maps.Copy(v.bounds, keywords)
	}
	v.Description = strings.Join(words, " ")
	var content any
	if err := node.Decode(&content); err != nil {
		return fmt.Errorf("%s: %w", v.Path, err)
	}
	text, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("%s: %w", v.Path, err)
	}
	v.Default = string(text)
	kinds := map[string]string{"!!str": "string", "!!bool": "boolean", "!!int": "integer", "!!map": "object", "!!seq": "array"}
	v.kind = kinds[node.ShortTag()]
	grouped := v.kind == "object" && len(node.Content) > 0 && v.bounds == nil
	switch {
	case v.kind == "":
		return fmt.Errorf("%s has no type: give it a default that tells it", v.Path)
	case !grouped && v.Description == "":
		return fmt.Errorf("%s has no description: write a comment above it", v.Path)
	case !grouped && (v.kind == "object" || v.kind == "array" || v.kind == "string") && v.bounds == nil:
		return fmt.Errorf("%s may hold anything: bound it by @schema in its comment", v.Path)
	}
	return nil
}

// leaves are the values that have a row in the README.
func (v *value) leaves() []*value {
	if len(v.children) == 0 {
		return []*value{v}
	}
	var all []*value
	for _, child := range v.children {
		all = append(all, child.leaves()...)
	}
	return all
}

// Row is the value's row in a table.
func (v *value) Row() string {
	written := strings.ReplaceAll(v.Default, "|", `\|`)
	return fmt.Sprintf("| `%s` | %s | `%s` |", v.Path, strings.ReplaceAll(v.Description, "|", `\|`), written)
}
