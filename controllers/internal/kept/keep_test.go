// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package kept

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/randfill"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/children"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// owners returns the ownerReferences of an endpoint's child.
func owners(endpoint string) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: "wechatendpoint.io/v1alpha1", Kind: "WeChatEndpoint", Name: endpoint, UID: "1", Controller: new(true)}}
}

// ofGateway are those of a gateway's child.
func ofGateway(gateway string) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: "wechatendpoint.io/v1alpha1", Kind: "WeChatGateway", Name: gateway, UID: "1", Controller: new(true)}}
}

// keptKinds are all kinds that the cache holds.
func keptKinds() []client.Object {
	kinds := []client.Object{
		&v1alpha1.WeChatEndpoint{}, &v1alpha1.WeChatGateway{}, &gatewayapi.Gateway{}, &gatewayapi.ReferenceGrant{}, &networkingv1.IngressClass{}, &corev1.Pod{}, &metav1.PartialObjectMetadata{},
	}
	for _, kind := range children.Kinds {
		kinds = append(kinds, kind.Empty())
	}
	slices.SortFunc(kinds, func(a, b client.Object) int { return strings.Compare(fmt.Sprintf("%T", a), fmt.Sprintf("%T", b)) })
	return kinds
}

// TestKeep: a row is an object, and what is read of it.
func TestKeep(t *testing.T) {
	long := strings.Repeat("a", 1000)
	meta := metav1.ObjectMeta{
		Namespace: "a", Name: "some", UID: "1", ResourceVersion: "2", Generation: 3, Finalizers: []string{"example.com/stay"},
		Annotations: map[string]string{"a": "b", v1alpha1.AnnotationGeneration: "g 1", networkingv1.AnnotationIsDefaultIngressClass: "true", v1alpha1.AnnotationTemplate: "t"},
		Labels:      map[string]string{v1alpha1.LabelCredentials: "true", v1alpha1.LabelEndpoint: "shop", "team": "a"},
	}
	bared := metav1.ObjectMeta{
		Namespace: "a", Name: "some", UID: "1", ResourceVersion: "2", Generation: 3,
		Labels: map[string]string{v1alpha1.LabelCredentials: "true", v1alpha1.LabelEndpoint: "shop"},
	}
	with := func(meta metav1.ObjectMeta, edit func(*metav1.ObjectMeta)) metav1.ObjectMeta {
		edit(&meta)
		return meta
	}
	unlabelled := with(bared, func(m *metav1.ObjectMeta) { m.Labels = nil })
	for name, test := range map[string]struct{ object, want client.Object }{
		"an endpoint, without what its author noted on it": {
			&v1alpha1.WeChatEndpoint{ObjectMeta: meta, Spec: v1alpha1.WeChatEndpointSpec{AppID: "wx1"}, Status: v1alpha1.WeChatEndpointStatus{URL: "u"}},
			&v1alpha1.WeChatEndpoint{ObjectMeta: unlabelled, Spec: v1alpha1.WeChatEndpointSpec{AppID: "wx1"}, Status: v1alpha1.WeChatEndpointStatus{URL: "u"}},
		},
		"a gateway, with the finalizer of the operator's alone": {
			&v1alpha1.WeChatGateway{ObjectMeta: with(meta, func(m *metav1.ObjectMeta) { m.Finalizers = []string{long, v1alpha1.FinalizerInUse} }), Spec: v1alpha1.WeChatGatewaySpec{Paused: true}, Status: v1alpha1.WeChatGatewayStatus{Left: []string{"shop"}}},
			&v1alpha1.WeChatGateway{ObjectMeta: with(unlabelled, func(m *metav1.ObjectMeta) { m.Finalizers = []string{v1alpha1.FinalizerInUse} }), Spec: v1alpha1.WeChatGatewaySpec{Paused: true}, Status: v1alpha1.WeChatGatewayStatus{Left: []string{"shop"}}},
		},
		"a gateway that nothing of the operator's keeps": {&v1alpha1.WeChatGateway{ObjectMeta: meta}, &v1alpha1.WeChatGateway{ObjectMeta: unlabelled}},
		"a user's Secret, with its values alone": {
			&corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{"token": []byte("t"), "endpoint.json": []byte("{}"), "key": []byte("k"), "more": []byte("m")}},
			&corev1.Secret{ObjectMeta: bared, Data: map[string][]byte{"token": []byte("t")}},
		},
		"a value that is too long, which stays so": {
			&corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{"token": make([]byte, 1<<20)}},
			&corev1.Secret{ObjectMeta: bared, Data: map[string][]byte{"token": make([]byte, 257)}},
		},
		"a pod, with how it is and not what it should be": {
			&corev1.Pod{ObjectMeta: with(meta, func(m *metav1.ObjectMeta) {
				m.OwnerReferences = []metav1.OwnerReference{{Kind: "Job"}, {APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "s", UID: "5", Controller: new(true)}}
			}), Spec: corev1.PodSpec{NodeName: "n"}, Status: corev1.PodStatus{
				PodIP: "10.0.0.1", HostIP: "10.0.0.2", Conditions: []corev1.PodCondition{
					{Type: corev1.PodInitialized, Status: "True"}, {Type: corev1.PodReady, Status: "False", Message: "m"},
					{Type: corev1.PodScheduled, Status: "False", Reason: "Unschedulable", Message: long},
				},
				ContainerStatuses: []corev1.ContainerStatus{
					{Name: "a", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}},
					{Name: "b", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: long}}},
				},
			}},
			&corev1.Pod{ObjectMeta: with(bared, func(m *metav1.ObjectMeta) {
				m.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "s", UID: "5", Controller: new(true)}}
				m.Annotations = map[string]string{v1alpha1.AnnotationGeneration: "g 1"}
			}), Status: corev1.PodStatus{
				PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: "False", Message: "m"}, {Type: corev1.PodScheduled, Status: "False", Reason: "Unschedulable", Message: long[:512]}},
				ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: long[:512]}}}},
			}},
		},
		"a Deployment that is no child": {
			&appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Paused: true}},
			&appsv1.Deployment{ObjectMeta: bared},
		},
		"a Service, with the ports that may be named": {
			&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Type: "NodePort", ClusterIP: "10.0.0.1", Selector: map[string]string{"a": "b"}, Ports: []corev1.ServicePort{{Name: "web", Port: 80, NodePort: 30000, Protocol: "TCP"}}}},
			&corev1.Service{ObjectMeta: bared, Spec: corev1.ServiceSpec{Type: "NodePort", Ports: []corev1.ServicePort{{Name: "web", Port: 80, Protocol: "TCP"}}}},
		},
		"an Ingress, with where it leads": {
			&networkingv1.Ingress{ObjectMeta: meta, Spec: networkingv1.IngressSpec{DefaultBackend: toService("b"), TLS: []networkingv1.IngressTLS{{}}, Rules: []networkingv1.IngressRule{ruleTo("h", "/1", "a"), ruleTo("i", "/2", "b")}}},
			&networkingv1.Ingress{ObjectMeta: bared, Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
				Paths: []networkingv1.HTTPIngressPath{{Backend: *toService("b")}, {Backend: *toService("a")}},
			}}}, {Host: "h"}, {Host: "i"}}}},
		},
		"a class of Ingresses": {
			&networkingv1.IngressClass{ObjectMeta: meta, Spec: networkingv1.IngressClassSpec{Controller: "c"}},
			&networkingv1.IngressClass{ObjectMeta: with(unlabelled, func(m *metav1.ObjectMeta) {
				m.Annotations = map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"}
			})},
		},
		"an EndpointSlice, with whether a pod is ready": {
			&discoveryv1.EndpointSlice{ObjectMeta: with(meta, func(m *metav1.ObjectMeta) {
				m.Labels = map[string]string{discoveryv1.LabelServiceName: "app", "a": "b"}
			}), Endpoints: []discoveryv1.Endpoint{
				{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: new(false)}}, {Addresses: []string{"10.0.0.2"}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}},
			}},
			&discoveryv1.EndpointSlice{ObjectMeta: with(bared, func(m *metav1.ObjectMeta) {
				m.Labels, m.OwnerReferences = map[string]string{discoveryv1.LabelServiceName: "app"}, nil
			}), Endpoints: []discoveryv1.Endpoint{{Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}}},
		},
		"an EndpointSlice of no pod that is ready": {
			&discoveryv1.EndpointSlice{ObjectMeta: unlabelled, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: new(false)}}}},
			&discoveryv1.EndpointSlice{ObjectMeta: with(unlabelled, func(m *metav1.ObjectMeta) { m.Annotations = nil })},
		},
		"metadata alone": {&metav1.PartialObjectMetadata{ObjectMeta: meta}, &metav1.PartialObjectMetadata{ObjectMeta: bared}},
		"a ReplicaSet, with whose template it is": {
			&metav1.PartialObjectMetadata{ObjectMeta: with(meta, func(m *metav1.ObjectMeta) {
				m.Annotations = map[string]string{"deployment.kubernetes.io/revision": "2", "deployment.kubernetes.io/desired-replicas": "3"}
			})},
			&metav1.PartialObjectMetadata{ObjectMeta: with(bared, func(m *metav1.ObjectMeta) {
				m.Annotations = map[string]string{"deployment.kubernetes.io/revision": "2"}
			})},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Keep(test.object)); diff != "" {
				t.Errorf("kept is otherwise than wanted (-want +got):\n%s", diff)
			}
		})
	}
}

func toService(name string) *networkingv1.IngressBackend {
	return &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: name}}
}

func ruleTo(host, path, service string) networkingv1.IngressRule {
	return networkingv1.IngressRule{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
		Paths: []networkingv1.HTTPIngressPath{{Path: path, PathType: new(networkingv1.PathTypeExact), Backend: *toService(service)}},
	}}}
}

// TestWhatIsKeptIsKeptOnce: a list is kept page by page, and the informer keeps it again.
func TestWhatIsKeptIsKeptOnce(t *testing.T) {
	for _, object := range filledObjects(t, 40) {
		once := Keep(object)
		if again := Keep(once.DeepCopyObject().(client.Object)); !cmp.Equal(once, again, cmp.AllowUnexported()) {
			t.Errorf("%T: kept again it is another one:\n%s", object, cmp.Diff(once, again))
		}
		if got, err := transform(Keep)(object); err != nil || !cmp.Equal(got, once) {
			t.Errorf("%T: an informer keeps something else: %v", object, err)
		}
	}
	if got, err := transform(Keep)(5); err != nil || got != 5 {
		t.Errorf("what is no object becomes %v: %v", got, err)
	}
}

// filledObjects are objects of each kind with something in every field, some of them children.
func filledObjects(t *testing.T, each int) []client.Object {
	t.Helper()
	fill := randfill.NewWithSeed(11).NilChance(0.2).NumElements(1, 4).MaxDepth(12)
	var objects []client.Object
	for _, kind := range keptKinds() {
		for i := range each {
			object := reflect.New(reflect.TypeOf(kind).Elem()).Interface().(client.Object)
			fill.Fill(object)
			object.SetManagedFields(nil)
			object.SetOwnerReferences(nil)
			switch i % 4 {
			case 0, 2:
				object.SetName("shop-sidecar")
				object.SetOwnerReferences(owners("shop"))
			case 1:
				object.SetName("front-wechat-gateway-11")
				object.SetOwnerReferences(ofGateway("front"))
			}
			objects = append(objects, object)
		}
	}
	return objects
}

// TestMemoryGrowsWithTheNumberOfObjects, and not with what is in them: every text, list and map of every kind is made as large as the API
// server takes it, one after the other, of strangers' objects and of what looks like a child.
func TestMemoryGrowsWithTheNumberOfObjects(t *testing.T) {
	const most = 160 << 10 // bytes; that of most objects is a hundredth
	tried := 0
	for _, kind := range keptKinds() {
		for _, grow := range growths(reflect.TypeOf(kind).Elem()) {
			for _, child := range []bool{false, true} {
				tried++
				object := reflect.New(reflect.TypeOf(kind).Elem())
				grow.fill(object.Elem())
				made := object.Interface().(client.Object)
				if child {
					made.SetName("shop-sidecar")
					made.SetOwnerReferences(owners("shop"))
				}
				_, isEndpoint := made.(*v1alpha1.WeChatEndpoint)
				_, isGateway := made.(*v1alpha1.WeChatGateway)
				if (isEndpoint || isGateway) && !strings.HasPrefix(grow.path, "ObjectMeta") {
					continue // is bounded where it is decoded
				}
				kept := Keep(made)
				text, err := json.Marshal(kept)
				if err != nil {
					t.Fatalf("%T with much in %s: %v", made, grow.path, err)
				}
				if len(text) > most {
					t.Errorf("%T with much in %s, a child: %v: %d bytes are kept", made, grow.path, child, len(text))
				}
			}
		}
	}
	if tried < 1000 {
		t.Errorf("only %d fields were tried", tried)
	}
}

// growth makes one field of an object as large as it can be.
type growth struct {
	path string
	fill func(object reflect.Value)
}

// growths returns a way to grow each field of a type that has no bound.
func growths(kind reflect.Type) []growth {
	return growthsBelow(kind, "", func(object reflect.Value) reflect.Value { return object }, nil)
}

func growthsBelow(kind reflect.Type, path string, reach func(reflect.Value) reflect.Value, above []reflect.Type) []growth {
	if slices.Contains(above, kind) || kind == reflect.TypeFor[metav1.FieldsV1]() || kind == reflect.TypeFor[metav1.Time]() {
		return nil
	}
	above = append(slices.Clone(above), kind)
	grow := func(fill func(reflect.Value)) growth {
		return growth{strings.TrimPrefix(path, "."), func(object reflect.Value) { fill(reach(object)) }}
	}
	const many = 256 << 10
	switch kind.Kind() {
	case reflect.String:
		return []growth{grow(func(v reflect.Value) { v.SetString(strings.Repeat("a", many)) })}
	case reflect.Pointer:
		return growthsBelow(kind.Elem(), path, func(o reflect.Value) reflect.Value {
			v := reach(o)
			if v.IsNil() {
				v.Set(reflect.New(kind.Elem()))
			}
			return v.Elem()
		}, above)
	case reflect.Slice:
		if kind.Elem().Kind() == reflect.Uint8 {
			return []growth{grow(func(v reflect.Value) { v.SetBytes(bytes.Repeat([]byte("a"), many)) })}
		}
		all := []growth{grow(func(v reflect.Value) { v.Set(reflect.MakeSlice(kind, 10_000, 10_000)) })}
		return append(all, growthsBelow(kind.Elem(), path+"[]", func(o reflect.Value) reflect.Value {
			v := reach(o)
			if v.Len() == 0 {
				v.Set(reflect.MakeSlice(kind, 1, 1))
			}
			return v.Index(0)
		}, above)...)
	case reflect.Map:
		return []growth{grow(func(v reflect.Value) {
			v.Set(reflect.MakeMap(kind))
			for i := range 2_000 {
				v.SetMapIndex(reflect.ValueOf(strings.Repeat("k", 200)+fmt.Sprint(i)).Convert(kind.Key()), reflect.Zero(kind.Elem()))
			}
			known := []string{"token", "certificates", "endpoint.json", "key", v1alpha1.AnnotationGeneration, v1alpha1.AnnotationTemplate, v1alpha1.LabelEndpoint, networkingv1.AnnotationIsDefaultIngressClass}
			for _, key := range known {
				if kind.Elem().Kind() == reflect.String {
					v.SetMapIndex(reflect.ValueOf(key).Convert(kind.Key()), reflect.ValueOf(strings.Repeat("a", many)).Convert(kind.Elem()))
				} else if kind.Elem().Kind() == reflect.Slice {
					v.SetMapIndex(reflect.ValueOf(key).Convert(kind.Key()), reflect.MakeSlice(kind.Elem(), many, many))
				}
			}
		})}
	case reflect.Struct:
		var all []growth
		for i := range kind.NumField() {
			field := kind.Field(i)
			bounded := path == ".ObjectMeta" && slices.Contains([]string{"Name", "Namespace", "UID", "ResourceVersion"}, field.Name) // by every API server
			if !field.IsExported() || field.Name == "TypeMeta" || bounded {
				continue
			}
			all = append(all, growthsBelow(field.Type, path+"."+field.Name, func(o reflect.Value) reflect.Value { return reach(o).Field(i) }, above)...)
		}
		return all
	default: // has a size of its own
		return nil
	}
}

// TestNothingLargeStaysBehindWhatIsShort: a text that was cut must not hold the whole one in memory.
func TestNothingLargeStaysBehindWhatIsShort(t *testing.T) {
	heap := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	var kept []client.Object
	for range 64 {
		pod := &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Reason: corev1.PodReasonUnschedulable, Message: strings.Repeat("a", 1<<20)}}}}
		pod.OwnerReferences = []metav1.OwnerReference{{Kind: strings.Repeat("k", 1<<20), UID: types.UID(strings.Repeat("u", 1<<20)), Controller: new(true)}}
		kept = append(kept, Keep(pod))
	}
	if grown := int64(heap()) - int64(before); grown > 1<<20 {
		t.Errorf("of %d pods with megabytes in them, %d KiB stay in memory", len(kept), grown>>10)
	}
	runtime.KeepAlive(kept)
}

// TestWhatManyObjectsSayIsKeptOnce: decoding makes a copy for each object.
func TestWhatManyObjectsSayIsKeptOnce(t *testing.T) {
	texts := func() []string {
		own := strings.Clone // as a decoder does
		service := Keep(&corev1.Service{ObjectMeta: metav1.ObjectMeta{
			Namespace: own("team"), Labels: map[string]string{v1alpha1.LabelEndpoint: own("shop")},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: own("wechatendpoint.io/v1alpha1"), Kind: own("WeChatEndpoint"), Name: own("shop"), UID: types.UID(own("uid")), Controller: new(true)}},
		}})
		owner := service.GetOwnerReferences()[0]
		found := []string{service.GetNamespace(), service.GetLabels()[v1alpha1.LabelEndpoint], owner.APIVersion, owner.Kind, owner.Name, string(owner.UID)}
		conditions := []metav1.Condition{{Type: own("Ready"), Status: metav1.ConditionStatus(own("True")), Reason: own("Ready"), Message: own("every check holds")}}
		endpoint := Keep(&v1alpha1.WeChatEndpoint{Status: v1alpha1.WeChatEndpointStatus{Conditions: conditions}}).(*v1alpha1.WeChatEndpoint)
		gateway := Keep(&v1alpha1.WeChatGateway{Status: v1alpha1.WeChatGatewayStatus{Conditions: conditions}}).(*v1alpha1.WeChatGateway)
		for _, c := range slices.Concat(endpoint.Status.Conditions, gateway.Status.Conditions) {
			found = append(found, c.Type, string(c.Status), c.Reason, c.Message)
		}
		return found
	}
	one, two := texts(), texts()
	for i := range one {
		if unsafe.StringData(one[i]) != unsafe.StringData(two[i]) {
			t.Errorf("%q is kept twice", one[i])
		}
	}
}

// TestARouteThatLeadsEverywhere is believed to lead to every Service of its namespace: what is beyond the bound must not hide a bypass.
func TestARouteThatLeadsEverywhere(t *testing.T) {
	app := types.NamespacedName{Namespace: "a", Name: "app"}
	for name, test := range map[string]struct {
		services int
		last     string
		want     bool
	}{
		"one that leads to it":                   {10, "app", true},
		"one that does not":                      {10, "other", false},
		"one that leads to it among many":        {maxLeadsTo, "app", true},
		"one that leads to many others":          {maxLeadsTo, "other", false},
		"one that leads to too many, and to it":  {maxLeadsTo + 1, "app", true},
		"one that leads to too many, and others": {maxLeadsTo + 1, "other", true},
	} {
		t.Run(name, func(t *testing.T) {
			ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "a"}}
			route := &gatewayapi.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "a"}, Spec: gatewayapi.HTTPRouteSpec{Rules: make([]gatewayapi.HTTPRouteRule, 1)}}
			for i := range test.services {
				service := fmt.Sprint(i)
				if i == test.services-1 {
					service = test.last
				}
				ingress.Spec.Rules = append(ingress.Spec.Rules, ruleTo("h", "/", service), ruleTo("h", "/again", service))
				reference := gatewayapi.BackendReference{}
				if err := json.Unmarshal(fmt.Appendf(nil, `{"name":%q}`, service), &reference); err != nil {
					t.Fatal(err)
				}
				route.Spec.Rules[0].BackendRefs = append(route.Spec.Rules[0].BackendRefs, reference, reference)
			}
			for range 2 { // as it is, and kept again
				ingress, route = Keep(ingress).(*networkingv1.Ingress), Keep(route).(*gatewayapi.HTTPRoute)
				if got := leadsTo(ingress, IngressServices(ingress), app); got != test.want {
					t.Errorf("the Ingress leads to it: %v, want %v", got, test.want)
				}
				if got := leadsTo(route, RouteServices(route), app); got != test.want {
					t.Errorf("the HTTPRoute leads to it: %v, want %v", got, test.want)
				}
			}
		})
	}
}

// leadsTo reports whether a Service is one of those that are kept of a route, or may be one of the others.
func leadsTo(route client.Object, known []types.NamespacedName, service types.NamespacedName) bool {
	_, more := Note(route, NoteLeadsTo)
	return more || slices.Contains(known, service)
}

// TestTheDigestIsOfWhatWasApplied: the digest that the cache keeps of a live child equals the one of the desired child. Otherwise the
// operator would write the child in every reconcile.
func TestTheDigestIsOfWhatWasApplied(t *testing.T) {
	const ofMeta = `"f:metadata":{"f:labels":{"f:app.kubernetes.io/managed-by":{},"f:app.kubernetes.io/name":{},"f:wechatendpoint.io/endpoint":{}},"f:ownerReferences":{"k:{\"uid\":\"1\"}":{}}}`
	meta := func(name, version, fields string) metav1.ObjectMeta {
		return metav1.ObjectMeta{
			Namespace: "a", Name: name, UID: "2", OwnerReferences: owners("shop"), Annotations: map[string]string{"a": "b"},
			Labels: render.Labels(&v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}),
			ManagedFields: []metav1.ManagedFieldsEntry{
				{Manager: "somebody", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: version, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:annotations":{"f:a":{}}}}`)},
				{Manager: render.FieldManager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: version, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields)},
			},
		}
	}
	whole := strings.Repeat("a", 1<<20)
	for name, object := range map[string]client.Object{
		"the document":    &corev1.Secret{ObjectMeta: meta("shop-sidecar", "v1", `{`+ofMeta+`,"f:data":{"f:endpoint.json":{}},"f:type":{}}`), Type: "Opaque", Data: map[string][]byte{"endpoint.json": []byte(whole), "more": []byte("m")}},
		"the gateway key": &corev1.Secret{ObjectMeta: meta("shop-gateway-key", "v1", `{`+ofMeta+`,"f:data":{"f:key":{}},"f:type":{}}`), Type: "Opaque", Data: map[string][]byte{"key": make([]byte, 32)}},
		"the Deployment": &appsv1.Deployment{ObjectMeta: meta("shop-sidecar", "apps/v1", `{`+ofMeta+`,"f:spec":{"f:replicas":{},"f:template":{"f:spec":{"f:serviceAccountName":{}}}}}`), Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(2)), Paused: true, Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{ServiceAccountName: "a", NodeName: "n"}},
		}},
		"the HTTPRoute": &gatewayapi.HTTPRoute{ObjectMeta: meta("shop-sidecar", "gateway.networking.k8s.io/v1", `{`+ofMeta+`,"f:spec":{"f:hostnames":{}}}`), Spec: gatewayapi.HTTPRouteSpec{Raw: []byte(`{"hostnames":["a"],"rules":[{"timeouts":{"request":"1s"}}]}`)}},
	} {
		t.Run(name, func(t *testing.T) {
			applied, err := children.AppliedTo(object)
			if err != nil {
				t.Fatal(err)
			}
			kept := Keep(object)
			if got, _ := Note(kept, NoteApplied); got != render.Digest(applied) || got == "" {
				t.Errorf("the digest is %q, want %q", got, render.Digest(applied))
			}
			foreign := object.DeepCopyObject().(client.Object)
			foreign.SetAnnotations(map[string]string{"a": "c"})
			foreign.SetLabels(map[string]string{"team": "a"})
			for key, label := range object.GetLabels() {
				foreign.GetLabels()[key] = label
			}
			if before, _ := Note(kept, NoteApplied); func() bool { after, _ := Note(Keep(foreign), NoteApplied); return before != after }() {
				t.Error("what somebody else adds is a difference")
			}
			foreign.GetLabels()["app.kubernetes.io/name"] = "other"
			if after, _ := Note(Keep(foreign), NoteApplied); after == render.Digest(applied) {
				t.Error("what somebody else changes is none")
			}
			foreign.SetManagedFields(nil)
			if after, _ := Note(Keep(foreign), NoteApplied); after == render.Digest(applied) {
				t.Error("what was not applied counts as such")
			}
			_, isNoted := Note(kept, NoteReplicas)
			if _, isDeployment := kept.(*appsv1.Deployment); isNoted != isDeployment {
				t.Errorf("who chooses the number of pods is noted: %v", isNoted)
			}
		})
	}
}

// TestOfAShardOnlyTheListIsKept: its documents are in the Secrets of its endpoints, one of which may have any name. The digest that is kept equals that
// of the shard which is wanted, so that it is not written in every reconcile.
func TestOfAShardOnlyTheListIsKept(t *testing.T) {
	documents := render.Shard{"endpoint": []byte(`{"generation":"one"}`), "key": []byte("{}"), "shop": bytes.Repeat([]byte(" "), 64<<10)}
	in := render.GatewayInput{Gateway: &v1alpha1.WeChatGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "front", UID: "1"}}}
	in.Shards[11] = documents
	rendered, err := render.MakeGateway(in)
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := render.ToUnstructured(rendered[0])
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(wanted)
	shard := &corev1.Secret{}
	if err != nil || json.Unmarshal(text, shard) != nil {
		t.Fatal(err)
	}
	fields := `"f:type":{},"f:metadata":{"f:ownerReferences":{"k:{\"uid\":\"1\"}":{}},"f:labels":{`
	for label := range shard.Labels {
		fields += fmt.Sprintf("%q:{},", "f:"+label)
	}
	fields = strings.TrimSuffix(fields, ",") + `}},"f:data":{"f:shard-11.list":{}`
	for name := range documents {
		fields += fmt.Sprintf(",%q:{}", "f:"+name+".json")
	}
	shard.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: render.FieldManager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: "v1", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{` + fields + `}}`)}}
	kept := Keep(shard).(*corev1.Secret)
	if diff := cmp.Diff(map[string][]byte{"shard-11.list": []byte("endpoint\nkey\nshop")}, kept.Data); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if digest, _ := Note(kept, NoteApplied); digest != render.Digest(wanted) {
		t.Errorf("the digest is %q, and that of what is wanted %q", digest, render.Digest(wanted))
	}
	shard.Data["shop.json"] = []byte("{}")
	if digest, _ := Note(Keep(shard), NoteApplied); digest == render.Digest(wanted) {
		t.Error("a document that somebody changes is no difference")
	}
	shard.Data["shard-11.list"] = make([]byte, maxData+1)
	kept = Keep(shard).(*corev1.Secret)
	if noted, _ := Note(kept, NoteData); len(kept.Data) > 0 || noted != "shard-11.list" {
		t.Errorf("of a list that is too long, %d bytes are kept, and the note is %q", len(kept.Data), noted)
	}
	shard.Data["shard-11.list"], shard.OwnerReferences, shard.ManagedFields = nil, nil, nil
	if kept = Keep(shard).(*corev1.Secret); len(kept.Data) > 0 {
		t.Errorf("of what only looks like a shard, %d values are kept", len(kept.Data))
	}
}

// TestAChildThatIsLargerThanAnyIsNotCompared: to compare it would take more of the memory than it has itself, by far.
func TestAChildThatIsLargerThanAnyIsNotCompared(t *testing.T) {
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Tolerations: make([]corev1.Toleration, maxCompared)}}
	huge := metav1.ObjectMeta{Name: "shop-sidecar", OwnerReferences: owners("shop")}
	taken := huge
	taken.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: render.FieldManager, FieldsV1: metav1.NewFieldsV1(`{"f:` + strings.Repeat("a", maxCompared) + `":{}}`)}}
	broken := huge
	broken.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: render.FieldManager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: "v1", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:`)}}
	for name, object := range map[string]client.Object{
		"many tolerations":                  &appsv1.Deployment{ObjectMeta: huge, Spec: appsv1.DeploymentSpec{Template: template}},
		"many metrics":                      &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: huge, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{Metrics: make([]autoscalingv2.MetricSpec, maxCompared)}},
		"fields applied in our name":        &corev1.ServiceAccount{ObjectMeta: taken},
		"such that nobody can read":         &corev1.ServiceAccount{ObjectMeta: broken},
		"the same of a NetworkPolicy":       &networkingv1.NetworkPolicy{ObjectMeta: taken},
		"the same of a disruption budget":   &policyv1.PodDisruptionBudget{ObjectMeta: taken},
		"an HTTPRoute of which is too much": &gatewayapi.HTTPRoute{ObjectMeta: huge},
	} {
		digest, noted := Note(Keep(object), NoteApplied)
		if applied, err := children.AppliedTo(object); name == "an HTTPRoute of which is too much" && (err != nil || digest != render.Digest(applied)) {
			t.Errorf("%s: %v", name, err)
		} else if name != "an HTTPRoute of which is too much" && (!noted || digest != "") {
			t.Errorf("%s: the digest is %q", name, digest)
		}
	}
}

// TestLabelsAloneMakeNoChild, nor does an owner that nobody collects.
func TestLabelsAloneMakeNoChild(t *testing.T) {
	owned := func(name string, change func(*metav1.OwnerReference)) metav1.ObjectMeta {
		owner := owners("shop")
		change(&owner[0])
		return metav1.ObjectMeta{Name: name, OwnerReferences: owner, Labels: render.Labels(&v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})}
	}
	for name, meta := range map[string]metav1.ObjectMeta{
		"no owner":                             owned("shop-sidecar", func(o *metav1.OwnerReference) { o.Controller = nil }),
		"another name":                         owned("shop-sidecar-2", func(*metav1.OwnerReference) {}),
		"an owner of another kind":             owned("shop-sidecar", func(o *metav1.OwnerReference) { o.Kind = "Deployment" }),
		"a version that nobody collects":       owned("shop-sidecar", func(o *metav1.OwnerReference) { o.APIVersion = "wechatendpoint.io/v9" }),
		"a group of which nobody has heard of": owned("shop-sidecar", func(o *metav1.OwnerReference) { o.APIVersion = "example.com/v1alpha1" }),
	} {
		secret := &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{"endpoint.json": []byte("{}")}}
		kept := Keep(secret).(*corev1.Secret)
		if _, noted := Note(kept, NoteApplied); children.Is(secret) || noted || len(kept.Data) > 0 {
			t.Errorf("%s: kept like a child: %+v", name, kept)
		}
	}
}
