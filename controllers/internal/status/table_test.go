// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

// TestConditionsAreInTheOrderOfTheDocs: whatever was said first, whoever reads a status from its top meets the cause before what follows
// from it.
func TestConditionsAreInTheOrderOfTheDocs(t *testing.T) {
	page, err := os.ReadFile("../../../docs/status.md")
	if err != nil {
		t.Fatal(err)
	}
	ofEndpoints, ofGateways, found := bytes.Cut(page, []byte("## The status of a WeChatGateway"))
	if !found {
		t.Fatal("the page has no table for gateways")
	}
	documented := conditionsIn(ofEndpoints)
	var gateway []string
	for _, row := range gatewayTable {
		gateway = append(gateway, row.name)
	}
	if diff := cmp.Diff(conditionsIn(ofGateways), gateway); diff != "" {
		t.Errorf("the order of a gateway's (-docs +status):\n%s", diff)
	}
	endpoint := &v1alpha1.WeChatEndpoint{}
	status := v1alpha1.WeChatEndpointStatus{Conditions: []metav1.Condition{{Type: "SomebodyElses", Status: metav1.ConditionTrue}}}
	said := slices.Clone(documented)
	slices.Reverse(said)
	for _, name := range said {
		Write(endpoint, &status, Said{name: verdict.True("Reason", "said")}, time.Now())
	}
	var got []string
	for _, condition := range status.Conditions {
		got = append(got, condition.Type)
	}
	if diff := cmp.Diff(append([]string{"SomebodyElses"}, documented...), got); diff != "" {
		t.Errorf("the order (-docs +status):\n%s", diff)
	}
}

// conditionsIn are the conditions of a table in docs/status.md.
func conditionsIn(page []byte) []string {
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Za-z]+)` \\| `").FindAllSubmatch(page, -1) {
		documented = append(documented, string(row[1]))
	}
	return documented
}
