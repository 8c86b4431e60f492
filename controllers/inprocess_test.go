// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/meta/testrestmapper"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoapplyconfigurations "k8s.io/client-go/applyconfigurations"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
	gatewayapplyconfiguration "sigs.k8s.io/gateway-api/applyconfiguration"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers"
)

// inProcess keeps objects as an API server does, without one: it gives uids and generations, and the CRD and the owners of fields are judged by
// an API server's own code. It knows no defaults, no admission and no rights, and of the rules for kinds that are built in only what tests break:
// see judge. TestScenesAreAsOnAnAPIServer compares the two.
type inProcess struct {
	clienttesting.ObjectTracker
	definition *definition
	count      atomic.Int64
	writing    sync.Mutex
}

// Create implements clienttesting.ObjectTracker.
func (p *inProcess) Create(resource schema.GroupVersionResource, object runtime.Object, namespace string, options ...metav1.CreateOptions) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	if err := p.born(object); err != nil {
		return err
	}
	return p.ObjectTracker.Create(resource, object, namespace, options...)
}

// Update implements clienttesting.ObjectTracker.
func (p *inProcess) Update(resource schema.GroupVersionResource, object runtime.Object, namespace string, options ...metav1.UpdateOptions) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	if err := p.grown(resource, object, namespace); err != nil {
		return err
	}
	return p.ObjectTracker.Update(resource, object, namespace, options...)
}

// Patch implements clienttesting.ObjectTracker.
func (p *inProcess) Patch(resource schema.GroupVersionResource, object runtime.Object, namespace string, options ...metav1.PatchOptions) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	if err := p.grown(resource, object, namespace); err != nil {
		return err
	}
	return p.ObjectTracker.Patch(resource, object, namespace, options...)
}

// apply is a server-side apply. That of the fake client would own every field of the Go type, also those that nobody applied.
func (p *inProcess) apply(applied runtime.ApplyConfiguration, options ...client.ApplyOption) error {
	text, err := json.Marshal(applied)
	if err != nil {
		return err
	}
	var object unstructured.Unstructured
	if err := json.Unmarshal(text, &object); err != nil {
		return err
	}
	var asked client.ApplyOptions
	asked.ApplyOptions(options)
	resource, _ := apimeta.UnsafeGuessKindToResource(object.GroupVersionKind())
	namespace, name := object.GetNamespace(), object.GetName()
	p.writing.Lock()
	defer p.writing.Unlock()
	before, missing := p.Get(resource, namespace, name)
	if client.IgnoreNotFound(missing) != nil {
		return missing
	}
	was := metav1.Object(&metav1.ObjectMeta{})
	if missing == nil {
		if was, err = apimeta.Accessor(before); err != nil {
			return err
		}
	}
	uid, version := object.GetUID(), object.GetResourceVersion()
	if uid != "" && uid != was.GetUID() || version != "" && version != was.GetResourceVersion() && missing == nil {
		return apierrors.NewConflict(resource.GroupResource(), name, errors.New("it is another one"))
	}
	if err := p.Apply(resource, &object, namespace, *asked.AsPatchOptions()); err != nil {
		return err
	}
	after, err := p.Get(resource, namespace, name)
	if err != nil {
		return err
	}
	if missing != nil {
		if err := p.born(after); err != nil {
			return errors.Join(err, p.Delete(resource, namespace, name))
		}
	} else if err := errors.Join(p.grow(before, after), newer(after)); err != nil {
		return errors.Join(err, p.ObjectTracker.Update(resource, before, namespace))
	}
	if is, err := apimeta.Accessor(after); err != nil || !is.GetDeletionTimestamp().IsZero() && len(is.GetFinalizers()) == 0 {
		return errors.Join(err, p.Delete(resource, namespace, name))
	}
	return p.ObjectTracker.Update(resource, after, namespace)
}

// newer counts the resource version up.
func newer(object runtime.Object) error {
	meta, err := apimeta.Accessor(object)
	if err != nil {
		return err
	}
	version, err := strconv.Atoi(meta.GetResourceVersion())
	meta.SetResourceVersion(strconv.Itoa(version + 1))
	return err
}

// born gives an object what an API server gives a new one.
func (p *inProcess) born(object runtime.Object) error {
	meta, err := apimeta.Accessor(object)
	if err != nil {
		return err
	}
	count := p.count.Add(1)
	meta.SetUID(types.UID(fmt.Sprintf("%08d-0000-4000-8000-000000000000", count)))
	meta.SetResourceVersion(strconv.FormatInt(1000*count, 10)) // which the fake client counts up
	meta.SetCreationTimestamp(metav1.NewTime(time.Now().Truncate(time.Second)))
	meta.SetGeneration(1)
	return p.judge(object, nil)
}

// grown gives an object what an API server gives one that is written again.
func (p *inProcess) grown(resource schema.GroupVersionResource, object runtime.Object, namespace string) error {
	meta, err := apimeta.Accessor(object)
	if err != nil {
		return err
	}
	before, err := p.Get(resource, namespace, meta.GetName())
	if err != nil {
		return err
	}
	return p.grow(before, object)
}

// grow keeps what nobody may change, and counts the generation up if the spec is another one.
func (p *inProcess) grow(before, after runtime.Object) error {
	if err := p.judge(after, before); err != nil {
		return err
	}
	was, err := apimeta.Accessor(before)
	if err != nil {
		return err
	}
	is, err := apimeta.Accessor(after)
	if err != nil {
		return err
	}
	is.SetUID(was.GetUID())
	is.SetCreationTimestamp(was.GetCreationTimestamp())
	is.SetGeneration(was.GetGeneration())
	if spec := func(o runtime.Object) any {
		if field := reflect.ValueOf(o).Elem().FieldByName("Spec"); field.IsValid() {
			return field.Interface()
		}
		return nil
	}; !equality.Semantic.DeepEqual(spec(before), spec(after)) {
		is.SetGeneration(was.GetGeneration() + 1)
	}
	return nil
}

// judge asks the CRD, and fills its defaults in. Of other kinds it refuses tooMuch and forbiddenHost, as an API server does.
func (p *inProcess) judge(object, before runtime.Object) error {
	switch o := object.(type) {
	case *networkingv1.Ingress:
		if slices.ContainsFunc(o.Spec.Rules, func(r networkingv1.IngressRule) bool { return r.Host == theForbiddenHost }) {
			return apierrors.NewInvalid(schema.GroupKind{Kind: "Ingress"}, o.Name, nil)
		}
		return nil
	case *appsv1.Deployment:
		resources := o.Spec.Template.Spec.Containers[0].Resources
		if limit, limited := resources.Limits[corev1.ResourceMemory]; limited && resources.Requests.Memory().Cmp(limit) > 0 {
			return apierrors.NewInvalid(schema.GroupKind{Kind: "Deployment"}, o.Name, nil)
		}
		return nil
	case *v1alpha1.WeChatEndpoint:
	default:
		return nil
	}
	written, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return err
	}
	var old map[string]any
	if before != nil {
		if old, err = runtime.DefaultUnstructuredConverter.ToUnstructured(before); err != nil {
			return err
		}
	}
	stored, err := p.definition.accept(written, old)
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	stored.DeepCopyInto(object.(*v1alpha1.WeChatEndpoint))
	return nil
}

// schemas are the fields of the children's kinds, by API group. It takes seconds to parse them under the race detector, so it is done once.
var schemas = sync.OnceValue(func() typeConverters {
	converters, builtIn := typeConverters{}, clientgoapplyconfigurations.NewTypeConverter(kinds())
	for _, group := range []string{corev1.GroupName, appsv1.GroupName, autoscalingv2.GroupName, networkingv1.GroupName, policyv1.GroupName} {
		converters[group] = builtIn
	}
	converters[gatewayv1.GroupName] = gatewayapplyconfiguration.NewTypeConverter(kinds())
	return converters
})

// kinds are those that the operator has to do with.
func kinds() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(errors.Join(
		corev1.AddToScheme(scheme), discoveryv1.AddToScheme(scheme), appsv1.AddToScheme(scheme), autoscalingv2.AddToScheme(scheme), networkingv1.AddToScheme(scheme), policyv1.AddToScheme(scheme),
		gatewayv1.Install(scheme), gatewayv1beta1.Install(scheme), v1alpha1.AddToScheme(scheme),
	))
	return scheme
}

// newWorld is a cluster in this process.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := newBareWorld(t, newDefinition(t))
	w.create(t, anyClass())
	return w
}

// newBareWorld is one without any object.
func newBareWorld(t *testing.T, crd *definition) *world {
	t.Helper()
	all := kinds()
	operators, err := controllers.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	tracker := &inProcess{definition: crd, ObjectTracker: clienttesting.NewFieldManagedObjectTracker(
		all, serializer.NewCodecFactory(all).UniversalDecoder(), schemas(),
	)}
	newClient := func(scheme *runtime.Scheme, withStatus ...client.Object) client.WithWatch {
		return fake.NewClientBuilder().WithScheme(scheme).WithRESTMapper(testrestmapper.TestOnlyStaticRESTMapper(all)).
			WithObjectTracker(tracker).WithReturnManagedFields().WithStatusSubresource(withStatus...).Build()
	}
	w := &world{tracker: tracker, client: newClient(all, &v1alpha1.WeChatEndpoint{}, &v1alpha1.WeChatGateway{}, &gatewayv1.Gateway{}, &gatewayv1.HTTPRoute{})}
	w.operators = interceptor.NewClient(newClient(operators, &v1alpha1.WeChatEndpoint{}, &v1alpha1.WeChatGateway{}), interceptor.Funcs{
		Apply: func(_ context.Context, _ client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			return tracker.apply(object, options...)
		},
		// With the status of a pod, an API server takes its annotations too.
		SubResourcePatch: func(ctx context.Context, c client.Client, name string, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
			if pod, ok := object.(*corev1.Pod); ok {
				return w.client.Patch(ctx, pod, patch)
			}
			return c.SubResource(name).Patch(ctx, object, patch, options...)
		},
	})
	return w
}

// typeConverters know the fields of each group's kinds; of others they are deduced.
type typeConverters map[string]managedfields.TypeConverter

// ObjectToTyped implements managedfields.TypeConverter.
func (c typeConverters) ObjectToTyped(object runtime.Object, options ...typed.ValidationOptions) (*typed.TypedValue, error) {
	if group := object.GetObjectKind().GroupVersionKind().Group; c[group] != nil {
		return c[group].ObjectToTyped(object, options...)
	}
	return managedfields.NewDeducedTypeConverter().ObjectToTyped(object, options...)
}

// TypedToObject implements managedfields.TypeConverter.
func (c typeConverters) TypedToObject(value *typed.TypedValue) (runtime.Object, error) {
	return managedfields.NewDeducedTypeConverter().TypedToObject(value)
}
