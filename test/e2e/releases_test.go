//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// earlierChart is a release before this one, as it was packaged.
const earlierChart = "../../charts/testdata/earlier/wechat-endpoint-0.0.9.tgz"

// passesThroughReleases installs the earlier chart over the definitions that were kept, upgrades it, tests it, goes back, upgrades again and
// removes it, while messages come.
func (s *stage) passesThroughReleases(t *testing.T) {
	t.Helper()
	helm := func(arguments ...string) {
		t.Helper()
		said, err := call(t.Context(), kube.helm, append(arguments, "--namespace", operatorNamespace, "--timeout", "2m")...)
		if err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
	}
	upgrade := []string{"upgrade", release, chart, "--reset-then-reuse-values", "--wait", "--set", "admissionPolicy.enabled=true"}
	stop := s.load(t)
	helm("install", release, earlierChart, "--create-namespace", "--wait",
		"--force-conflicts", // the overlay's definitions are kubectl's
		"--set", "operator.image.repository="+kube.imagePrefix+"/operator", "--set-string", "operator.image.tag="+kube.imageTag,
		"--set", "sidecar.image.repository="+kube.imagePrefix+"/sidecar", "--set-string", "sidecar.image.tag="+kube.imageTag,
		"--set", "loadBalancerNetworks={0.0.0.0/0,::/0}",
		"--set", "admissionPolicy.enabled=false") // the operator is today's, and makes objects that the earlier policies do not know
	s.isLookedAfter(t)
	helm(upgrade...)
	if values, err := call(t.Context(), kube.helm, "get", "values", release, "--namespace", operatorNamespace); err != nil || !strings.Contains(values, "loadBalancerNetworks") {
		t.Errorf("the values of the release before are gone (%v): %s", err, values)
	}
	helm("test", release)
	helm("rollback", release, "--wait")
	s.isLookedAfter(t)
	helm(upgrade...)
	s.isLookedAfter(t)
	helm("uninstall", release, "--wait")
	eventually(t, patience, "the chart's objects to be gone", onlyDefinition)
	stop()
}

// isServedFromAnOverlay applies config/default with another namespace and another sidecar, and removes it but for the definitions.
func (s *stage) isServedFromAnOverlay(t *testing.T) {
	t.Helper()
	const namespace = "platform"
	tag := kube.imageTag + "-previous"
	folder := t.TempDir()
	config, err := filepath.Abs("../../config")
	if err != nil {
		t.Fatal(err)
	}
	if config, err = filepath.Rel(folder, config); err != nil {
		t.Fatal(err)
	}
	overlay := fmt.Sprintf(`apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: %s
resources: [%s/default]
images:
- {name: ghcr.io/wechatendpoint/operator, newName: %s/operator, newTag: %q}
- {name: ghcr.io/wechatendpoint/sidecar, newName: %[3]s/sidecar, newTag: %[5]q}
transformers: [%[2]s/follow]
`, namespace, config, kube.imagePrefix, kube.imageTag, tag)
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(overlay), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl := func(arguments ...string) string {
		t.Helper()
		said, err := call(t.Context(), kube.kubectl, arguments...)
		if err != nil {
			t.Fatal(err)
		}
		return said
	}
	stop := s.load(t)
	kubectl("apply", "--server-side", "--force-conflicts", "-k", folder)
	kubectl("-n", namespace, "rollout", "status", "deployment/"+operatorName, "--timeout", "2m")
	eventually(t, patience, "the overlay's image of the sidecar", func(context.Context) error {
		if image := s.image(t); image != kube.imagePrefix+"/sidecar:"+tag {
			return fmt.Errorf("the image is %s", image)
		}
		return nil
	})
	s.awaitReady(t)
	s.isLookedAfter(t)

	var rest []string
	for document := range strings.SplitSeq(kubectl("kustomize", folder), "\n---\n") {
		if !strings.Contains(document, "\nkind: CustomResourceDefinition\n") {
			rest = append(rest, document)
		}
	}
	file := filepath.Join(folder, "rest.yaml")
	if err := os.WriteFile(file, []byte(strings.Join(rest, "\n---\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl("delete", "--wait", "--timeout", "1m", "-f", file)
	stop()
}

// isLookedAfter deletes the NetworkPolicy, which only an operator brings back.
func (s *stage) isLookedAfter(t *testing.T) {
	t.Helper()
	policy := &networkingv1.NetworkPolicy{ObjectMeta: s.object(childName)}
	if err := kube.Delete(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the NetworkPolicy", func(ctx context.Context) error {
		return kube.Get(ctx, client.ObjectKeyFromObject(policy), &networkingv1.NetworkPolicy{})
	})
}
