//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestDashboard walks through the page of an endpoint in a headless browser, with all rights and with few: ../dashboard/cluster.mjs has the steps.
// What a page looks like, and what it refuses, the tests beside that file show.
func TestDashboard(t *testing.T) {
	t.Parallel()
	s := newStage(t, "dashboard")
	s.serve(t, withReplicas(2))
	const reader = "somebody-who-reads-endpoints"
	s.create(t,
		&rbacv1.Role{ObjectMeta: s.object(reader), Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"wechatendpoints"}, Verbs: []string{"get", "list"}}}},
		&rbacv1.RoleBinding{ObjectMeta: s.object(reader), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: reader},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: reader}}})
	settings, err := json.Marshal(map[string]any{
		"url": s.dashboard(t), "reader": s.dashboard(t, "--as", reader), "namespace": s.namespace, "name": s.name, "token": s.token,
		"callback": map[string]string{"address": kube.ingressAddress, "host": s.host, "path": s.path},
	})
	if err != nil {
		t.Fatal(err)
	}
	walk := exec.CommandContext(t.Context(), "node", "../dashboard/cluster.mjs")
	walk.Env = append(os.Environ(), "SETTINGS="+string(settings))
	out, err := walk.CombinedOutput()
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// dashboard serves the page of the stage's namespace until the test ends, and returns its URL.
func (s *stage) dashboard(t *testing.T, flags ...string) string {
	t.Helper()
	r := start(t, append([]string{"dashboard", "-n", s.namespace, "--address", kube.ingressAddress}, flags...)...)
	r.await(t, "#token=", 1)
	for line := range strings.Lines(r.String()) {
		if strings.Contains(line, "#token=") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
