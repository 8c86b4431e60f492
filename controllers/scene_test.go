// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/claims"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/moves"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	operatorworld "github.com/wechatendpoint/wechatendpoint/controllers/internal/world"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// world is a cluster in which an operator works only when a scene calls it.
type world struct {
	client    client.WithWatch // the tests' own
	operators client.WithWatch // knows what an operator's does
	tracker   *inProcess       // nil where there is an API server
}

func (w *world) create(t *testing.T, object client.Object) {
	t.Helper()
	if err := w.client.Create(t.Context(), object); err != nil {
		t.Fatalf("creating %T %s: %v", object, object.GetName(), err)
	}
}

// scene is one endpoint in a namespace of its own, with one pod of its sidecar, which serves whatever it is given at once.
type scene struct {
	*world
	namespace string
	deleted   bool // somebody deleted children, which no status knows before the next reconcile
	options   controllers.Options
	pods      int32 // there must always be as many
	moves     bool  // the URL is published, and moves from one kind of route to another: there must always be one
	revoked   bool  // the first token may be refused
	used      map[int64]config.Use
	operator  *controllers.Reconciler // that reconciles again and again; nil for a new one each time

	controllers.Unshared
	mu       sync.Mutex
	loaded   string // the generation of the files that the pod serves
	document config.Document
}

func (w *world) newScene(t *testing.T) *scene {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "fault-"}}
	w.create(t, namespace)
	w.create(t, appService(namespace.Name))
	w.create(t, appSlice(namespace.Name))
	w.create(t, tokenSecret(namespace.Name, "a-fine-token"))
	return &scene{world: w, namespace: namespace.Name, options: controllers.Options{
		SidecarImage: "example.com/sidecar:1", SidecarPullPolicy: "IfNotPresent", OperatorNamespace: "platform", NetworkPolicy: everyRule,
		Rollout: controllers.Rollout{MaxEndpoints: 1000}, // all scenes have one API server
	}}
}

func (s *scene) make(t *testing.T) {
	t.Helper()
	endpoint := newEndpoint(s.namespace)
	endpoint.Spec.Sidecar.Replicas = new(int32(1))
	endpoint.Spec.URL.Exposure, endpoint.Spec.URL.Ingress = v1alpha1.ExposureIngress, &v1alpha1.IngressExposure{ClassName: "any"}
	s.create(t, endpoint)
	s.create(t, gateway(s.namespace, "edge"))
}

func (s *scene) changeToken(t *testing.T) {
	t.Helper()
	if err := s.client.Update(t.Context(), tokenSecret(s.namespace, "a-newer-token")); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) revoke(t *testing.T) {
	t.Helper()
	s.revoked = true
	s.edit(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.Credentials.RevokeBefore = 2 })
}

// use lets the pod say that WeChat was seen with the newer token.
func (s *scene) use() {
	at := time.Now().Add(-time.Minute).Truncate(time.Second)
	s.used = map[int64]config.Use{2: {First: at, Last: at}}
}

func (s *scene) deleteService(t *testing.T) {
	t.Helper()
	if err := s.client.Delete(t.Context(), appService(s.namespace)); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) unpublish(t *testing.T) {
	t.Helper()
	endpoint := s.endpoint(t)
	endpoint.Spec.URL.Exposure, endpoint.Spec.URL.Ingress = v1alpha1.ExposureNone, nil
	if err := s.client.Update(t.Context(), endpoint); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) moveToHTTPRoute(t *testing.T) {
	t.Helper()
	s.moves = true
	endpoint := withHTTPRoute(s.endpoint(t), v1alpha1.ParentReference{Name: "edge"})
	if err := s.client.Update(t.Context(), endpoint); err != nil {
		t.Fatal(err)
	}
}

// scaleTo asks for as many pods, below which nothing goes from then on.
func (s *scene) scaleTo(t *testing.T, replicas int32) {
	t.Helper()
	endpoint := s.endpoint(t)
	endpoint.Spec.Sidecar.Replicas, s.pods = &replicas, replicas
	if err := s.client.Update(t.Context(), endpoint); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) autoscale(t *testing.T) {
	t.Helper()
	endpoint := s.endpoint(t)
	endpoint.Spec.Sidecar.Autoscaling = &v1alpha1.Autoscaling{MinReplicas: new(int32(1)), MaxReplicas: 9}
	if err := s.client.Update(t.Context(), endpoint); err != nil {
		t.Fatal(err)
	}
}

// openNetwork lets the installation have no NetworkPolicies any more.
func (s *scene) openNetwork() { s.options.NetworkPolicy = render.NetworkPolicy{} }

// settleOnce is one undisturbed reconcile, after which the cluster works.
func (s *scene) settleOnce(t *testing.T) {
	t.Helper()
	if _, err := s.reconcileWith(t, nil); err != nil {
		t.Fatal(err)
	}
	s.work(t)
}

func (s *scene) deleteChildren(t *testing.T) {
	t.Helper()
	s.deleted = true
	for _, child := range []client.Object{&corev1.Service{}, &networkingv1.Ingress{}} {
		s.deleteChild(t, child, "shop-sidecar")
	}
}

func (s *scene) deleteChild(t *testing.T, child client.Object, name string) {
	t.Helper()
	s.deleted = true
	child.SetNamespace(s.namespace)
	child.SetName(name)
	if err := s.client.Delete(t.Context(), child); err != nil {
		t.Fatal(err)
	}
}

// orphan takes the owner of every child away, as kubectl delete --cascade=orphan does.
func (s *scene) orphan(t *testing.T) {
	t.Helper()
	for _, child := range s.objects(t)[1:] {
		child.SetOwnerReferences(nil)
		if err := s.client.Update(t.Context(), child); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *scene) endpoint(t *testing.T) *v1alpha1.WeChatEndpoint {
	t.Helper()
	endpoint := newEndpoint(s.namespace)
	if err := s.client.Get(t.Context(), client.ObjectKeyFromObject(endpoint), endpoint); err != nil {
		t.Fatal(err)
	}
	return endpoint
}

// failure is the call that fails, counted from 0, and how.
type failure struct {
	call       int
	err        error
	tookEffect bool
	survived   bool // by the operator

	mu    sync.Mutex
	calls []bool // of each, whether it writes
	dead  bool
}

// errDead is what the calls of an operator get that died with an earlier one.
var errDead = errors.New("the operator has died")

// around makes a call, or lets it fail.
func (f *failure) around(writes bool, call func() error) error {
	if f == nil {
		return call()
	}
	f.mu.Lock()
	now, dead := len(f.calls), f.dead
	f.calls = append(f.calls, writes)
	f.dead = dead || f.err != nil && now == f.call && !f.survived
	f.mu.Unlock()
	switch {
	case dead:
		return errDead
	case f.err == nil || now != f.call:
		return call()
	case f.tookEffect:
		return errors.Join(call(), f.err)
	}
	return f.err
}

// equip gives an operator its clients. Its calls may fail.
func (w *world) equip(r *controllers.Reconciler, f *failure) {
	r.Events = events.NewFakeRecorder(1000)
	r.Client = interceptor.NewClient(w.operators, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			return f.around(false, func() error { return getKept(ctx, c, key, object, options) })
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			return f.around(false, func() error { return listWithoutIndex(ctx, c, list, options) })
		},
		Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			return f.around(true, func() error { return c.Apply(ctx, object, options...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
			return f.around(true, func() error { return c.Patch(ctx, object, patch, options...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.DeleteOption) error {
			return f.around(true, func() error { return c.Delete(ctx, object, options...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, name string, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
			return f.around(true, func() error { return c.SubResource(name).Patch(ctx, object, patch, options...) })
		},
	})
	r.Live = interceptor.NewClient(w.operators, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			return f.around(false, func() error { return c.Get(ctx, key, object, options...) })
		},
	})
}

// reconcileWith lets an operator that nobody has used before reconcile once.
func (s *scene) reconcileWith(t *testing.T, f *failure) (ctrl.Result, error) {
	t.Helper()
	r := s.operator
	if r == nil {
		r = &controllers.Reconciler{}
	}
	s.equip(r, f)
	r.Probe, r.Options = s, s.options
	return r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: s.namespace, Name: "shop"}})
}

// getKept reads what the operator's cache would hold of an object.
func getKept(ctx context.Context, c client.Client, key client.ObjectKey, object client.Object, options []client.GetOption) error {
	if err := c.Get(ctx, key, object, options...); err != nil {
		return err
	}
	controllers.KeepIn(object)
	return nil
}

// listWithoutIndex lists what the operator's cache would hold, and does what that does with its indexes.
func listWithoutIndex(ctx context.Context, c client.Client, list client.ObjectList, options []client.ListOption) error {
	var asked client.ListOptions
	asked.ApplyOptions(options)
	selector := asked.FieldSelector
	asked.FieldSelector = nil
	if err := c.List(ctx, list, &asked); err != nil {
		return err
	}
	err := apimeta.EachListItem(list, func(item runtime.Object) error {
		controllers.KeepIn(item.(client.Object))
		return nil
	})
	if selector == nil {
		return err
	}
	if ingresses, are := list.(*networkingv1.IngressList); are {
		service, _ := selector.RequiresExactMatch(operatorworld.IndexLeadsTo)
		ingresses.Items = slices.DeleteFunc(ingresses.Items, func(i networkingv1.Ingress) bool { return !slices.Contains(operatorworld.LeadsTo(&i), service) })
		return err
	}
	endpoints := list.(*v1alpha1.WeChatEndpointList)
	indexed := claims.Hosts
	value, byHost := selector.RequiresExactMatch(operatorworld.IndexHost)
	if !byHost {
		value, _ = selector.RequiresExactMatch(operatorworld.IndexGateway)
		indexed = moves.Gateways
	}
	endpoints.Items = slices.DeleteFunc(endpoints.Items, func(e v1alpha1.WeChatEndpoint) bool { return !slices.Contains(indexed(&e), value) })
	return err
}

// Ask answers for the pod: it serves what its kubelet gave it last.
func (s *scene) Ask(_ context.Context, addresses []string) []probe.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	results := make([]probe.Result, len(addresses))
	for i := range results {
		results[i] = probe.Result{Status: config.Status{Generation: s.loaded, Ready: true, Used: s.used}}
	}
	return results
}

// load plays the kubelet, which gives the pod its files when it starts and when it is woken, as the annotation says that it was.
func (s *scene) load(t *testing.T) bool {
	t.Helper()
	var secret corev1.Secret
	var pods corev1.PodList
	if s.client.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "shop-sidecar"}, &secret) != nil {
		return false // not yet
	}
	if err := s.client.List(t.Context(), &pods, client.InNamespace(s.namespace)); err != nil {
		t.Fatal(err)
	}
	document, err := config.Parse(secret.Data[config.File])
	if err != nil {
		return false // a sidecar goes on with what it has
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.loaded
	for i := range pods.Items {
		woken, _, _ := strings.Cut(pods.Items[i].Annotations[v1alpha1.AnnotationGeneration], " ")
		if s.loaded == "" || woken == document.Generation {
			s.loaded, s.document = document.Generation, document
		}
	}
	return s.loaded != before
}

// Play answers for the pod as WeChat needs it.
func (s *scene) Play(_ context.Context, addresses []string, _ int, _ probe.Subject) []error {
	return make([]error, len(addresses))
}

// Reach is asked by nobody: no controller publishes an address here.
func (s *scene) Reach(context.Context, string, bool, probe.Subject) (time.Time, error) {
	return time.Time{}, errors.New("nothing is published")
}

// settle lets operators reconcile and the cluster work until nothing changes any more, and returns the calls of the first
// reconcile: whether each writes.
func (s *scene) settle(t *testing.T) (calls []bool) {
	t.Helper()
	var err error
	for round := range 12 {
		counter := &failure{}
		_, err = s.reconcileWith(t, counter)
		if round == 0 {
			calls = counter.calls
		}
		s.wantHonest(t)
		worked := s.work(t)
		if err == nil && !worked && !slices.Contains(counter.calls, true) {
			return calls
		}
	}
	t.Fatalf("after 12 rounds the endpoint is not settled (error %v): %+v", err, s.endpoint(t).Status)
	return nil
}

// race lets two operators reconcile at the same time, some rounds long.
func (s *scene) race(t *testing.T) {
	t.Helper()
	for range 5 {
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() { _, _ = s.reconcileWith(t, nil) }) // whoever was slower is refused
		}
		group.Wait()
		s.work(t)
		s.wantHonest(t)
	}
}

// work plays the controllers of Deployments, pods and Gateways, and the kubelet: there is one pod, and it is ready. It reports
// whether there was something to do.
func (s *scene) work(t *testing.T) bool {
	t.Helper()
	routed := s.acceptRoute(t)
	ran := s.run(t)
	return s.load(t) || ran || routed
}

// run lets the pods be what the Deployment asks for.
func (s *scene) run(t *testing.T) bool {
	t.Helper()
	var deployment appsv1.Deployment
	if s.client.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "shop-sidecar"}, &deployment) != nil {
		return false // not yet
	}
	behind := deployment.Status.ObservedGeneration != deployment.Generation
	if behind {
		if deployment.Annotations[revision] == "" {
			deployment.Annotations[revision] = "1" // there is one ReplicaSet, whatever its template
			if err := s.client.Update(t.Context(), &deployment); err != nil {
				t.Fatal(err)
			}
		}
		deployment.Status = appsv1.DeploymentStatus{ObservedGeneration: deployment.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}
		if err := s.client.Status().Update(t.Context(), &deployment); err != nil {
			t.Fatal(err)
		}
	}
	set := replicaSetOf(&deployment)
	set.Name = "shop-sidecar-" + string(deployment.UID[:8]) // each Deployment has its own, if it was deleted and made again
	if err := s.client.Create(t.Context(), set); apierrors.IsAlreadyExists(err) {
		return behind
	} else if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: set.Name, Labels: deployment.Spec.Template.Labels}, Spec: deployment.Spec.Template.Spec}
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}
	pod.Spec.ServiceAccountName = ""
	s.create(t, pod)
	pod.Status = corev1.PodStatus{
		PodIP: "192.0.2.9", PodIPs: []corev1.PodIP{{IP: "192.0.2.9"}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	if err := s.client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	return true
}

// acceptRoute accepts the newest HTTPRoute, as of long ago: what it replaces may go at once.
func (s *scene) acceptRoute(t *testing.T) bool {
	t.Helper()
	route := httpRoute(s.namespace)
	if s.client.Get(t.Context(), client.ObjectKeyFromObject(route), route) != nil || accepted(route) {
		return false
	}
	parent := gatewayv1.RouteParentStatus{ParentRef: route.Spec.ParentRefs[0], ControllerName: "example.com/gateway"}
	for _, conditionType := range []gatewayv1.RouteConditionType{gatewayv1.RouteConditionAccepted, gatewayv1.RouteConditionResolvedRefs} {
		parent.Conditions = append(parent.Conditions, metav1.Condition{
			Type: string(conditionType), Status: metav1.ConditionTrue, Reason: string(conditionType), ObservedGeneration: route.Generation,
			LastTransitionTime: metav1.NewTime(time.Now().Add(-time.Hour)),
		})
	}
	route.Status.Parents = []gatewayv1.RouteParentStatus{parent}
	if err := s.client.Status().Update(t.Context(), route); err != nil {
		t.Fatal(err)
	}
	return true
}

func accepted(route *gatewayv1.HTTPRoute) bool {
	return len(route.Status.Parents) > 0 && route.Status.Parents[0].Conditions[0].ObservedGeneration == route.Generation
}

// wantHonest holds that a status which says Ready of the newest spec is right, and that what the console may hold is still
// accepted.
func (s *scene) wantHonest(t *testing.T) {
	t.Helper()
	endpoint := s.endpoint(t)
	var secret corev1.Secret
	missing := s.client.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "shop-sidecar"}, &secret)
	credentials, err := config.ReadCredentials(secret.Data[config.File])
	holds := func(pair config.Pair) bool { return pair.Token == "a-fine-token" }
	if missing == nil && err == nil && !s.revoked && !slices.ContainsFunc(credentials.Pairs, holds) {
		t.Errorf("the token that the console holds is lost: %d pairs", len(credentials.Pairs))
	}
	route := httpRoute(s.namespace)
	routeErr := s.client.Get(t.Context(), client.ObjectKeyFromObject(route), route)
	ingressErr := s.client.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "shop-sidecar"}, &networkingv1.Ingress{})
	if s.moves && ingressErr != nil && (routeErr != nil || !accepted(route)) {
		t.Errorf("no route leads to the endpoint while it moves: %v, %v", ingressErr, routeErr)
	}
	var deployment appsv1.Deployment
	if s.client.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "shop-sidecar"}, &deployment) == nil && *deployment.Spec.Replicas < s.pods {
		t.Errorf("there are to be %d pods, which must be %d or more", *deployment.Spec.Replicas, s.pods)
	}
	ready := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != endpoint.Generation {
		return
	}
	if (missing != nil || err != nil) && !s.deleted {
		t.Errorf("the status says Ready without credentials: %v, %v", missing, err)
	}
	if told := fmt.Sprintf("-%d", endpoint.Status.Credentials.Generation); !strings.HasSuffix(s.loaded, told) && !s.deleted {
		t.Errorf("the status says Ready with credentials %s, and the pod serves %s", told, s.loaded)
	}
	if endpoint.Spec.URL.Exposure == v1alpha1.ExposureHTTPRoute && (routeErr != nil || !accepted(route)) {
		t.Errorf("the status says Ready without an HTTPRoute that is accepted: %v", routeErr)
	}
	if endpoint.Spec.URL.Exposure == v1alpha1.ExposureIngress && ingressErr != nil && endpoint.Status.ObservedGeneration == endpoint.Generation && !s.deleted {
		t.Errorf("the status says Ready without an Ingress: %v", ingressErr)
	}
}

// objects are the endpoint and its children, as they are.
func (s *scene) objects(t *testing.T) []client.Object {
	t.Helper()
	var found []client.Object
	for _, object := range []client.Object{
		newEndpoint(s.namespace), &corev1.ServiceAccount{}, &corev1.Secret{}, &appsv1.Deployment{},
		&policyv1.PodDisruptionBudget{}, &corev1.Service{}, &networkingv1.NetworkPolicy{}, &autoscalingv2.HorizontalPodAutoscaler{}, &networkingv1.Ingress{}, &gatewayv1.HTTPRoute{},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "shop-sidecar-copy"}}, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "shop-gateway-key"}},
	} {
		if object.GetName() == "" {
			object.SetName("shop-sidecar")
		}
		err := s.client.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: object.GetName()}, object)
		if err == nil {
			found = append(found, object)
		} else if !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
	}
	return found
}

// leave returns the end of the scene and deletes all of it: what is listed in the whole cluster must not grow with the scenes.
func (s *scene) leave(t *testing.T) []string {
	t.Helper()
	end := s.end(t)
	for _, object := range s.objects(t) {
		if err := s.client.Delete(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	return end
}

// end is all of the scene that a user could see, without what differs from one namespace to the next.
func (s *scene) end(t *testing.T) []string {
	t.Helper()
	var end []string
	for _, object := range s.objects(t) {
		if secret, ok := object.(*corev1.Secret); ok {
			secret.StringData = map[string]string{config.File: string(secret.Data[config.File])}
			secret.Data = nil
		}
		if service, ok := object.(*corev1.Service); ok {
			service.Spec.ClusterIP, service.Spec.ClusterIPs = "", nil
		}
		object.SetUID("")
		object.SetResourceVersion("")
		object.SetManagedFields(nil)
		object.SetGeneration(0)
		for i := range object.GetOwnerReferences() {
			object.GetOwnerReferences()[i].UID = ""
		}
		text, err := json.MarshalIndent(object, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		end = append(end, fmt.Sprintf("%T", object), s.shown(string(text)))
	}
	return end
}

func (s *scene) deployment(t *testing.T) *appsv1.Deployment {
	t.Helper()
	deployment := &appsv1.Deployment{}
	if err := s.client.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "shop-sidecar"}, deployment); err != nil {
		t.Fatal(err)
	}
	return deployment
}

func (s *scene) edit(t *testing.T, edit func(*v1alpha1.WeChatEndpointSpec)) {
	t.Helper()
	endpoint := s.endpoint(t)
	edit(&endpoint.Spec)
	if err := s.client.Update(t.Context(), endpoint); err != nil {
		t.Fatal(err)
	}
}

var (
	generation = regexp.MustCompile(`[0-9a-f]{10}-(\d+)`)
	instant    = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	gatewayKey = regexp.MustCompile(`"gatewayKey":"[^"]+"`)
	counted    = regexp.MustCompile(`"(uid|observedGeneration)": [^,\n]+`)
)

// shown is a text without what differs from one scene to the next.
func (s *scene) shown(text string) string {
	text = strings.ReplaceAll(text, s.namespace, "NAMESPACE")
	text = generation.ReplaceAllString(text, "GENERATION-$1")
	text = gatewayKey.ReplaceAllString(strings.ReplaceAll(text, `\"`, `"`), "GATEWAYKEY")
	text = counted.ReplaceAllString(text, "$1")
	return instant.ReplaceAllString(text, "INSTANT")
}
