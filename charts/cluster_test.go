// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWhatIsInTheClusterAlready: a second installation, and definitions that are newer, are refused with the next command.
func TestWhatIsInTheClusterAlready(t *testing.T) {
	for name, test := range map[string]struct {
		has    map[string]object
		values string
		err    string // part of it; empty for none
	}{
		"nothing":                       {values: "{}"},
		"the same release":              {has: map[string]object{role: ofRelease("wechat-endpoint", namespace)}, values: "{}"},
		"a role of no release":          {has: map[string]object{role: {}}, values: "{}"},
		"another release":               {has: map[string]object{role: ofRelease("wx", namespace)}, values: "{}", err: "helm upgrade wx --namespace wechatendpoint-system"},
		"the same name elsewhere":       {has: map[string]object{role: ofRelease("wechat-endpoint", "platform")}, values: "{}", err: "release wechat-endpoint of namespace platform serves this whole cluster already"},
		"another beside a narrow one":   {has: map[string]object{role: ofRelease("wx", namespace)}, values: "watchNamespaces: [a]"},
		"definitions of this version":   {has: map[string]object{definition: ofVersion("0.1.0")}, values: "{}"},
		"older definitions":             {has: map[string]object{definition: ofVersion("0.0.9")}, values: "{}"},
		"newer definitions":             {has: map[string]object{definition: ofVersion("0.10.0-rc.1")}, values: "{}", err: "Install version 0.10.0-rc.1 or newer, or set crds.enabled to false"},
		"newer ones that are let alone": {has: map[string]object{definition: ofVersion("0.10.0")}, values: "crds: {enabled: false}"},
		"definitions without a version": {has: map[string]object{definition: {}}, values: "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := template(t, "--dry-run=server", "--disable-openapi-validation", "--kubeconfig", cluster(t, test.has), "--values", written(t, test.values))
			if err != nil && strings.Contains(err.Error(), "unable to build kubernetes objects") {
				err = nil // all templates are rendered, and this cluster has no other kinds
			}
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("helm says %v; want %q in it", err, test.err)
			}
		})
	}
}

const (
	role       = "/apis/rbac.authorization.k8s.io/v1/clusterroles/wechatendpoint-operator"
	definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/wechatendpoints.wechatendpoint.io"
)

// object is the labels and annotations of one.
type object struct {
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Name        string            `json:"name"`
}

func ofRelease(name, namespace string) object {
	return object{Annotations: map[string]string{"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": namespace}}
}

func ofVersion(version string) object {
	return object{Labels: map[string]string{"app.kubernetes.io/version": version}}
}

// cluster serves what helm asks an API server for, and returns a kubeconfig for it.
func cluster(t *testing.T, has map[string]object) string {
	t.Helper()
	kinds := map[string][2]string{
		"/apis/rbac.authorization.k8s.io/v1": {"clusterroles", "ClusterRole"},
		"/apis/apiextensions.k8s.io/v1":      {"customresourcedefinitions", "CustomResourceDefinition"},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		var answer any
		switch kind, is := kinds[r.URL.Path]; {
		case r.URL.Path == "/version":
			answer = map[string]string{"major": "1", "minor": "37", "gitVersion": "v1.37.0"}
		case r.URL.Path == "/api":
			answer = map[string]any{"kind": "APIVersions", "versions": []string{"v1"}}
		case r.URL.Path == "/api/v1":
			answer = map[string]any{"kind": "APIResourceList", "groupVersion": "v1", "resources": []any{}}
		case r.URL.Path == "/apis":
			var groups []any
			for path := range kinds {
				version := strings.TrimPrefix(path, "/apis/")
				one := map[string]string{"groupVersion": version, "version": "v1"}
				groups = append(groups, map[string]any{"name": strings.TrimSuffix(version, "/v1"), "versions": []any{one}, "preferredVersion": one})
			}
			answer = map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
		case is:
			answer = map[string]any{"kind": "APIResourceList", "groupVersion": strings.TrimPrefix(r.URL.Path, "/apis/"), "resources": []any{
				map[string]any{"name": kind[0], "kind": kind[1], "namespaced": false, "verbs": []string{"get"}},
			}}
		default:
			found, is := has[r.URL.Path]
			if !is {
				w.WriteHeader(http.StatusNotFound)
				answer = map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": http.StatusNotFound}
				break
			}
			folder := filepath.Dir(filepath.Dir(r.URL.Path))
			found.Name = filepath.Base(r.URL.Path)
			answer = map[string]any{"apiVersion": strings.TrimPrefix(folder, "/apis/"), "kind": kinds[folder][1], "metadata": found}
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{name: a, cluster: {server: %q}}]\ncontexts: [{name: a, context: {cluster: a, user: a}}]\nusers: [{name: a, user: {}}]\n", server.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
