// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command values makes the chart's values.schema.json and README.md from its values.yaml, from the repository's root. The comment above a value
// describes it; a line of it that begins with @schema bounds it, by keywords of JSON Schema or by a name of definitions.yaml; and a comment
// that begins with @section begins a table of the README. A value without a description, or without a shape, is an error.
package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

const chart = "charts/wechat-endpoint"

var (
	//go:embed definitions.yaml
	definitions []byte
	//go:embed README.md.tmpl
	readme string
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "values:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	if err != nil {
		return err
	}
	schema, page, err := write(text, definitions, readme)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(chart, "values.schema.json"), schema, 0o644); err != nil { //nolint:gosec // a file for everybody to read
		return err
	}
	return os.WriteFile(filepath.Join(chart, "README.md"), page, 0o644) //nolint:gosec // likewise
}

// write makes both files.
func write(values, definitions []byte, readme string) (schema, page []byte, err error) {
	sections, root, err := read(values)
	if err != nil {
		return nil, nil, err
	}
	whole, err := schemaOf(root, definitions)
	if err != nil {
		return nil, nil, err
	}
	if schema, err = json.MarshalIndent(whole, "", "  "); err != nil {
		return nil, nil, err
	}
	parsed, err := template.New("").Parse(readme)
	if err != nil {
		return nil, nil, err
	}
	var out bytes.Buffer
	err = parsed.Execute(&out, sections)
	return append(schema, '\n'), out.Bytes(), err
}
