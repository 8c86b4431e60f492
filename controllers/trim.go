// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"maps"
	"reflect"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/refs"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// trim drops what is not read of any object before the cache keeps it: with a thousand endpoints that is half of the
// operator's memory. Nothing that is written is made from what the cache holds, so that nothing can get lost by it. Anybody may
// put our labels on objects of his namespace, as large and as many as he likes: of what is no child only the name is kept.
func trim(object any) (any, error) {
	if o, ok := object.(metav1.Object); ok {
		o.SetManagedFields(appliedByUs(o.GetManagedFields()))
	}
	switch o := object.(type) {
	case *corev1.Secret:
		return trimSecret(o), nil
	case *corev1.ConfigMap:
		return trimConfigMap(o), nil
	case *corev1.ServiceAccount, *appsv1.Deployment, *policyv1.PodDisruptionBudget, *autoscalingv2.HorizontalPodAutoscaler, *networkingv1.NetworkPolicy:
		if child := o.(client.Object); !isChild(child) {
			return bare(child), nil
		}
	case *corev1.Pod:
		o.Spec = corev1.PodSpec{}
		o.Annotations = only(o.Annotations, v1alpha1.AnnotationGeneration)
	case *metav1.PartialObjectMetadata:
		o.Annotations = nil
	}
	return trimGatewayAPI(object)
}

// trimSecret keeps what users write for us, and what we write: no more than the API server takes, once for each endpoint.
func trimSecret(secret *corev1.Secret) *corev1.Secret {
	kept := bare(secret)
	kept.Type, kept.Data = secret.Type, refs.Bounded(secret.Data)
	if isChild(secret) {
		kept.ManagedFields = secret.ManagedFields
		maps.Copy(kept.Data, only(secret.Data, config.CredentialsFile, v1alpha1.GatewayKeyKey))
	}
	return kept
}

// trimConfigMap keeps what we write.
func trimConfigMap(configMap *corev1.ConfigMap) *corev1.ConfigMap {
	kept := bare(configMap)
	if isChild(configMap) {
		kept.ManagedFields, kept.Data = configMap.ManagedFields, only(configMap.Data, config.File)
	}
	return kept
}

// isChild reports whether an object has the owner and the name of a child. Of these there is one of each kind for an endpoint: the
// garbage collector deletes those whose owner is made up, but only if it knows the kind and the version.
func isChild(object metav1.Object) bool {
	owner := metav1.GetControllerOf(object)
	if owner == nil || owner.APIVersion != v1alpha1.GroupVersion.String() || owner.Kind != "WeChatEndpoint" {
		return false
	}
	endpoint := &v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Name: owner.Name}}
	return object.GetName() == render.Name(endpoint) || object.GetName() == render.GatewayKeyName(endpoint)
}

// bare returns what tells which object it is and whose.
func bare[O client.Object](object O) O {
	kept := reflect.New(reflect.TypeOf(object).Elem()).Interface().(O)
	kept.SetNamespace(object.GetNamespace())
	kept.SetName(object.GetName())
	kept.SetUID(object.GetUID())
	kept.SetResourceVersion(object.GetResourceVersion())
	kept.SetDeletionTimestamp(object.GetDeletionTimestamp())
	ours := maps.Keys(render.Labels(&v1alpha1.WeChatEndpoint{}))
	kept.SetLabels(only(object.GetLabels(), slices.AppendSeq([]string{v1alpha1.LabelCredentials}, ours)...))
	if owner := metav1.GetControllerOf(object); owner != nil {
		kept.SetOwnerReferences([]metav1.OwnerReference{*owner})
	}
	return kept
}

// only returns the entries with these keys, or nil.
func only[V any](all map[string]V, keys ...string) map[string]V {
	kept := map[string]V{}
	for _, key := range keys {
		if value, ok := all[key]; ok {
			kept[key] = value
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return kept
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
