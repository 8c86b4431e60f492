// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command tighten lets a CustomResourceDefinition take no quantity and no time that the Go type cannot hold, and no port that does not
// exist. What controller-gen writes for these types is looser: see package decode.
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

// portName is the pattern of backend.service.port, which may be a number too. controller-gen knows no bounds of such a number, and a rule of
// it costs more than the oldest API server allows.
const portName = `^[a-z0-9-]+$`

var timeRule = map[string]any{
	"rule":    fmt.Sprintf("self >= timestamp('%d-01-01T00:00:00Z') && self < timestamp('%d-01-01T00:00:00Z')", decode.FirstYear, decode.EndYear),
	"message": fmt.Sprintf("a time must be of the years %d to %d: write it like 2026-01-31T12:00:00Z", decode.FirstYear, decode.EndYear-1),
}

func main() {
	if err := tightenAll(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "tighten:", err)
		os.Exit(1)
	}
}

func tightenAll(files []string) error {
	found := map[string]int{}
	for _, file := range files {
		if err := tighten(file, found); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	for _, kind := range []string{quantities, times, ports} {
		if found[kind] == 0 {
			return fmt.Errorf("no %s were found: does controller-gen write them in another way now", kind)
		}
	}
	return nil
}

func tighten(file string, found map[string]int) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var definition map[string]any
	if err := yaml.Unmarshal(text, &definition); err != nil {
		return fmt.Errorf("reading YAML: %w", err)
	}
	tightenBelow(definition, found)
	out, err := yaml.Marshal(definition)
	if err != nil {
		return fmt.Errorf("writing YAML: %w", err)
	}
	return os.WriteFile(file, bytes.Join([][]byte{[]byte("---\n"), out}, nil), 0o600)
}

// The kinds of values.
const quantities, times, ports = "quantities", "times", "ports"

// tightenBelow changes every schema below a node, and counts those of each kind.
func tightenBelow(node any, found map[string]int) {
	switch node := node.(type) {
	case map[string]any:
		switch {
		case node["pattern"] == generatedQuantity:
			node["pattern"] = decode.QuantityPattern
			found[quantities]++
		case node["type"] == "string" && node["format"] == "date-time":
			node["pattern"], node["x-kubernetes-validations"] = decode.TimePattern, []any{timeRule}
			found[times]++
		case node["pattern"] == portName:
			node["minimum"], node["maximum"] = 1, 65535
			found[ports]++
		}
		for _, below := range node {
			tightenBelow(below, found)
		}
	case []any:
		for _, below := range node {
			tightenBelow(below, found)
		}
	}
}
