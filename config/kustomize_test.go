// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package config holds the kustomize bases, and tests of what overlays make of them.
package config

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers"
	"github.com/wechatendpoint/wechatendpoint/hack/policy/literal"
)

const (
	name        = "wechatendpoint-operator"
	baseName    = "wechatendpoint-system"
	baseSidecar = "ghcr.io/wechatendpoint/sidecar:dev"
)

// TestOverlays builds overlays with kustomize. The namespace and the images of the overlay must stand everywhere.
func TestOverlays(t *testing.T) {
	digest := "sha256:" + strings.Repeat("1", 64)
	for folder, want := range map[string]struct{ namespace, operator, sidecar string }{
		"default":                             {baseName, "ghcr.io/wechatendpoint/operator:dev", baseSidecar},
		"testdata/overlays/another-namespace": {"platform", "ghcr.io/wechatendpoint/operator:dev", baseSidecar},
		"testdata/overlays/elsewhere":         {"platform", "registry.example.com:5000/you/operator:0.2.0", "registry.example.com:5000/you/sidecar:0.2.0"},
		"testdata/overlays/pinned":            {"platform", "registry.example.com:5000/you/operator:0.2.0", "registry.example.com:5000/you/sidecar:0.2.1@" + digest},
	} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			objects := build(t, folder)
			for key, object := range objects {
				if want.namespace != baseName && strings.Contains(text(t, object), baseName) {
					t.Errorf("%s names the namespace of the base", key)
				}
				if want.sidecar != baseSidecar && strings.Contains(text(t, object), baseSidecar) {
					t.Errorf("%s names the sidecar's image of the base", key)
				}
			}
			checkNamespaces(t, objects, want.namespace)
			deployment := objects["Deployment/"+name]
			containers, _, _ := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "containers")
			operator := containers[0].(map[string]any)
			if got := operator["image"]; got != want.operator {
				t.Errorf("the operator's image is %v, want %s", got, want.operator)
			}
			if args := text(t, operator["args"]); strings.Contains(args, "namespace") {
				t.Errorf("a flag names a namespace, which an overlay does not change:\n%s", args)
			}
			annotations, _, _ := unstructured.NestedStringMap(deployment.Object, "spec", "template", "metadata", "annotations")
			if got := annotations["wechatendpoint.io/sidecar-image"]; got != want.sidecar {
				t.Errorf("the pods of the operator are annotated with the sidecar's image %s, want %s", got, want.sidecar)
			}
			config, _, _ := unstructured.NestedString(objects["ConfigMap/"+name].Object, "data", "config.yaml")
			options, err := controllers.ParseOptions([]byte(config), want.namespace)
			if err != nil {
				t.Fatal(err)
			}
			if options.SidecarImage != want.sidecar || options.OperatorNamespace != want.namespace {
				t.Errorf("the operator takes the sidecars from %s, and itself to be in %s", options.SidecarImage, options.OperatorNamespace)
			}
			checkPolicies(t, objects, config, want.namespace)
		})
	}
}

// checkNamespaces tells what is in another namespace, or about a ServiceAccount of another one.
func checkNamespaces(t *testing.T, objects map[string]*unstructured.Unstructured, namespace string) {
	t.Helper()
	bindings := 0
	for key, object := range objects {
		switch kind, _, _ := strings.Cut(key, "/"); kind {
		case "Namespace":
			if object.GetName() != namespace {
				t.Errorf("%s is made, not %s", key, namespace)
			}
		case "ConfigMap", "Deployment", "Lease", "Role", "RoleBinding", "ServiceAccount", "PodTemplate":
			if object.GetNamespace() != namespace {
				t.Errorf("%s is in %s", key, object.GetNamespace())
			}
		}
		subjects, _, _ := unstructured.NestedSlice(object.Object, "subjects")
		for _, subject := range subjects {
			bindings++
			if diff := cmp.Diff(map[string]any{"kind": "ServiceAccount", "name": name, "namespace": namespace}, subject); diff != "" {
				t.Errorf("%s binds somebody else (-want +got):\n%s", key, diff)
			}
		}
	}
	if bindings != 2 {
		t.Errorf("there are %d bound ServiceAccounts, want 2", bindings)
	}
}

// TestGitOpsSample: each overlay says which account and which host it is for, and where its tokens are.
func TestGitOpsSample(t *testing.T) {
	for overlay, want := range map[string]struct {
		host, appID, key string
		replicas         int32
	}{
		"staging":    {"wx.staging.example.com", "wx5823bf96d3bd56c8", "wechat/staging/shop", 1},
		"production": {"wx.example.com", "wx5823bf96d3bd56c7", "wechat/production/shop", 3},
	} {
		t.Run(overlay, func(t *testing.T) {
			t.Parallel()
			objects := build(t, "samples/gitops/overlays/"+overlay)
			var endpoint v1alpha1.WeChatEndpoint
			if err := yaml.UnmarshalStrict([]byte(text(t, objects["WeChatEndpoint/shop"])), &endpoint); err != nil {
				t.Fatal(err)
			}
			spec := endpoint.Spec
			if spec.URL.Host != want.host || spec.AppID != want.appID || *spec.Sidecar.Replicas != want.replicas {
				t.Errorf("the endpoint is for %s on %s, with %d replicas; want %+v", spec.AppID, spec.URL.Host, *spec.Sidecar.Replicas, want)
			}
			secret := objects["ExternalSecret/"+spec.Credentials.SecretName]
			if secret == nil {
				t.Fatalf("nothing makes the Secret %s", spec.Credentials.SecretName)
			}
			labels, _, _ := unstructured.NestedStringMap(secret.Object, "spec", "target", "template", "metadata", "labels")
			if labels[v1alpha1.LabelCredentials] != v1alpha1.CredentialsUser {
				t.Errorf("the operator does not see the Secret, which is labelled %v", labels)
			}
			if !strings.Contains(text(t, secret.Object["spec"]), "key: "+want.key+"\n") {
				t.Errorf("the tokens are not those of %s:\n%s", want.key, text(t, secret))
			}
			for name, object := range objects {
				if object.GetNamespace() != overlay {
					t.Errorf("%s is in namespace %q", name, object.GetNamespace())
				}
			}
		})
	}
}

var user = regexp.MustCompile(`^request\.userInfo\.username\.matches\('([^']+)'\)$`)

// checkPolicies: they are for the operator's ServiceAccount, and know the choices that it has.
func checkPolicies(t *testing.T, objects map[string]*unstructured.Unstructured, config, namespace string) {
	t.Helper()
	choices, err := yaml.YAMLToJSON([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	want, err := literal.Loose(choices)
	if err != nil {
		t.Fatal(err)
	}
	for _, policy := range []string{name, name + "-spec", name + "-gateway"} {
		object := objects["ValidatingAdmissionPolicy/"+policy]
		if object == nil {
			t.Fatalf("there is no policy %s", policy)
		}
		found := map[string]string{}
		for _, list := range []string{"matchConditions", "variables"} {
			all, _, _ := unstructured.NestedSlice(object.Object, "spec", list)
			for _, one := range all {
				one := one.(map[string]any)
				found[one["name"].(string)] = one["expression"].(string)
			}
		}
		if got := found["installation"]; got != want {
			t.Errorf("%s knows the choices %s, and the operator has %s", policy, got, want)
		}
		about := user.FindStringSubmatch(found["by-the-operator"])
		if about == nil {
			t.Fatalf("%s is for %s", policy, found["by-the-operator"])
		}
		for username, is := range map[string]bool{
			"system:serviceaccount:" + namespace + ":" + name:        true,
			"system:serviceaccount:" + namespace + ":default":        false,
			"system:serviceaccount:" + namespace + ":" + name + "2":  false,
			"prefix:system:serviceaccount:" + namespace + ":" + name: false,
			"system:serviceaccount:a:b:" + name:                      false,
		} {
			if regexp.MustCompile(about[1]).MatchString(username) != is {
				t.Errorf("%s is for %s: %t, want %t", policy, username, !is, is)
			}
		}
	}
}

// build returns what kustomize makes of a folder, by kind and name.
func build(t *testing.T, folder string) map[string]*unstructured.Unstructured {
	t.Helper()
	if testing.Short() {
		t.Skip("it runs kustomize")
	}
	kustomize, err := exec.CommandContext(t.Context(), "../tools/install", "kustomize").Output()
	if err != nil {
		t.Fatal(err)
	}
	built, err := exec.CommandContext(t.Context(), strings.TrimSpace(string(kustomize)), "build", folder).Output()
	if err != nil {
		t.Fatalf("kustomize build %s: %v", folder, err)
	}
	objects := map[string]*unstructured.Unstructured{}
	for _, document := range strings.Split(string(built), "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			t.Fatal(err)
		}
		objects[object.GetKind()+"/"+object.GetName()] = object
	}
	return objects
}

func text(t *testing.T, object any) string {
	t.Helper()
	written, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(written)
}
