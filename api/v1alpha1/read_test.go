// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

const good = `"platform":"Pay","appID":"wx1","credentials":{"secretName":"shop-wechat","revokeBefore":3},"url":{"host":"wx.example.com","path":"/weixin"},"backend":{"service":{"name":"app","port":8080}}`

// decodeList decodes a list as an informer does.
func decodeList(t *testing.T, objects ...string) []v1alpha1.WeChatEndpoint {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme).UniversalDeserializer()
	text := `{"apiVersion":"wechatendpoint.io/v1alpha1","kind":"WeChatEndpointList","items":[` + strings.Join(objects, ",") + `]}`
	list, _, err := decoder.Decode([]byte(text), nil, nil)
	if err != nil {
		t.Fatalf("the whole list is lost: %v", err)
	}
	return list.(*v1alpha1.WeChatEndpointList).Items
}

// TestOneUnreadableObjectHidesNoOther: each of these may be stored, and none may keep the others from being read.
func TestOneUnreadableObjectHidesNoOther(t *testing.T) {
	for name, test := range map[string]struct{ spec, status, problem string }{
		"a quantity with half an exponent":  {spec: good + `,"sidecar":{"resources":{"limits":{"memory":"1e1.5"}}}`, problem: "spec.sidecar.resources.limits.memory is no quantity"},
		"a quantity of points":              {spec: good + `,"sidecar":{"resources":{"requests":{"cpu":"+.5e.5"}}}`, problem: "spec.sidecar.resources.requests.cpu is no quantity"},
		"a quantity out of range":           {spec: good + `,"sidecar":{"resources":{"requests":{"cpu":"1e99999999999999999999"}}}`, problem: "spec.sidecar.resources.requests.cpu is no quantity"},
		"a number of more than 64 bits":     {spec: `"credentials":{"secretName":"shop-wechat","revokeBefore":10000000000000000000},"url":{"host":"wx.example.com"}`, problem: "spec.credentials.revokeBefore is no whole number"},
		"a weight of more than 32 bits":     {spec: good + `,"sidecar":{"affinity":{"podAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":3000000000}]}}}`, problem: "weight is no whole number of 32 bits"},
		"a year of five digits":             {spec: good + `,"verification":{"auditUntil":"9999-12-31T23:59:59-23:59"}`, problem: "spec.verification.auditUntil is no time"},
		"a duration of days":                {spec: good + `,"verification":{"freshness":"1d"}`, problem: "spec.verification.freshness is no duration"},
		"a list where a section belongs":    {spec: good + `,"sidecar":[]`, problem: "spec.sidecar is no object"},
		"a megabyte of a section":           {spec: good + `,"sidecar":{"nodeSelector":{"a":"` + strings.Repeat("a", 1<<20) + `"}}`, problem: "spec.sidecar has 1048601 bytes"},
		"more values than anybody needs":    {spec: good + `,"sidecar":{"tolerations":[` + strings.Repeat("{},", 5000) + `{}]}`, problem: "spec.sidecar.tolerations has 5001 items"},
		"a time of the status":              {spec: good, status: `"rollout":{"since":"9999-12-31T23:59:59-23:59","template":"a"},"url":"https://wx.example.com/weixin"`, problem: "status.rollout.since is no time"},
		"a generation of the status":        {spec: good, status: `"credentials":{"generation":1e19}`, problem: "status.credentials.generation is no whole number"},
		"a condition of the status":         {spec: good, status: `"conditions":[{"type":"Ready","lastTransitionTime":"yesterday"}]`, problem: "status.conditions[0].lastTransitionTime is no time"},
		"a condition's generation likewise": {spec: good, status: `"conditions":[{"type":"Ready","observedGeneration":1.5}]`, problem: "status.conditions[0].observedGeneration is no whole number"},
	} {
		t.Run(name, func(t *testing.T) {
			object := func(name, spec, status string) string {
				return fmt.Sprintf(`{"apiVersion":"wechatendpoint.io/v1alpha1","kind":"WeChatEndpoint","metadata":{"name":%q},"spec":{%s},"status":{%s}}`, name, spec, status)
			}
			items := decodeList(t, object("before", good, ""), object("bad", test.spec, test.status), object("after", good, ""))
			if len(items) != 3 || items[0].Name != "before" || items[1].Name != "bad" || items[2].Name != "after" {
				t.Fatalf("read are %+v", items)
			}
			for _, other := range []v1alpha1.WeChatEndpoint{items[0], items[2]} {
				if other.Spec.Unreadable != nil || other.Spec.Backend.Service.Port.IntVal != 8080 {
					t.Errorf("the other endpoint is not as it was: %+v", other.Spec)
				}
			}
			bad := items[1]
			told := strings.Join(append(bad.Spec.Unreadable, bad.Status.Unreadable...), "; ")
			if !strings.Contains(told, test.problem) || len(bad.Spec.Unreadable)+len(bad.Status.Unreadable) != 1 {
				t.Errorf("told is %q, want %q", told, test.problem)
			}
			if bad.Spec.Credentials.SecretName != "shop-wechat" || bad.Spec.URL.Host != "wx.example.com" {
				t.Errorf("of the spec is lost what can be read: %+v", bad.Spec)
			}
			if bad.Status.URL != "" || len(bad.Status.Conditions) > 0 || bad.Status.Rollout != nil {
				t.Errorf("a status that cannot be read as a whole is believed: %+v", bad.Status)
			}
		})
	}
}

// TestUnreadableIsNoFieldOfTheAPI: it must neither be written to the API server, nor be read from what a tenant wrote.
func TestUnreadableIsNoFieldOfTheAPI(t *testing.T) {
	items := decodeList(t, `{"spec":{"sidecar":1,"Unreadable":["a"],"unreadable":["b"]},"status":{"Unreadable":["c"]}}`)
	if diff := cmp.Diff([]string{"spec.sidecar is no object"}, items[0].Spec.Unreadable); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	items[0].ObjectMeta = metav1.ObjectMeta{Name: "shop"}
	items[0].Status.Unreadable = []string{"status"}
	text, err := json.Marshal(items[0])
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.ToLower(string(text)), "unreadable") || strings.Contains(string(text), "is no object") {
		t.Errorf("written is %s", text)
	}
	copied := items[0].DeepCopy()
	copied.Spec.Unreadable[0] = "another"
	if items[0].Spec.Unreadable[0] == "another" {
		t.Error("a copy shares what it tells with the object")
	}
}
