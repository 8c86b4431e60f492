// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command policy writes the admission policies of config/admission, from the repository's root. What the operator renders is what
// they allow: a field that is the same in all goldens of the renderer is taken from them, and what differs is in leaves.yaml.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/wechatendpoint/wechatendpoint/hack/policy/literal"
)

const (
	goldens   = "controllers/internal/render/testdata/*.yaml"
	shared    = "controllers/internal/render/testdata/gateways/*.yaml"
	plain     = "controllers/internal/render/testdata/minimal.yaml"
	plainOnes = "controllers/internal/render/testdata/gateways/gateway.yaml"
	choices   = "config/manager/configmap.yaml"
	leaves    = "hack/policy/leaves.yaml"
	templates = "hack/policy/*.tmpl" // one that ends with .yaml.tmpl is a file, another one a part of some
	out       = "config/admission"
)

func main() {
	chart := flag.Bool("compare", false, "compare the policies on standard input, as the chart renders them, with the operator's configuration there")
	flag.Parse()
	act := run
	if *chart {
		act = func() error { return compare(os.Stdin) }
	}
	if err := act(); err != nil {
		fmt.Fprintln(os.Stderr, "policy:", err)
		os.Exit(1)
	}
}

func run() error {
	rendered, err := readGoldens()
	if err != nil {
		return err
	}
	shapes, err := readShapes()
	if err != nil {
		return err
	}
	parsed, err := template.New("").Funcs(template.FuncMap{
		"indent":         func(by int, text string) string { return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", by)) },
		"installation":   installation,
		"kinds":          func() []string { return mapKeys(shapes) },
		"metadata":       func() (string, error) { return metadata(shapes, rendered) },
		"levels":         func(name string) (string, error) { return shapes[name].levels(rendered) },
		"minimal":        minimal,
		"minimalGateway": minimalGateway,
	}).ParseGlob(templates)
	if err != nil {
		return err
	}
	for _, one := range parsed.Templates() {
		if !strings.HasSuffix(one.Name(), ".yaml.tmpl") {
			continue
		}
		var text bytes.Buffer
		if err := one.Execute(&text, nil); err != nil {
			return err
		}
		file := filepath.Join(out, strings.TrimSuffix(one.Name(), ".tmpl"))
		if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil { //nolint:gosec // a file for everybody to read
			return err
		}
	}
	return nil
}

// readGoldens reads every object that the goldens have.
func readGoldens() ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, pattern := range []string{goldens, shared} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			read, err := readObjects(file)
			if err != nil {
				return nil, err
			}
			objects = append(objects, read...)
		}
	}
	return objects, nil
}

func readObjects(file string) ([]*unstructured.Unstructured, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, document := range strings.Split(string(text), "---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		if object.Object != nil {
			objects = append(objects, object)
		}
	}
	return objects, nil
}

// minimal is what an object has of an endpoint that asks for nothing, and of such a gateway.
func minimal(kind, pointer string) (string, error) { return minimalOf(plain, kind, pointer) }

func minimalGateway(kind, pointer string) (string, error) {
	return minimalOf(plainOnes, kind, pointer)
}

func minimalOf(file, kind, pointer string) (string, error) {
	objects, err := readObjects(file)
	if err != nil {
		return "", err
	}
	for _, object := range objects {
		if found := all([]any{object.Object}, pointer); object.GetKind() == kind && len(found) == 1 {
			written, err := constant(found[0])
			return written.Text, err
		}
	}
	return "", fmt.Errorf("%s has no %s with %s", file, kind, pointer)
}

// installation is what the operator of config/manager is configured with.
func installation() (string, error) {
	text, err := os.ReadFile(choices)
	if err != nil {
		return "", err
	}
	return configured(text)
}

// configured writes the choices that a ConfigMap of the operator's holds.
func configured(text []byte) (string, error) {
	var configMap struct{ Data map[string]string }
	if err := yaml.Unmarshal(text, &configMap); err != nil {
		return "", fmt.Errorf("reading the operator's ConfigMap: %w", err)
	}
	config, err := yaml.YAMLToJSON([]byte(configMap.Data["config.yaml"]))
	if err != nil {
		return "", fmt.Errorf("reading the operator's configuration: %w", err)
	}
	return literal.Loose(config)
}

// compare reads what the chart renders, and fails unless its policies know the same choices as its operator.
func compare(manifests io.Reader) error {
	text, err := io.ReadAll(manifests)
	if err != nil {
		return err
	}
	want, policies := "", map[string]string{}
	for _, document := range strings.Split(string(text), "\n---\n") {
		var object unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			return fmt.Errorf("reading what the chart renders: %w", err)
		}
		switch object.GetKind() {
		case "ConfigMap":
			if object.GetName() != "wechatendpoint-operator" {
				continue // another one of the chart's, or of extraObjects
			}
			if want, err = configured([]byte(document)); err != nil {
				return err
			}
		case "ValidatingAdmissionPolicy":
			variables, _, _ := unstructured.NestedSlice(object.Object, "spec", "variables")
			for _, variable := range variables {
				if variable := variable.(map[string]any); variable["name"] == "installation" {
					policies[object.GetName()] = variable["expression"].(string)
				}
			}
		}
	}
	if len(policies) == 0 || want == "" {
		return fmt.Errorf("the chart has %d admission policies with the choices of the installation", len(policies))
	}
	for name, found := range policies {
		if found != want {
			return fmt.Errorf("the choices of the installation in %s are not those of the operator:\n%s\n%s", name, found, want)
		}
	}
	return nil
}

// readShapes reads leaves.yaml, and gives every kind what all have.
func readShapes() (map[string]*shape, error) {
	text, err := os.ReadFile(leaves)
	if err != nil {
		return nil, err
	}
	var shapes map[string]*shape
	if err := yaml.UnmarshalStrict(text, &shapes); err != nil {
		return nil, fmt.Errorf("reading %s: %w", leaves, err)
	}
	common := shapes["all"]
	delete(shapes, "all")
	for _, one := range shapes {
		if one.Like != "" {
			one.copy(shapes[one.Like])
		}
	}
	for _, one := range shapes {
		one.inherit(common)
	}
	return shapes, nil
}
