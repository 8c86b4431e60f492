// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
)

func TestCompare(t *testing.T) {
	secrets := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"list", "patch"}}}
	with := func(verb string) []rbacv1.PolicyRule {
		return append([]rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{verb}}}, secrets...)
	}
	watching := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list", "watch"}}}
	lease := []rbacv1.PolicyRule{{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, ResourceNames: []string{"mine"}, Verbs: []string{"update"}}}
	const (
		listed  = `{"verb":"list","objectRef":{"resource":"secrets"},"responseStatus":{"code":200}}` + "\n"
		watched = `{"verb":"watch","objectRef":{"resource":"pods"},"responseStatus":{"code":200}}` + "\n"
		patched = `{"verb":"patch","objectRef":{"resource":"secrets","namespace":"a","name":"b"},"responseStatus":{"code":200}}` + "\n"
		made    = `{"verb":"patch","objectRef":{"resource":"secrets","namespace":"a","name":"b"},"responseStatus":{"code":201}}` + "\n"
		denied  = `{"verb":"get","userAgent":"operator","objectRef":{"apiGroup":"apps","resource":"deployments","subresource":"scale"},"responseStatus":{"code":403,"message":"no"}}` + "\n"
		renewed = `{"verb":"update","objectRef":{"apiGroup":"coordination.k8s.io","resource":"leases","namespace":"a","name":"mine"},"responseStatus":{"code":200}}` + "\n"
		other   = `{"verb":"update","objectRef":{"apiGroup":"coordination.k8s.io","resource":"leases","namespace":"a","name":"other"},"responseStatus":{"code":200}}` + "\n"
	)
	for name, test := range map[string]struct {
		namespace string
		rules     []rbacv1.PolicyRule
		log       string
		want      Findings
	}{
		"what is used to the full has no finding":     {"", secrets, listed + patched, Findings{}},
		"a planted grant is never used":               {"", with("delete"), listed + patched, Findings{Unused: []string{"delete secrets"}}},
		"a wildcard is never used":                    {"", with("*"), listed + patched, Findings{Unused: []string{"* secrets"}}},
		"a missing grant shows in what was refused":   {"", secrets, listed + patched + denied + denied, Findings{Refused: []string{`get deployments/scale.apps (403) by "operator": no`}}},
		"a refused request uses no grant":             {"", secrets, listed + strings.Replace(patched, "200", "403", 1), Findings{Unused: []string{"patch secrets"}, Refused: []string{`patch secrets in a (403) by "": `}}},
		"what is not found still used its grant":      {"", secrets, listed + strings.Replace(patched, "200", "404", 1), Findings{}},
		"applying what is not there needs create":     {"", with("create"), listed + made, Findings{}},
		"applying what is there does not":             {"", with("create"), listed + patched, Findings{Unused: []string{"create secrets"}}},
		"watching needs to list":                      {"", watching, watched, Findings{}},
		"what others granted strays":                  {"", secrets, listed + made, Findings{Stray: []string{"create secrets in a"}}},
		"a role's grant is for its namespace":         {"b", lease, renewed, Findings{Unused: []string{"update leases.coordination.k8s.io in b"}, Stray: []string{"update leases.coordination.k8s.io in a"}}},
		"a grant for a name is used by the name":      {"a", lease, renewed, Findings{}},
		"another name does not use it":                {"a", lease, renewed + other, Findings{Stray: []string{"update leases.coordination.k8s.io in a"}}},
		"a question for no object counts for nothing": {"", nil, `{"verb":"get","requestURI":"/version","responseStatus":{"code":200}}` + "\n", Findings{}},
		"a line in writing counts for nothing":        {"", secrets, listed + patched + denied[:20], Findings{}},
	} {
		t.Run(name, func(t *testing.T) {
			requests, err := ReadRequests(strings.NewReader(test.log))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, Compare(Grants(test.namespace, test.rules), requests)); diff != "" {
				t.Errorf("found otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadRequestsRefusesWhatIsNoAuditLog(t *testing.T) {
	if requests, err := ReadRequests(strings.NewReader("no JSON\n")); err == nil {
		t.Errorf("read %v", requests)
	}
}
