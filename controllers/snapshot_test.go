// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/claims"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/pods"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/status"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/world"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// sidecars say that they serve a generation, and answer well. They remember who was asked and played against.
type sidecars struct {
	Unshared
	generation    string
	asked, played []string
}

func (p *sidecars) Ask(_ context.Context, addresses []string) []probe.Result {
	p.asked = append(p.asked, addresses...)
	answers := make([]probe.Result, len(addresses))
	for i := range answers {
		answers[i].Status = config.Status{Generation: p.generation, Ready: true}
	}
	return answers
}

func (p *sidecars) Play(_ context.Context, addresses []string, _ int, _ probe.Subject) []error {
	p.played = append(p.played, addresses...)
	return make([]error, len(addresses))
}

func (p *sidecars) Reach(context.Context, string, bool, probe.Subject) (time.Time, error) {
	return time.Time{}, nil
}

// stage is an endpoint that serves with one pod of an earlier image, while the installation asks for a newer one.
type stage struct {
	endpoint   *v1alpha1.WeChatEndpoint
	objects    []client.Object
	deployment *appsv1.Deployment
	sidecars   *sidecars
	past       []string // which kinds were read past the cache
	template   string   // that the pods should have
}

func newStage(t *testing.T, edits ...func(*v1alpha1.WeChatEndpoint)) *stage {
	t.Helper()
	e := &v1alpha1.WeChatEndpoint{
		ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "shop", UID: "e", Generation: 1},
		Spec: v1alpha1.WeChatEndpointSpec{
			Platform: "OfficialAccount", MessageMode: "Plaintext", AppID: "wx1", Credentials: v1alpha1.CredentialsReference{SecretName: "wechat"},
			URL:     v1alpha1.CallbackURL{Host: "h.example.com", Path: "/p", Exposure: v1alpha1.ExposureNone},
			Backend: v1alpha1.Backend{Service: v1alpha1.ServiceReference{Name: "app", Port: intstr.FromInt32(80)}},
			Sidecar: v1alpha1.Sidecar{Replicas: new(int32(1))},
		},
	}
	for _, edit := range edits {
		edit(e)
	}
	s := &stage{endpoint: e, sidecars: &sidecars{}}
	input := render.Input{
		Endpoint: e, Serving: true, BackendURL: "http://app.a.svc:80", Installed: render.Installed{Image: "x:2"}, GatewayKey: make([]byte, config.GatewayKeySize),
		RuleURLs: slices.Repeat([]string{"http://app.b.svc:80"}, len(e.Spec.Rules)), Pairs: []config.Pair{{Token: "a-fine-token", Generation: 1}},
	}
	rendered, err := render.Make(input)
	if err != nil {
		t.Fatal(err)
	}
	if s.template, err = render.Template(input); err != nil {
		t.Fatal(err)
	}
	s.sidecars.generation = rendered.Generation
	for _, child := range rendered.Children {
		object, err := render.ToUnstructured(child)
		if err != nil {
			t.Fatal(err)
		}
		if object.GetKind() != "Deployment" && object.GetKind() != "HTTPRoute" {
			s.objects = append(s.objects, object)
		}
	}
	asked, err := render.AskedOf(e.Spec.Sidecar)
	if err != nil {
		t.Fatal(err)
	}
	s.deployment = &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "a", Name: render.Name(e), UID: "d", Generation: 1, Labels: render.Labels(e), OwnerReferences: s.owner(e),
			Annotations: map[string]string{v1alpha1.AnnotationTemplate: "old", v1alpha1.AnnotationAsked: asked, pods.AnnotationRevision: "1"},
		},
		Spec:   appsv1.DeploymentSpec{Replicas: new(int32(1))},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1},
	}
	s.deployment.Spec.Template.Spec.Containers = []corev1.Container{{Name: "sidecar", Image: "x:1"}}
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
		Namespace: "a", Name: "set", UID: "rs", Labels: render.Labels(e), Annotations: map[string]string{pods.AnnotationRevision: "1"},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(s.deployment, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
	}}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "a", Name: "pod", Labels: render.Labels(e),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
		},
		Status: corev1.PodStatus{PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	service := func(namespace, name string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "wechat", Labels: map[string]string{v1alpha1.LabelCredentials: v1alpha1.CredentialsUser}},
		Data: map[string][]byte{"token": []byte("a-fine-token")}}
	s.objects = append(s.objects, set, pod, service("a", "app"), service("b", "app"), secret)
	return s
}

func (s *stage) owner(e *v1alpha1.WeChatEndpoint) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: "WeChatEndpoint", Name: e.Name, UID: e.UID, Controller: new(true)}}
}

// say lets the status say what an operator said before.
func (s *stage) say(said status.Said, slot *v1alpha1.RolloutSlot) {
	s.endpoint.Status.Rollout = slot
	status.Write(s.endpoint, &s.endpoint.Status, said, metav1.Now().Time)
}

// reconcile reconciles once, with a client that writes nothing but the status, and returns it.
func (s *stage) reconcile(t *testing.T, funcs interceptor.Funcs) v1alpha1.WeChatEndpointStatus {
	t.Helper()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	var stored v1alpha1.WeChatEndpointStatus
	funcs.Apply = func(context.Context, client.WithWatch, runtime.ApplyConfiguration, ...client.ApplyOption) error {
		return nil
	}
	funcs.Delete = func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error { return nil }
	funcs.SubResourcePatch = func(_ context.Context, _ client.Client, _ string, object client.Object, _ client.Patch, _ ...client.SubResourcePatchOption) error {
		if endpoint, ok := object.(*v1alpha1.WeChatEndpoint); ok {
			stored = endpoint.Status
		}
		return nil
	}
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(schema.GroupVersionKind{Group: gatewayv1.GroupName, Version: "v1", Kind: "HTTPRoute"}, meta.RESTScopeNamespace)
	c := fake.NewClientBuilder().WithScheme(scheme).WithRESTMapper(mapper).WithObjects(append(s.objects, s.endpoint, s.deployment)...).
		WithStatusSubresource(s.endpoint).
		WithIndex(&networkingv1.Ingress{}, world.IndexLeadsTo, func(o client.Object) []string { return world.LeadsTo(o.(*networkingv1.Ingress)) }).
		WithIndex(&v1alpha1.WeChatEndpoint{}, world.IndexHost, func(o client.Object) []string { return claims.Hosts(o.(*v1alpha1.WeChatEndpoint)) }).
		WithInterceptorFuncs(funcs).Build()
	live := interceptor.NewClient(c, interceptor.Funcs{Get: func(ctx context.Context, _ client.WithWatch, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
		s.past = append(s.past, fmt.Sprintf("%T", o))
		o.SetOwnerReferences(s.owner(s.endpoint))
		return nil
	}})
	r := &Reconciler{Client: c, Live: live, Events: events.NewFakeRecorder(99), Probe: s.sidecars, Options: Options{SidecarImage: "x:2"}}
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(s.endpoint)}); err != nil {
		t.Fatal(err)
	}
	return stored
}

// TestASlotIsJudgedByThePodsThatWerePlayed: the cache catches up while a reconcile runs. The pods that were asked and played against are
// the old ones, whatever the Deployment has become meanwhile, or already was.
func TestASlotIsJudgedByThePodsThatWerePlayed(t *testing.T) {
	for name, readsBefore := range map[string]int{
		"the Deployment is the new one from the start, and its pods are not known yet": 0,
		"the Deployment is another one when it is read again":                          1,
		"when it is read for the third time":                                           2,
		"when it is read for the fourth time":                                          3,
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.say(status.Said{
				v1alpha1.ConditionSidecarCurrent: verdict.False(v1alpha1.ReasonRollingOut, ""),
				v1alpha1.ConditionAccepted:       verdict.True(v1alpha1.ReasonAccepted, ""),
			}, &v1alpha1.RolloutSlot{Since: new(metav1.Now()), Template: s.template})
			reads := 0
			after := s.reconcile(t, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
				err := c.Get(ctx, key, o, options...)
				if deployment, ok := o.(*appsv1.Deployment); ok {
					if reads++; reads > readsBefore {
						deployment.Generation, deployment.Status.ObservedGeneration = 2, 2
						deployment.Annotations[v1alpha1.AnnotationTemplate], deployment.Annotations[pods.AnnotationRevision] = s.template, "2"
					}
				}
				return err
			}})
			if slot := status.SlotOf(&v1alpha1.WeChatEndpoint{Status: after}); !slot.Rolling() {
				t.Errorf("the slot is over (%s), and only %v was played against: the next endpoint goes on", slot.Reason, s.sidecars.played)
			}
			if len(s.sidecars.played) != 1 {
				t.Errorf("played against was %v", s.sidecars.played)
			}
		})
	}
}

// TestNewPodsEndTheirSlot is the other side: the pod is one of the newest ReplicaSet.
func TestNewPodsEndTheirSlot(t *testing.T) {
	s := newStage(t)
	s.say(status.Said{v1alpha1.ConditionSidecarCurrent: verdict.False(v1alpha1.ReasonRollingOut, "")}, &v1alpha1.RolloutSlot{Since: new(metav1.Now()), Template: s.template})
	s.deployment.Annotations[v1alpha1.AnnotationTemplate] = s.template
	after := s.reconcile(t, interceptor.Funcs{})
	if slot := status.SlotOf(&v1alpha1.WeChatEndpoint{Status: after}); slot.Reason != v1alpha1.ReasonSidecarCurrent || slot.Stored != nil {
		t.Errorf("the slot is %+v: %+v", slot, after.Conditions)
	}
}

// TestEachObjectIsReadOnce counts the reads of the busiest reconcile: the endpoint moves from an Ingress to an HTTPRoute, has rivals, backends
// in two namespaces, live files and pods, and seeks a slot of a rollout.
func TestEachObjectIsReadOnce(t *testing.T) {
	s := newStage(t, func(e *v1alpha1.WeChatEndpoint) {
		e.Spec.URL.Exposure, e.Spec.URL.HTTPRoute = v1alpha1.ExposureHTTPRoute, &v1alpha1.HTTPRouteExposure{ParentRefs: []v1alpha1.ParentReference{{Name: "edge"}, {Name: "edge", SectionName: "web"}}}
		other := v1alpha1.Backend{Service: v1alpha1.ServiceReference{Namespace: "b", Name: "app", Port: intstr.FromInt32(80)}}
		for _, event := range []string{"subscribe", "unsubscribe"} {
			e.Spec.Rules = append(e.Spec.Rules, v1alpha1.Rule{Match: v1alpha1.RuleMatch{Event: event}, Action: v1alpha1.RuleActionForward, Backend: other.DeepCopy()})
		}
	})
	named := metav1.ObjectMeta{Namespace: "a", Name: "shop-sidecar", Labels: render.Labels(s.endpoint), OwnerReferences: s.owner(s.endpoint)}
	rival := s.endpoint.DeepCopy()
	rival.Name, rival.UID, rival.Spec.URL.Path = "rival", "f", "/rival"
	grant := &gatewayapi.ReferenceGrant{ObjectMeta: metav1.ObjectMeta{Namespace: "b", Name: "all"}}
	if err := json.Unmarshal([]byte(`{"from":[{"group":"wechatendpoint.io","kind":"WeChatEndpoint","namespace":"a"}],"to":[{"group":"","kind":"Service"}]}`), &grant.Spec); err != nil {
		t.Fatal(err)
	}
	edge := &gatewayapi.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "edge"}}
	edge.Spec.Listeners = []gatewayapi.Listener{{Name: "web", Protocol: gatewayv1.HTTPProtocolType}}
	s.objects = append(s.objects, &networkingv1.Ingress{ObjectMeta: named}, &gatewayapi.HTTPRoute{ObjectMeta: named}, rival, grant, edge)
	reads, kinds := map[string]int{}, map[string]int{}
	count := func(c client.Client, kind runtime.Object, what string) {
		gvk, err := apiutil.GVKForObject(kind, c.Scheme())
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(gvk.Kind, "List")
		reads[name+" "+what]++
		kinds[name]++
	}
	after := s.reconcile(t, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
			count(c, o, key.String())
			return c.Get(ctx, key, o, options...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			var asked client.ListOptions
			asked.ApplyOptions(options)
			count(c, list, fmt.Sprintf("all of %q %v %v", asked.Namespace, asked.FieldSelector, asked.LabelSelector))
			return c.List(ctx, list, options...)
		},
	})
	for read, times := range reads {
		if times > 1 {
			t.Errorf("%s is read %d times", read, times)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		t.Logf("%d × %s", kinds[kind], kind)
	}
	for kind, most := range map[string]int{
		"Deployment": 1, "ReplicaSet": 1, "Pod": 1, "HTTPRoute": 1, "Gateway": 1,
		"Ingress":             5, // its own, and those that lead to each backend, or to many
		"ReferenceGrant":      2, // likewise
		"EndpointSlice":       2, // of each backend
		"Secret":              4, // the user's, the pods', the copy of it and the app's
		"Service":             4, // the sidecar's, the one of its pods, and two backends
		"WeChatEndpoint":      3, // itself, those of its host, and those of the rollout
		"WeChatGateway":       1, // those of the rollout
		"ServiceAccount":      1,
		"NetworkPolicy":       1,
		"PodDisruptionBudget": 1, "HorizontalPodAutoscaler": 1,
	} {
		if kinds[kind] != most {
			t.Errorf("%s is read %d times, want %d", kind, kinds[kind], most)
		}
		delete(kinds, kind)
	}
	if len(kinds) > 0 {
		t.Errorf("these kinds are read too: %v", kinds)
	}
	if want := []string{"*v1.Deployment"}; !slices.Equal(s.past, want) { // before it is written without its pods' template
		t.Errorf("past the cache are read %v, want %v", s.past, want)
	}
	if slot := status.SlotOf(&v1alpha1.WeChatEndpoint{Status: after}); !slot.Rolling() {
		t.Errorf("the reconcile was not the busiest: the slot is %+v; %+v", slot, after.Conditions)
	}
}
