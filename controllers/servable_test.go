// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/backends"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// servable says why no sidecar could serve an endpoint that the CRD has accepted, where no condition would tell: what is rendered of it is
// refused by config.Validate. A text of certificates that is none is told by BackendResolved, and a spec of more bytes than are read
// by Accepted.
func servable(stored *v1alpha1.WeChatEndpoint) error {
	if !stored.Spec.Readable() {
		if problems := fmt.Sprint(stored.Spec.Unreadable); !strings.Contains(problems, "at most") {
			return fmt.Errorf("the spec cannot be read: %v", problems)
		}
		return nil
	}
	urls, problem := backends.Resolve(&controllers.Options{}, withServices(stored))
	if problem != nil {
		if problem.Reason != v1alpha1.ReasonTLSMalformed {
			return errors.New(problem.Message)
		}
		return nil
	}
	pair := config.Pair{Generation: 1, Token: "a-fine-token", EncodingAESKey: "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"}
	switch {
	case stored.Spec.Platform == v1alpha1.PlatformPay:
		pair = config.Pair{Generation: 1, APIv3Key: "abcdefghijklmnopqrstuvwxyz012345", PlatformKeys: map[string]string{"PUB_KEY_ID_1": publicKey}}
	case !config.Encrypted(string(stored.Spec.Platform), string(stored.Spec.MessageMode)):
		pair.EncodingAESKey = ""
	}
	_, err := render.Make(render.Input{
		Endpoint: stored, BackendURL: urls.Backend, RuleURLs: urls.Rules, Pairs: []config.Pair{pair},
		GatewayKey: make([]byte, config.GatewayKeySize), Installed: render.Installed{Image: "example.com/sidecar:1", NetworkPolicy: render.NetworkPolicy{Enabled: true}},
	})
	return err
}

// withServices has every Service that the spec names, and the grants for them.
func withServices(stored *v1alpha1.WeChatEndpoint) *snapshot.Snapshot {
	s := &snapshot.Snapshot{Endpoint: stored, Services: map[types.NamespacedName]*corev1.Service{}}
	add := func(reference v1alpha1.ServiceReference) {
		name := types.NamespacedName{Namespace: cmp.Or(reference.Namespace, stored.Namespace), Name: reference.Name}
		port := corev1.ServicePort{Name: reference.Port.StrVal, Port: max(reference.Port.IntVal, 1)}
		if s.Services[name] == nil {
			s.Services[name] = &corev1.Service{}
		}
		s.Services[name].Spec.Ports = append(s.Services[name].Spec.Ports, port)
		grant := gatewayapi.ReferenceGrant{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace}}
		grant.Spec.From = []gatewayv1beta1.ReferenceGrantFrom{{Group: "wechatendpoint.io", Kind: "WeChatEndpoint", Namespace: gatewayv1.Namespace(stored.Namespace)}}
		grant.Spec.To = []gatewayv1beta1.ReferenceGrantTo{{Kind: "Service"}}
		s.Grants = append(s.Grants, grant)
	}
	add(stored.Spec.Backend.Service)
	for _, rule := range stored.Spec.Rules {
		if rule.Backend != nil {
			add(rule.Backend.Service)
		}
	}
	return s
}

// publicKey is somebody's of the platform WeChat Pay.
const publicKey = `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAh27/SPy5jCX5wHQaIxvR
Wxr8DYCn1yD+Kqf7/6UMurB3IU66MvCAvmro3LLAomKAzy2iNoe+SUAdLsgsHXHh
sZPL5+pKhVs55IHxzRPRLOmpi7WClTtxUeOOXUYQQm0AW0/LT+WRQ3y8HZO2Iw+o
75Q1gyVFyyIMx3HZBzZLYlt026/unztVusxiPn9IuRH3orCrCykkhZSsBzVfTVrp
lojlC7Ij/zzUyGKGi6Geun5ZY91qFRs8dKjzInHGWCTLbwFMZt5j4gwbERwJGzD3
aVgMTqBTfvAQDhgv5WRggix469Cone6ZhHQnNZ2MQ6Yy/DceKH9HqE8omfPF50LD
qwIDAQAB
-----END PUBLIC KEY-----
`

// TestWhatTheCRDAcceptsIsServed renders each row that the CRD accepts, alone and together with another one: if config.Validate refused
// one, its author would be told of a spec that the API server has taken.
func TestWhatTheCRDAcceptsIsServed(t *testing.T) {
	crd, rows := newDefinition(t), validationRows()
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(rows)), func(name string) bool { return !rows[name].accepts() })
	if len(names) < 80 {
		t.Fatalf("only %d rows are accepted", len(names))
	}
	check := func(combined ...string) bool {
		endpoint := newEndpoint("team-a")
		for _, name := range combined {
			rows[name].edit(endpoint)
		}
		stored, err := crd.accept(asMap(t, endpoint), nil)
		if err != nil {
			return false
		}
		if err := servable(stored); err != nil {
			t.Errorf("%v is accepted, and cannot be served: %v", combined, err)
		}
		return true
	}
	for _, name := range names {
		if !check(name) {
			t.Errorf("%s is not accepted", name)
		}
	}
	pairs, random := 0, rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	for range 1500 {
		if check(names[random.IntN(len(names))], names[random.IntN(len(names))]) {
			pairs++
		}
	}
	t.Logf("%d rows and %d pairs of rows are accepted and served", len(names), pairs)
	if pairs < 500 {
		t.Errorf("only %d pairs of rows are accepted", pairs)
	}
}

// FuzzAcceptedSpecs changes a good spec by a JSON merge patch. Whatever the CRD accepts can be served.
func FuzzAcceptedSpecs(f *testing.F) {
	crd := newDefinition(f)
	good := json.RawMessage(`{"metadata":{"namespace":"team-a","name":"shop"},"spec":` + specOf(f, newEndpoint("team-a")) + `}`)
	rows := validationRows()
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		endpoint := newEndpoint("team-a")
		rows[name].edit(endpoint)
		f.Add(specOf(f, endpoint))
	}
	f.Fuzz(func(t *testing.T, patch string) {
		text, err := jsonpatch.MergePatch(good, []byte(`{"spec":`+patch+`}`))
		var object map[string]any
		if err != nil || json.Unmarshal(text, &object) != nil {
			return // no patch
		}
		stored, err := crd.accept(object, nil)
		if err != nil {
			return // refused, as it should be
		}
		if err := servable(stored); err != nil {
			t.Errorf("accepted, and cannot be served: %v\n%s", err, text)
		}
	})
}

func specOf(t testing.TB, endpoint *v1alpha1.WeChatEndpoint) string {
	t.Helper()
	text, err := json.Marshal(endpoint.Spec)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
