// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package gatewayapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
)

// decodeList decodes a list of three objects as an informer does, of which the second is the odd one.
func decodeList(t *testing.T, addTo func(*runtime.Scheme) error, version, kind, odd string) ([]runtime.Object, error) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := addTo(scheme); err != nil {
		t.Fatal(err)
	}
	object := func(name, fields string) string { return fmt.Sprintf(`{"metadata":{"name":%q}%s}`, name, fields) }
	text := fmt.Sprintf(`{"apiVersion":"gateway.networking.k8s.io/%s","kind":%q,"items":[%s,%s,%s]}`, version, kind+"List", object("before", ""), object("odd", odd), object("after", ""))
	list, _, err := serializer.NewCodecFactory(scheme).UniversalDeserializer().Decode([]byte(text), nil, nil)
	if err != nil {
		return nil, err
	}
	return meta.ExtractList(list)
}

// TestOneObjectThatGoCannotHoldHidesNoOther: the types of the Gateway API lose the whole list by each of these.
func TestOneObjectThatGoCannotHoldHidesNoOther(t *testing.T) {
	ours := func(scheme *runtime.Scheme) error { AddToScheme(scheme); return nil }
	for kind, oddities := range map[string]map[string]string{
		"HTTPRoute": {
			"the weight of a backend": `,"spec":{"hostnames":["a"],"rules":[{"backendRefs":[{"name":"app","weight":3000000000}]}]}`,
			"the age of CORS":         `,"spec":{"hostnames":["a"],"rules":[{"filters":[{"type":"CORS","cors":{"maxAge":3000000000}}],"backendRefs":[{"name":"app"}]}]}`,
			"the number of attempts":  `,"spec":{"hostnames":["a"],"rules":[{"retry":{"attempts":10000000000000000000},"backendRefs":[{"name":"app"}]}]}`,
			"the port of a backend":   `,"spec":{"hostnames":["a"],"rules":[{"backendRefs":[{"name":"app","port":"web"}]}]}`,
			"the port of a parent":    `,"spec":{"hostnames":["a"],"parentRefs":[{"name":"edge","port":3000000000}],"rules":[{"backendRefs":[{"name":"app"}]}]}`,
			"a time of the status":    `,"spec":{"hostnames":["a"],"rules":[{"backendRefs":[{"name":"app"}]}]},"status":{"parents":[{"parentRef":{"name":"edge"},"conditions":[{"type":"Accepted","lastTransitionTime":[]}]}]}`,
			"a generation likewise":   `,"spec":{"hostnames":["a"],"rules":[{"backendRefs":[{"name":"app"}]}]},"status":{"parents":[{"parentRef":{"name":"edge"},"conditions":[{"type":"Accepted","observedGeneration":1e19}]}]}`,
		},
		"Gateway": {
			"the port of a listener":        `,"spec":{"gatewayClassName":"any","listeners":[{"name":"web","port":3000000000,"protocol":"HTTP"}]}`,
			"the number of attached routes": `,"spec":{"gatewayClassName":"any","listeners":[{"name":"web","protocol":"HTTP"}]},"status":{"listeners":[{"attachedRoutes":3000000000}]}`,
			"a time of the status":          `,"spec":{"gatewayClassName":"any","listeners":[{"name":"web","protocol":"HTTP"}]},"status":{"conditions":[{"lastTransitionTime":"yesterday"}]}`,
			"an address that is a number":   `,"spec":{"gatewayClassName":"any","listeners":[{"name":"web","protocol":"HTTP"}]},"status":{"addresses":[{"value":5}]}`,
		},
		"ReferenceGrant": {
			"a name that is a number": `,"spec":{"from":[{"group":"","kind":"A","namespace":"b"}],"to":[{"group":"","kind":"Service","name":5}]}`,
		},
	} {
		for name, odd := range oddities {
			t.Run(kind+": "+name, func(t *testing.T) {
				version, theirs := "v1", gatewayv1.Install
				if kind == "ReferenceGrant" {
					version, theirs = "v1beta1", gatewayv1beta1.Install
				}
				if _, err := decodeList(t, theirs, version, kind, odd); err == nil {
					t.Fatal("the types of the Gateway API hold it: this shows nothing")
				}
				items, err := decodeList(t, ours, version, kind, odd)
				if err != nil || len(items) != 3 {
					t.Fatalf("%d objects are read: %v", len(items), err)
				}
				switch object := items[1].(type) {
				case *HTTPRoute:
					if object.Spec.Hostnames[0] != "a" || object.Spec.Rules[0].BackendRefs[0].Name != "app" {
						t.Errorf("of the route is lost what can be read: %+v", object.Spec)
					}
				case *Gateway:
					if object.Spec.GatewayClassName != "any" || object.Spec.Listeners[0].Name != "web" {
						t.Errorf("of the Gateway is lost what can be read: %+v", object.Spec)
					}
				case *ReferenceGrant:
					if len(object.Spec.To) > 0 {
						t.Errorf("a grant that cannot be read grants something: %+v", object.Spec.To)
					}
				default:
					t.Errorf("a %T is read", object)
				}
			})
		}
	}
}

// TestRawIsTheSpecAsItIsStored, up to what the operator itself could have written.
func TestRawIsTheSpecAsItIsStored(t *testing.T) {
	for text, want := range map[string]string{
		`{"rules":[{"timeouts":{"request":"1s"}}]}`:                                       `{"rules":[{"timeouts":{"request":"1s"}}]}`,
		`{"hostnames":["` + strings.Repeat("a", maxRaw) + `"]}`:                           "",
		`{"hostnames":["` + strings.Repeat("a", maxRaw-len(`{"hostnames":[""]}`)) + `"]}`: `{"hostnames":["` + strings.Repeat("a", maxRaw-len(`{"hostnames":[""]}`)) + `"]}`,
	} {
		var spec HTTPRouteSpec
		if err := json.Unmarshal([]byte(text), &spec); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(spec.Raw)); diff != "" {
			t.Errorf("%.60s: -want +got:\n%.500s", text, diff)
		}
	}
}
