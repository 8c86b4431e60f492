// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package charts holds the chart, and tests of what helm makes of it.
package charts

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/wechatendpoint/wechatendpoint/controllers"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	chart     = "wechat-endpoint"
	namespace = "wechatendpoint-system"
)

// helm is built when it is first needed, which takes minutes: not in a short test.
var helm = sync.OnceValues(func() (string, error) {
	path, err := exec.Command("../tools/install", "helm").Output()
	return strings.TrimSpace(string(path)), err
})

// template returns what helm renders, or what it says instead.
func template(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	return templateOf(t, chart, arguments...)
}

func templateOf(t *testing.T, chart string, arguments ...string) (string, error) {
	t.Helper()
	if testing.Short() {
		t.Skip("it runs helm")
	}
	program, err := helm()
	if err != nil {
		t.Fatal(err)
	}
	arguments = append([]string{"template", "wechat-endpoint", chart, "--namespace", namespace, "--kube-version", "1.37.0"}, arguments...)
	command := exec.CommandContext(t.Context(), program, arguments...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", errors.New(stderr.String())
	}
	return stdout.String(), nil
}

// TestGoldens compares what helm renders of each file of testdata/values with a file. Read the difference, and run
// `go test ./charts -update` if it is meant. Of what is copied from config/ it keeps what depends on the values.
func TestGoldens(t *testing.T) {
	inputs, err := filepath.Glob("testdata/values/*.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("there are %d files of values: %v", len(inputs), err)
	}
	version := regexp.MustCompile(`\b` + regexp.QuoteMeta(versionOf(t)) + `\b`)
	for _, input := range inputs {
		t.Run(strings.TrimSuffix(filepath.Base(input), ".yaml"), func(t *testing.T) {
			t.Parallel()
			rendered, err := template(t, "--values", input)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata/goldens", filepath.Base(input))
			got := version.ReplaceAllString(shortened(t, rendered), "VERSION")
			got = token.ReplaceAllString(checksum.ReplaceAllString(got, "CHECKSUM"), "token: TOKEN")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil { //nolint:gosec // a file for everybody to read
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("not what %s has (-want +got):\n%s", golden, diff)
			}
		})
	}
}

var (
	checksum = regexp.MustCompile(`(?m)\b[0-9a-f]{64}$`)
	token    = regexp.MustCompile(`(?m)\btoken: [0-9A-Za-z]{32}$`)
)

func versionOf(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chart, "Chart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var about struct{ Version, AppVersion string }
	if err := yaml.Unmarshal(text, &about); err != nil {
		t.Fatal(err)
	}
	if about.Version == "" || about.Version != about.AppVersion {
		t.Fatalf("the chart is of version %s, and the images of version %s", about.Version, about.AppVersion)
	}
	return about.Version
}

// shortened is what helm renders, without the copies of files that other tests compare: definitions, roles' rules and most of the policies.
// Of a policy, its user and its variable "installation" stay. The operator must be able to read the configuration.
func shortened(t *testing.T, rendered string) string {
	t.Helper()
	var out strings.Builder
	for _, document := range strings.Split(rendered, "\n---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatalf("reading what helm renders: %v\n%s", err, document)
		}
		if object == nil {
			continue
		}
		switch object["kind"] {
		case "CustomResourceDefinition":
			delete(object, "spec")
		case "ClusterRole", "Role":
			if rules := object["rules"].([]any); len(rules) > 5 {
				object["rules"] = []any{"…"}
			}
		case "ValidatingAdmissionPolicy":
			spec := object["spec"].(map[string]any)
			short := map[string]any{"matchConditions": spec["matchConditions"]}
			if name, _, _ := unstructured.NestedString(object, "metadata", "name"); name == "wechatendpoint-operator" { // the others repeat it
				short["variables"] = slices.DeleteFunc(spec["variables"].([]any), func(variable any) bool {
					return variable.(map[string]any)["name"] != "installation"
				})
			}
			object["spec"] = short
		case "PrometheusRule":
			shortenRules(t, object)
		case "ConfigMap":
			shortenDashboards(t, object)
			if config, ok := object["data"].(map[string]any)["config.yaml"].(string); ok {
				if _, err := controllers.ParseOptions([]byte(config), ""); err != nil {
					t.Errorf("the operator does not read its configuration: %v\n%s", err, config)
				}
			}
		}
		text, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("---\n")
		out.Write(text)
	}
	return out.String()
}

// shortenRules compares the alerts with their file, and keeps the names of their groups.
func shortenRules(t *testing.T, object map[string]any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chart, "files/alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(file, object["spec"]); diff != "" {
		t.Errorf("the rules are not those of the file (-file +rendered):\n%s", diff)
	}
	for _, group := range object["spec"].(map[string]any)["groups"].([]any) {
		group.(map[string]any)["rules"] = []any{"…"}
	}
}

// shortenDashboards compares the dashboards with their files, and keeps their keys.
func shortenDashboards(t *testing.T, object map[string]any) {
	t.Helper()
	data, _ := object["data"].(map[string]any)
	for key, text := range data {
		name, is := strings.CutPrefix(key, "wechatendpoint-")
		if !is || filepath.Ext(key) != ".json" {
			continue
		}
		file, err := os.ReadFile(filepath.Join(chart, "files/dashboards", name))
		if err != nil || string(file) != text {
			t.Errorf("%s is not the file (%v)", key, err)
		}
		data[key] = "…"
	}
}

// TestWhatIsToldOfTheChart compares what Artifact Hub shows with what is there.
func TestWhatIsToldOfTheChart(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(chart, "Chart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var about struct {
		Icon        string
		Annotations map[string]string
	}
	if err := yaml.Unmarshal(text, &about); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(chart, filepath.Base(about.Icon))); err != nil {
		t.Errorf("the icon: %v", err)
	}
	var told []struct{ Kind, Version, Name string }
	if err := yaml.Unmarshal([]byte(about.Annotations["artifacthub.io/crds"]), &told); err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, one := range told {
		listed = append(listed, one.Name+" "+one.Kind+" "+one.Version)
	}
	var defined []string
	files, err := filepath.Glob(filepath.Join(chart, "files/crds/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var definition struct {
			Metadata struct{ Name string }
			Spec     struct {
				Names    struct{ Kind string }
				Versions []struct{ Name string }
			}
		}
		if err := yaml.Unmarshal(text, &definition); err != nil {
			t.Fatal(err)
		}
		defined = append(defined, definition.Metadata.Name+" "+definition.Spec.Names.Kind+" "+definition.Spec.Versions[0].Name)
	}
	if diff := cmp.Diff(defined, listed); diff != "" {
		t.Errorf("the definitions (-there +told):\n%s", diff)
	}
}
