// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command schemas writes the JSON schemas that kubeconform checks manifests against: of Kubernetes' own kinds from its
// OpenAPI document, and of custom resources from their CRDs. So the check needs no network and follows the Kubernetes
// version that the tests run on.
//
//	schemas -openapi swagger.json -out DIR CRD.yaml…
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	openAPI := flag.String("openapi", "", "OpenAPI v2 document of Kubernetes")
	out := flag.String("out", "", "folder of the schemas")
	flag.Parse()
	if err := run(*openAPI, *out, flag.Args()); err != nil {
		fmt.Fprintf(os.Stderr, "schemas: %v\n", err)
		os.Exit(1)
	}
}

func run(openAPI, out string, definitions []string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	if err := writeBuiltIn(openAPI, out); err != nil {
		return fmt.Errorf("reading %s: %w", openAPI, err)
	}
	for _, path := range definitions {
		if err := writeCustom(path, out); err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
	}
	return nil
}

// gvk is the x-kubernetes-group-version-kind of a definition.
type gvk struct{ Group, Version, Kind string }

func writeBuiltIn(openAPI, out string) error {
	text, err := os.ReadFile(openAPI)
	if err != nil {
		return err
	}
	var document struct {
		Definitions map[string]map[string]any `json:"definitions"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return err
	}
	for name, definition := range document.Definitions {
		tighten(name, definition)
	}
	for name, definition := range document.Definitions {
		var kinds []gvk
		if err := remarshal(definition["x-kubernetes-group-version-kind"], &kinds); err != nil {
			return err
		}
		for _, kind := range kinds {
			schema := map[string]any{"$ref": "#/definitions/" + name, "definitions": reachable(document.Definitions, name)}
			if err := write(out, kind, schema); err != nil {
				return err
			}
		}
	}
	return nil
}

// tighten makes a definition refuse fields that it does not list, and admit what the API server does: numbers or texts
// where the document says so in words only.
func tighten(name string, definition map[string]any) {
	if _, ok := definition["properties"]; ok {
		definition["additionalProperties"] = false
	}
	if strings.HasSuffix(name, ".IntOrString") || strings.HasSuffix(name, ".Quantity") {
		delete(definition, "type")
		delete(definition, "format")
		definition["type"] = []string{"string", "number"}
	}
}

// reachable returns the definitions that name refers to, itself included.
func reachable(all map[string]map[string]any, name string) map[string]any {
	found := map[string]any{}
	var visit func(name string)
	visit = func(name string) {
		if _, ok := found[name]; ok {
			return
		}
		found[name] = all[name]
		eachReference(all[name], visit)
	}
	visit(name)
	return found
}

func eachReference(value any, visit func(string)) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if text, ok := inner.(string); ok && key == "$ref" {
				visit(strings.TrimPrefix(text, "#/definitions/"))
			} else {
				eachReference(inner, visit)
			}
		}
	case []any:
		for _, inner := range v {
			eachReference(inner, visit)
		}
	}
}

func writeCustom(path, out string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &definition); err != nil {
		return err
	}
	for _, version := range definition.Spec.Versions {
		var schema map[string]any
		if err := remarshal(version.Schema.OpenAPIV3Schema, &schema); err != nil {
			return err
		}
		closeObjects(schema)
		kind := gvk{definition.Spec.Group, version.Name, definition.Spec.Names.Kind}
		if err := write(out, kind, schema); err != nil {
			return err
		}
	}
	return nil
}

// closeObjects makes every object with listed properties refuse others, as the API server prunes them. Metadata is left
// open, because a CRD does not list it.
func closeObjects(value any) {
	switch v := value.(type) {
	case map[string]any:
		if _, ok := v["properties"].(map[string]any); ok && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for _, inner := range v {
			closeObjects(inner)
		}
	case []any:
		for _, inner := range v {
			closeObjects(inner)
		}
	}
}

// write names the file as kubeconform asks for it: kind-group-version, in lower case, the group up to its first dot.
func write(out string, kind gvk, schema map[string]any) error {
	name := kind.Kind
	if kind.Group != "" {
		group, _, _ := strings.Cut(kind.Group, ".")
		name += "-" + group
	}
	text, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, strings.ToLower(name+"-"+kind.Version)+".json"), text, 0o644)
}

func remarshal(from, into any) error {
	if from == nil {
		return nil
	}
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
