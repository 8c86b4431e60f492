// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package children

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// TestWhoseAnObjectIs: an object is the endpoint's if the endpoint controls it, or if the operator has applied it for that endpoint and nobody
// controls it any more. Whoever writes its labels alone does not make it so.
func TestWhoseAnObjectIs(t *testing.T) {
	endpoint := &v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "shop", UID: "e"}}
	owner := *metav1.NewControllerRef(endpoint, v1alpha1.GroupVersion.WithKind("WeChatEndpoint"))
	other := owner
	other.UID = "another"
	controller := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "shop", UID: "d", Controller: new(true)}
	applied := metav1.ManagedFieldsEntry{Manager: render.FieldManager, Operation: metav1.ManagedFieldsOperationApply}
	type edit = func(*metav1.ObjectMeta)
	for name, test := range map[string]struct {
		edit    edit
		is, own bool
	}{
		"controlled by it":                           {func(m *metav1.ObjectMeta) { m.OwnerReferences = []metav1.OwnerReference{owner} }, true, true},
		"controlled by an earlier one of its name":   {func(m *metav1.ObjectMeta) { m.OwnerReferences = []metav1.OwnerReference{other} }, true, false},
		"controlled by something else":               {func(m *metav1.ObjectMeta) { m.OwnerReferences = []metav1.OwnerReference{controller} }, false, false},
		"an orphan that the operator has applied":    {func(*metav1.ObjectMeta) {}, true, true},
		"one of the cache, which keeps a note of it": {func(m *metav1.ObjectMeta) { m.ManagedFields, m.Annotations = nil, map[string]string{NoteApplied: ""} }, true, true},
		"nothing but the labels":                     {func(m *metav1.ObjectMeta) { m.ManagedFields = nil }, false, false},
		"written, and not applied":                   {func(m *metav1.ObjectMeta) { m.ManagedFields[0].Operation = metav1.ManagedFieldsOperationUpdate }, false, false},
		"applied by somebody else":                   {func(m *metav1.ObjectMeta) { m.ManagedFields[0].Manager = "kubectl" }, false, false},
		"of which the operator has applied a status": {func(m *metav1.ObjectMeta) { m.ManagedFields[0].Subresource = "status" }, false, false},
		"without the label of the operator's":        {func(m *metav1.ObjectMeta) { delete(m.Labels, render.LabelManagedBy) }, false, false},
		"an orphan of another endpoint's":            {func(m *metav1.ObjectMeta) { m.Labels[v1alpha1.LabelEndpoint] = "other" }, false, false},
		"an orphan with the name of no child":        {func(m *metav1.ObjectMeta) { m.Name = "shop" }, false, true},
	} {
		object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Namespace: "a", Name: "shop-sidecar", Labels: render.Labels(endpoint), ManagedFields: []metav1.ManagedFieldsEntry{applied},
		}}
		test.edit(&object.ObjectMeta)
		if is, own := Is(object), Owns(render.OwnFleet(endpoint), object); is != test.is || own != test.own {
			t.Errorf("%s: it is a child: %v, and the endpoint's: %v; want %v and %v", name, is, own, test.is, test.own)
		}
	}
}

// TestWhoseAnObjectOfAGatewayIs: a gateway's objects have its name, and its shards one of sixteen. An endpoint of the same name has none of them.
func TestWhoseAnObjectOfAGatewayIs(t *testing.T) {
	gateway := &v1alpha1.WeChatGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "front", UID: "g"}}
	endpoint := &v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "front", UID: "e"}}
	owner := *metav1.NewControllerRef(gateway, v1alpha1.GroupVersion.WithKind("WeChatGateway"))
	ofEndpoint := *metav1.NewControllerRef(endpoint, v1alpha1.GroupVersion.WithKind("WeChatEndpoint"))
	other := owner
	other.UID = "another"
	controlled := func(by metav1.OwnerReference, name string) func(*metav1.ObjectMeta) {
		return func(m *metav1.ObjectMeta) { m.OwnerReferences, m.Name = []metav1.OwnerReference{by}, name }
	}
	orphan := func(name string) func(*metav1.ObjectMeta) { return func(m *metav1.ObjectMeta) { m.Name = name } }
	for name, test := range map[string]struct {
		edit            func(*metav1.ObjectMeta)
		is, own, others bool // a child, the gateway's, and the endpoint's
	}{
		"controlled by it":                         {controlled(owner, "front-wechat-gateway"), true, true, false},
		"its first shard":                          {controlled(owner, "front-wechat-gateway-0"), true, true, false},
		"its last shard":                           {controlled(owner, "front-wechat-gateway-15"), true, true, false},
		"a shard that none has":                    {controlled(owner, "front-wechat-gateway-16"), false, true, false},
		"another spelling of a number":             {controlled(owner, "front-wechat-gateway-01"), false, true, false},
		"a shard of another gateway":               {controlled(owner, "back-wechat-gateway-0"), false, true, false},
		"the name of an endpoint's child":          {controlled(owner, "front-sidecar"), false, true, false},
		"controlled by an earlier one of its name": {controlled(other, "front-wechat-gateway"), true, false, false},
		"an endpoint's, with a gateway's name":     {controlled(ofEndpoint, "front-wechat-gateway"), false, false, true},
		"an endpoint's, with the gateway's label":  {controlled(ofEndpoint, "front-sidecar"), true, false, true},
		"a version that nobody collects": {func(m *metav1.ObjectMeta) {
			controlled(owner, "front-wechat-gateway")(m)
			m.OwnerReferences[0].APIVersion = "wechatendpoint.io/v9"
		}, false, true, false},
		"an orphan":                      {orphan("front-wechat-gateway"), true, true, false},
		"an orphan that is a shard":      {orphan("front-wechat-gateway-7"), true, true, false},
		"an orphan of another gateway's": {func(m *metav1.ObjectMeta) { m.Labels[v1alpha1.LabelGateway] = "back" }, false, false, false},
		"an orphan with the label of an endpoint": {func(m *metav1.ObjectMeta) {
			delete(m.Labels, v1alpha1.LabelGateway)
			m.Labels[v1alpha1.LabelEndpoint] = "front"
		}, false, false, true},
		"nothing but the labels": {func(m *metav1.ObjectMeta) { m.ManagedFields = nil }, false, false, false},
	} {
		object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Namespace: "a", Name: "front-wechat-gateway", Labels: render.GatewayFleet(gateway).Labels(),
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: render.FieldManager, Operation: metav1.ManagedFieldsOperationApply}},
		}}
		test.edit(&object.ObjectMeta)
		is, own, others := Is(object), Owns(render.GatewayFleet(gateway), object), Owns(render.OwnFleet(endpoint), object)
		if is != test.is || own != test.own || others != test.others {
			t.Errorf("%s: it is a child: %v, the gateway's: %v, the endpoint's: %v; want %v, %v, %v", name, is, own, others, test.is, test.own, test.others)
		}
	}
}

// TestTheServiceOfAFleetIsAChild: that by which the pods of a fleet find each other. No object of another kind has its name, and no fleet another one's.
func TestTheServiceOfAFleetIsAChild(t *testing.T) {
	endpoint := &v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "shop", UID: "e"}}
	gateway := &v1alpha1.WeChatGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "front", UID: "g"}}
	for _, fleet := range []render.Fleet{render.OwnFleet(endpoint), render.GatewayFleet(gateway)} {
		for name, test := range map[string]struct {
			object client.Object
			name   string
			want   bool
		}{
			"its Service":                 {&corev1.Service{}, render.PeersName(fleet.Name), true},
			"a Secret of that name":       {&corev1.Secret{}, render.PeersName(fleet.Name), false},
			"the Service of another one":  {&corev1.Service{}, render.PeersName("other-" + fleet.Name), false},
			"a Service of the name alone": {&corev1.Service{}, render.PeersName(""), false},
		} {
			test.object.SetNamespace("a")
			test.object.SetName(test.name)
			test.object.SetLabels(fleet.Labels())
			test.object.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: render.FieldManager, Operation: metav1.ManagedFieldsOperationApply}})
			if got := Is(test.object); got != test.want {
				t.Errorf("%s, %s: a child: %v, want %v", fleet.Name, name, got, test.want)
			}
		}
	}
}
