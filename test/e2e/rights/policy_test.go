// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// unconfined are writes that the policy lets be, with the reason.
var unconfined = map[string]string{
	"create events.events.k8s.io":                         "an event tells and does nothing",
	"patch events.events.k8s.io":                          "the same",
	"patch wechatendpoints/status.wechatendpoint.io":      "the operator's own word, about anything",
	"patch wechatgateways/status.wechatendpoint.io":       "the same",
	"create tokenreviews.authentication.k8s.io":           "a question about a token that its reader has shown; nothing is stored",
	"create subjectaccessreviews.authorization.k8s.io":    "a question about somebody's rights; nothing is stored",
	"update wechatendpoints/finalizers.wechatendpoint.io": "there is no such request",
	"update wechatgateways/finalizers.wechatendpoint.io":  "the same",
}

// TestPolicyConfinesEveryWrite compares the operator's role with its admission policies: a kind that the operator learns to
// write is confined too.
func TestPolicyConfinesEveryWrite(t *testing.T) {
	var role rbacv1.ClusterRole
	var policy, spec, gateway admissionv1.ValidatingAdmissionPolicy
	for file, into := range map[string]any{
		"rbac/role.yaml": &role, "admission/policy.yaml": &policy, "admission/spec-policy.yaml": &spec, "admission/spec-gateway-policy.yaml": &gateway,
	} {
		text, err := os.ReadFile("../../../config/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(text, into); err != nil {
			t.Fatal(err)
		}
	}
	operations := map[string]admissionv1.OperationType{
		"create": admissionv1.Create, "patch": admissionv1.Update, "update": admissionv1.Update, "delete": admissionv1.Delete,
	}
	confined := 0
	for _, grant := range Grants("", role.Rules) {
		operation, reads := operations[grant.Verb], slices.Contains([]string{"get", "list", "watch"}, grant.Verb)
		if reads || unconfined[grant.String()] != "" {
			continue
		}
		if !slices.ContainsFunc(policy.Spec.MatchConstraints.ResourceRules, func(rule admissionv1.NamedRuleWithOperations) bool {
			return slices.Contains(rule.Operations, operation) && slices.Contains(rule.APIGroups, grant.Group) && slices.Contains(rule.Resources, grant.Resource)
		}) {
			t.Errorf("the policy does not look at %s", grant)
			continue
		}
		confined++
	}
	if confined == 0 {
		t.Error("no write is confined")
	}
	children := slices.DeleteFunc(policy.Spec.MatchConstraints.ResourceRules, func(rule admissionv1.NamedRuleWithOperations) bool {
		return slices.Equal(rule.Resources, []string{"pods/status"}) || slices.Equal(rule.Resources, []string{"wechatgateways"})
	})
	if diff := cmp.Diff(children, spec.Spec.MatchConstraints.ResourceRules); diff != "" {
		t.Errorf("the policy that compares with the endpoint's spec looks at other kinds (-policy +spec-policy):\n%s", diff)
	}
	ofGateways := resourcesOf(children)
	for _, none := range []string{"secrets", "ingresses", "httproutes"} { // no spec says what is in a shard, and a gateway publishes nothing
		ofGateways = slices.DeleteFunc(ofGateways, func(resource string) bool { return resource == none })
	}
	if diff := cmp.Diff(ofGateways, resourcesOf(gateway.Spec.MatchConstraints.ResourceRules)); diff != "" {
		t.Errorf("the policy that compares with the gateway's spec looks at other kinds (-policy +spec-gateway-policy):\n%s", diff)
	}
}

func resourcesOf(rules []admissionv1.NamedRuleWithOperations) []string {
	var resources []string
	for _, rule := range rules {
		resources = append(resources, rule.Resources...)
	}
	return resources
}
