// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

func TestTrim(t *testing.T) {
	entry := func(manager string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{}}`)}
	}
	meta := func(entries ...metav1.ManagedFieldsEntry) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: "shop-sidecar", Annotations: map[string]string{"a": "b"}, ManagedFields: entries}
	}
	status := corev1.PodStatus{PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	for name, test := range map[string]struct{ object, want any }{
		"a child keeps what we applied": {
			&appsv1.Deployment{ObjectMeta: meta(entry("kube-controller-manager"), entry(render.FieldManager))},
			&appsv1.Deployment{ObjectMeta: meta(entry(render.FieldManager))},
		},
		"a user's Secret keeps its values alone": {
			&corev1.Secret{ObjectMeta: meta(entry("kubectl")), Data: map[string][]byte{"token": []byte("t")}},
			&corev1.Secret{ObjectMeta: meta(), Data: map[string][]byte{"token": []byte("t")}},
		},
		"a pod keeps what it is and how it is, not what it should be": {
			&corev1.Pod{ObjectMeta: meta(entry("kubelet")), Spec: corev1.PodSpec{NodeName: "n"}, Status: status},
			&corev1.Pod{ObjectMeta: meta(), Status: status},
		},
		"metadata alone": {
			&metav1.PartialObjectMetadata{ObjectMeta: meta(entry("kube-controller-manager"))},
			&metav1.PartialObjectMetadata{ObjectMeta: meta()},
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
