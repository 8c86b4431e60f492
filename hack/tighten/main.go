// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command tighten lets a CustomResourceDefinition take no quantity and no time that the Go type cannot hold. What controller-gen
// writes for these types is looser: see package decode.
//
// For quantities a pattern does it, and not CEL's isQuantity: the API server would parse what takes it minutes to parse. Times have a
// rule too: without one the API server takes an empty list for a text that has a format.
package main

import (
	"bytes"
	"fmt"
	"os"

	"sigs.k8s.io/yaml"

	"github.com/wechatendpoint/wechatendpoint/api/decode"
)

// generatedQuantity is the pattern of controller-gen, whose exponent may have a point.
const generatedQuantity = `^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$`

var timeRule = map[string]any{
	"rule":    fmt.Sprintf("self >= timestamp('%d-01-01T00:00:00Z') && self < timestamp('%d-01-01T00:00:00Z')", decode.FirstYear, decode.EndYear),
	"message": fmt.Sprintf("a time must be of the years %d to %d: write it like 2026-01-31T12:00:00Z", decode.FirstYear, decode.EndYear-1),
}

func main() {
	for _, file := range os.Args[1:] {
		if err := tighten(file); err != nil {
			fmt.Fprintf(os.Stderr, "tighten: %s: %v\n", file, err)
			os.Exit(1)
		}
	}
}

func tighten(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var definition map[string]any
	if err := yaml.Unmarshal(text, &definition); err != nil {
		return fmt.Errorf("reading YAML: %w", err)
	}
	quantities, times := tightenBelow(definition)
	if quantities == 0 || times == 0 {
		return fmt.Errorf("%d quantities and %d times were found: does controller-gen write them in another way now", quantities, times)
	}
	out, err := yaml.Marshal(definition)
	if err != nil {
		return fmt.Errorf("writing YAML: %w", err)
	}
	return os.WriteFile(file, bytes.Join([][]byte{[]byte("---\n"), out}, nil), 0o600)
}

// tightenBelow changes every schema below a node, and counts the quantities and the times.
func tightenBelow(node any) (quantities, times int) {
	switch node := node.(type) {
	case map[string]any:
		if node["pattern"] == generatedQuantity {
			node["pattern"] = decode.QuantityPattern
			quantities++
		}
		if node["type"] == "string" && node["format"] == "date-time" {
			node["pattern"], node["x-kubernetes-validations"] = decode.TimePattern, []any{timeRule}
			times++
		}
		for _, below := range node {
			q, t := tightenBelow(below)
			quantities, times = quantities+q, times+t
		}
	case []any:
		for _, below := range node {
			q, t := tightenBelow(below)
			quantities, times = quantities+q, times+t
		}
	}
	return quantities, times
}
