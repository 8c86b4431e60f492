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

	"github.com/wechatendpoint/wechatendpoint/docs"
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

// isServedFromAnOverlay applies the overlay of the page, with another namespace and another sidecar, and removes it but for the definitions.
func (s *stage) isServedFromAnOverlay(t *testing.T) {
	t.Helper()
	const namespace, page = "platform", "docs/install.md"
	tag := kube.imageTag + "-previous"
	pages := pagesOf(t, "TestInstallation")
	wantPages(t, pages, []string{page})
	reader := newReader(t, s)
	reader.environment = []string{reader.clones(t), "HOME=" + os.Getenv("HOME")} // of a cluster that is somebody's
	reader.replaces = []string{
		"operator, newName: registry.example.com/you/operator, newTag: " + docs.Version, fmt.Sprintf("operator, newName: %s/operator, newTag: %q", kube.imagePrefix, kube.imageTag),
		"sidecar, newName: registry.example.com/you/sidecar, newTag: " + docs.Version, fmt.Sprintf("sidecar, newName: %s/sidecar, newTag: %q", kube.imagePrefix, tag),
		"apply --server-side -k", "apply --server-side --force-conflicts -k", // the definitions are the chart's, which was here before
	}
	folder := reader.folder
	kubectl := func(arguments ...string) string {
		t.Helper()
		said, err := callIn(t.Context(), reader.environment, kube.kubectl, arguments...)
		if err != nil {
			t.Fatal(err)
		}
		return said
	}
	stop := s.load(t)
	reader.reads(t, page, pages[page])
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
