// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

func TestTrim(t *testing.T) {
	entry := func(manager string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{}}`)}
	}
	meta := func(entries ...metav1.ManagedFieldsEntry) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: "shop-sidecar", Annotations: map[string]string{"a": "b"}, ManagedFields: entries, OwnerReferences: owners("shop")}
	}
	status := corev1.PodStatus{PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	for name, test := range map[string]struct{ object, want any }{
		"a child keeps what we applied": {
			&appsv1.Deployment{ObjectMeta: meta(entry("kube-controller-manager"), entry(render.FieldManager))},
			&appsv1.Deployment{ObjectMeta: meta(entry(render.FieldManager))},
		},
		"a user's Secret keeps its values alone": {
			&corev1.Secret{
				ObjectMeta: labelled(metav1.ObjectMeta{Namespace: "a", Name: "shop-wechat", UID: "1", ResourceVersion: "2", ManagedFields: []metav1.ManagedFieldsEntry{entry(render.FieldManager)}}),
				Data:       map[string][]byte{"token": []byte("t"), "credentials.json": []byte("{}"), "key": []byte("k"), "more": []byte("m")},
			},
			&corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "shop-wechat", UID: "1", ResourceVersion: "2", Labels: map[string]string{v1alpha1.LabelCredentials: "true"}},
				Data:       map[string][]byte{"token": []byte("t")},
			},
		},
		"a value that is too long stays so": {
			&corev1.Secret{Data: map[string][]byte{"token": make([]byte, 1<<20)}},
			&corev1.Secret{Data: map[string][]byte{"token": make([]byte, 257)}},
		},
		"a Deployment that is no child keeps its name": {
			&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "shop-sidecar"}, Spec: appsv1.DeploymentSpec{Paused: true}},
			&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "shop-sidecar"}},
		},
		"a pod keeps what it is and how it is, not what it should be": {
			&corev1.Pod{ObjectMeta: meta(entry("kubelet")), Spec: corev1.PodSpec{NodeName: "n"}, Status: status},
			&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "shop-sidecar", OwnerReferences: owners("shop")}, Status: status},
		},
		"metadata alone": {
			&metav1.PartialObjectMetadata{ObjectMeta: meta(entry("kube-controller-manager"))},
			&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "shop-sidecar", OwnerReferences: owners("shop")}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := trim(test.object)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("trimmed otherwise than wanted (-want +got):\n%s", diff)
			}
		})
	}
}

// owners are those of an endpoint's children.
func owners(endpoint string) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: "wechatendpoint.io/v1alpha1", Kind: "WeChatEndpoint", Name: endpoint, UID: "1", Controller: new(true)}}
}

// labelled adds what a user's Secret needs and what it may have beside.
func labelled(meta metav1.ObjectMeta) metav1.ObjectMeta {
	meta.Labels = map[string]string{v1alpha1.LabelCredentials: "true", "team": "a"}
	meta.Annotations, meta.Finalizers = map[string]string{"a": "b"}, []string{"example.com/stay"}
	return meta
}

// TestTrimLeavesWhatWasApplied compares what was applied, as the operator reads it of a trimmed child, with all of what was applied:
// where they differ, the child would be written again for ever. The largest files that the API server takes are among them.
func TestTrimLeavesWhatWasApplied(t *testing.T) {
	meta := func(name, fields string) metav1.ObjectMeta {
		entry := metav1.ManagedFieldsEntry{
			Manager: render.FieldManager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: "v1", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields),
		}
		return metav1.ObjectMeta{
			Namespace: "a", Name: name, UID: "2", OwnerReferences: owners("shop"), ManagedFields: []metav1.ManagedFieldsEntry{entry},
			Labels:      render.Labels(&v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}),
			Annotations: map[string]string{"a": "b"},
		}
	}
	const ofMeta = `"f:metadata":{"f:labels":{"f:app.kubernetes.io/managed-by":{},"f:app.kubernetes.io/name":{},"f:wechatendpoint.io/endpoint":{}},"f:ownerReferences":{"k:{\"uid\":\"1\"}":{}}}`
	whole := strings.Repeat("a", 1<<20)
	for name, test := range map[string]struct {
		kind   string
		object client.Object
	}{
		"the configuration": {"ConfigMap", &corev1.ConfigMap{
			ObjectMeta: meta("shop-sidecar", `{`+ofMeta+`,"f:data":{"f:config.json":{}}}`),
			Data:       map[string]string{"config.json": whole, "more": "m"}, BinaryData: map[string][]byte{"b": []byte("b")},
		}},
		"the credentials": {"Secret", &corev1.Secret{
			ObjectMeta: meta("shop-sidecar", `{`+ofMeta+`,"f:data":{"f:credentials.json":{}},"f:type":{}}`), Type: corev1.SecretTypeOpaque,
			Data: map[string][]byte{"credentials.json": []byte(whole), "more": []byte("m")},
		}},
		"the gateway key": {"Secret", &corev1.Secret{
			ObjectMeta: meta("shop-gateway-key", `{`+ofMeta+`,"f:data":{"f:key":{}},"f:type":{}}`), Type: corev1.SecretTypeOpaque,
			Data: map[string][]byte{"key": make([]byte, 32), "more": []byte("m")},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			want, wantErr := childKinds[test.kind].owned(test.object)
			trimmed, err := trim(test.object.DeepCopyObject())
			if err != nil {
				t.Fatal(err)
			}
			got, gotErr := childKinds[test.kind].owned(trimmed.(client.Object))
			if diff := cmp.Diff(want, got); diff != "" || wantErr != nil || gotErr != nil {
				t.Errorf("%v, %v, (-want +got):\n%s", wantErr, gotErr, diff)
			}
			if again, err := trim(trimmed); err != nil || !cmp.Equal(trimmed, again) || strings.Contains(fmt.Sprint(trimmed), "more") {
				t.Errorf("trimmed to %v, and again to %v: %v", trimmed, again, err)
			}
		})
	}
}

// TestTrimBoundsWhatStrangersFill: whoever may write into one namespace has any number of labelled objects, and makes up owners.
func TestTrimBoundsWhatStrangersFill(t *testing.T) {
	whole := strings.Repeat("a", 1<<20)
	owned := func(name string, change func(*metav1.OwnerReference)) metav1.ObjectMeta {
		owner := owners("shop")
		change(&owner[0])
		return metav1.ObjectMeta{
			Name: name, OwnerReferences: owner, Annotations: map[string]string{"a": whole}, Labels: map[string]string{whole: "a"}, Finalizers: []string{whole},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: render.FieldManager, FieldsV1: metav1.NewFieldsV1(whole)}},
		}
	}
	for name, meta := range map[string]metav1.ObjectMeta{
		"no owner":                             owned("shop-sidecar", func(o *metav1.OwnerReference) { o.Controller = nil }),
		"another name":                         owned("shop-sidecar-2", func(*metav1.OwnerReference) {}),
		"an owner of another kind":             owned("shop-sidecar", func(o *metav1.OwnerReference) { o.Kind = "Deployment" }),
		"a version that nobody collects":       owned("shop-sidecar", func(o *metav1.OwnerReference) { o.APIVersion = "wechatendpoint.io/v9" }),
		"a group of which nobody has heard of": owned("shop-sidecar", func(o *metav1.OwnerReference) { o.APIVersion = "example.com/v1alpha1" }),
	} {
		values := map[string]string{"config.json": whole, "credentials.json": whole, "key": whole, "token": whole, "certificates": whole, "publicKey": whole}
		secret, account := &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{}}, &corev1.ServiceAccount{ObjectMeta: meta}
		for key, value := range values {
			secret.Data[key] = []byte(value)
		}
		for _, object := range []client.Object{secret, account, &corev1.ConfigMap{ObjectMeta: meta, Data: values}} {
			trimmed, err := trim(object.DeepCopyObject())
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(trimmed)
			if most := 100 << 10; err != nil || len(text) > most {
				t.Errorf("%s: of a %T %d bytes are kept, and not at most %d: %v", name, object, len(text), most, err)
			}
		}
	}
}
