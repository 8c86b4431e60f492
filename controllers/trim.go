// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// trim drops what is not read of any object before the cache keeps it: with a thousand endpoints that is half of the
// operator's memory. Nothing that is written is made from what the cache holds, so that nothing can get lost by it.
func trim(object any) (any, error) {
	if o, ok := object.(metav1.Object); ok {
		o.SetManagedFields(appliedByUs(o.GetManagedFields()))
	}
	if pod, ok := object.(*corev1.Pod); ok {
		pod.Spec = corev1.PodSpec{}
	}
	return trimGatewayAPI(object)
}

// appliedByUs are the entries that say what of a child was applied. Controllers and kubelets have longer ones.
func appliedByUs(all []metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
	var ours []metav1.ManagedFieldsEntry
	for _, entry := range all {
		if entry.Manager == render.FieldManager {
			ours = append(ours, entry)
		}
	}
	return ours
}
