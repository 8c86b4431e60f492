// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package kept

import (
	"reflect"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/controllers/internal/children"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// A child differs from what is wanted if the fields that the operator has applied to it do, as its managed fields tell them. Of these the cache
// keeps a digest.

// maxCompared is more than the operator applies to an object, but for the data of a Secret. What is larger was not applied by it
// alone, and differs from what is wanted. Bytes.
const maxCompared = 128 << 10

// comparing lets the larger objects be read one after the other: for a moment each of them takes a hundred times as much of the memory.
var comparing sync.Mutex

// noteWhatWasApplied notes on the kept object a digest of what was applied to the whole one.
func noteWhatWasApplied(whole, kept client.Object) {
	addNote(kept, NoteApplied, "")
	size := comparedSize(whole)
	if size > maxCompared {
		return
	}
	if size > maxCompared/8 {
		comparing.Lock()
		defer comparing.Unlock()
	}
	applied, err := children.AppliedTo(whole)
	if err != nil {
		return // by somebody who took our name: it differs from what is wanted
	}
	addNote(kept, NoteApplied, render.Digest(applied))
	if applied.GetKind() != "Deployment" {
		return
	}
	if _, ours, _ := unstructured.NestedFieldNoCopy(applied.Object, "spec", "replicas"); ours {
		addNote(kept, NoteReplicas, "")
	}
	addNote(kept, NoteAround, render.Digest(render.AroundTemplate(applied)))
}

// comparedSize is how much there is to read of an object. Labels, annotations and data are flat and cost little. Bytes.
func comparedSize(whole client.Object) int {
	var ours []metav1.ManagedFieldsEntry
	for _, entry := range whole.GetManagedFields() {
		if entry.Manager == render.FieldManager {
			ours = append(ours, entry)
		}
	}
	lean := reflect.New(reflect.TypeOf(whole).Elem())
	lean.Elem().Set(reflect.ValueOf(whole).Elem())
	object := lean.Interface().(client.Object)
	object.SetLabels(nil)
	object.SetAnnotations(nil)
	object.SetManagedFields(ours)
	switch o := object.(type) {
	case *corev1.Secret:
		o.Data = nil
	case *gatewayapi.HTTPRoute:
		return len(o.Spec.Raw) + (&corev1.ConfigMap{ObjectMeta: o.ObjectMeta}).Size()
	}
	if sized, ok := object.(interface{ Size() int }); ok {
		return sized.Size()
	}
	return 0
}
