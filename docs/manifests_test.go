// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestEachManifestIsWellFormed reads the documents of the pages: a resource of this project has no field that is not known, whole or as a
// part; and the values of the chart, be they a file's or an Argo CD Application's or a Flux HelmRelease's, are values that the chart has.
func TestEachManifestIsWellFormed(t *testing.T) {
	all, values, kinds := pages(t), readValues(t), map[string]int{}
	for _, name := range names(all) {
		for _, block := range all[name].Blocks {
			var documents []string
			switch block.Language {
			case "yaml":
				documents = strings.Split(block.Text, "\n---\n")
			case shell:
				script, err := parseShell(block.Text)
				if err != nil {
					continue // TestEachCommandIsWellFormed tells
				}
				for _, text := range script.documents {
					documents = append(documents, strings.Split(text, "\n---\n")...)
				}
			}
			for _, text := range documents {
				kind, err := checkManifest(text, values)
				if kinds[kind]++; err != nil {
					t.Errorf("%s:%d: %v", name, block.Line, err)
				}
			}
		}
	}
	for _, kind := range []string{"WeChatEndpoint", "WeChatGateway", "values"} {
		if kinds[kind] == 0 {
			t.Errorf("no page has a %s", kind)
		}
	}
}

// checkManifest reads a document, and tells what it is.
func checkManifest(text string, values any) (kind string, err error) {
	var whole map[string]any
	if err := yaml.UnmarshalStrict([]byte(text), &whole); err != nil {
		return "", err
	}
	kind, _ = whole["kind"].(string)
	_, isPart := whole["spec"]
	switch {
	case kind == "WeChatGateway":
		return kind, yaml.UnmarshalStrict([]byte(text), &v1alpha1.WeChatGateway{})
	case kind == "WeChatEndpoint", kind == "" && isPart:
		return "WeChatEndpoint", yaml.UnmarshalStrict([]byte(text), &v1alpha1.WeChatEndpoint{})
	case kind == "" && whole["volumes"] != nil, kind == "" && whole["data"] != nil:
		return "part", nil // of a pod, or a ConfigMap
	case kind == "Kustomization": // it has no name
		return kind, nil
	case kind == "":
		return "values", checkValues(values, "", whole)
	}
	metadata, _ := whole["metadata"].(map[string]any)
	if whole["apiVersion"] == nil || metadata["name"] == nil {
		return kind, fmt.Errorf("the %s has no apiVersion or no name", kind)
	}
	for _, path := range [][]string{{"spec", "source", "helm", "valuesObject"}, {"spec", "values"}} {
		if inner, ok := at(whole, path).(map[string]any); ok {
			err = errors.Join(err, checkValues(values, "", inner))
		}
	}
	return kind, err
}

func at(value any, path []string) any {
	for _, key := range path {
		fields, _ := value.(map[string]any)
		value = fields[key]
	}
	return value
}

func readValues(t *testing.T) any {
	t.Helper()
	var values map[string]any
	if err := yaml.Unmarshal([]byte(contents(t, "../charts/wechat-endpoint/values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// checkValues compares values with the chart's own: each name is there, or below something whose default is empty.
func checkValues(chart any, prefix string, values map[string]any) error {
	var errs []error
	for name, value := range values {
		fields, isMap := value.(map[string]any)
		known, _ := chart.(map[string]any)
		inner, exists := known[name]
		switch {
		case !exists && len(known) > 0:
			errs = append(errs, fmt.Errorf("the chart has no value %s%s", prefix, name))
		case isMap && exists:
			errs = append(errs, checkValues(inner, prefix+name+".", fields))
		}
	}
	return errors.Join(errs...)
}

var dot = regexp.MustCompile(`\\\.`)

// checkKey does so for a key of --set.
func checkKey(chart any, key string) error {
	const escaped = "\x00"
	parts := strings.Split(dot.ReplaceAllString(key, escaped), ".")
	values := map[string]any{strings.ReplaceAll(parts[len(parts)-1], escaped, "."): nil}
	for i := len(parts) - 2; i >= 0; i-- {
		values = map[string]any{parts[i]: values}
	}
	return checkValues(chart, "", values)
}
