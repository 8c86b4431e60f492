// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers"
	childkinds "github.com/wechatendpoint/wechatendpoint/controllers/internal/children"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// town is a namespace with a gateway and endpoints, some of which have pods of their own. Each Deployment has one pod.
type town struct {
	*world
	options controllers.Options
	tokens  map[string]string // of each endpoint, which the console holds
	serves  map[string]bool   // whether it has been Ready: it must serve from then on

	mu   sync.Mutex
	pods map[string]map[string]config.Document // by address: what each serves, by entry
	woke map[string]string                     // by address: for what its kubelet was woken last
}

const townName = "town"

// newTown is one in which two endpoints are on a gateway, and a third one has its own pods.
func newTown(t *testing.T) *town {
	t.Helper()
	w := newWorld(t)
	w.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: townName}})
	w.create(t, appService(townName))
	w.create(t, appSlice(townName))
	s := &town{
		world: w, tokens: map[string]string{}, serves: map[string]bool{}, pods: map[string]map[string]config.Document{}, woke: map[string]string{},
		options: controllers.Options{SidecarImage: "example.com/sidecar:1", SidecarPullPolicy: "IfNotPresent", OperatorNamespace: "platform", NetworkPolicy: everyRule},
	}
	s.create(t, &v1alpha1.WeChatGateway{ObjectMeta: metav1.ObjectMeta{Namespace: townName, Name: "front"}, Spec: v1alpha1.WeChatGatewaySpec{Sidecar: v1alpha1.Sidecar{Replicas: new(int32(1))}}})
	s.come(t, "game", "front")
	s.come(t, "shop", "front")
	s.come(t, "mall", "")
	s.settle(t)
	return s
}

// come makes an endpoint on the gateway, or with pods of its own.
func (s *town) come(t *testing.T, name, gateway string) {
	t.Helper()
	s.tokens[name] = "a-fine-token-of-" + name
	secret := tokenSecret(townName, s.tokens[name])
	secret.Name = name + "-wechat"
	s.create(t, secret)
	endpoint := newEndpoint(townName)
	endpoint.Name, endpoint.Spec.Credentials.SecretName, endpoint.Spec.URL.Path = name, secret.Name, "/"+name
	endpoint.Spec.URL.Exposure, endpoint.Spec.URL.Ingress = v1alpha1.ExposureIngress, &v1alpha1.IngressExposure{ClassName: "any"}
	moveTo(endpoint, gateway)
	s.create(t, endpoint)
}

func moveTo(endpoint *v1alpha1.WeChatEndpoint, gateway string) {
	endpoint.Spec.Gateway, endpoint.Spec.Sidecar = nil, v1alpha1.Sidecar{Replicas: new(int32(1))}
	if gateway != "" {
		endpoint.Spec.Gateway, endpoint.Spec.Sidecar = &v1alpha1.GatewayReference{Name: gateway}, v1alpha1.Sidecar{}
	}
}

func (s *town) move(t *testing.T, name, gateway string) {
	t.Helper()
	endpoint := &v1alpha1.WeChatEndpoint{}
	if err := s.client.Get(t.Context(), client.ObjectKey{Namespace: townName, Name: name}, endpoint); err != nil {
		t.Fatal(err)
	}
	moveTo(endpoint, gateway)
	if err := s.client.Update(t.Context(), endpoint); err != nil {
		t.Fatal(err)
	}
}

func (s *town) rotate(t *testing.T, name string) {
	t.Helper()
	secret := tokenSecret(townName, "a-newer-token-of-"+name)
	secret.Name = name + "-wechat"
	if err := s.client.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
}

func (s *town) remove(t *testing.T, object client.Object, name string) {
	t.Helper()
	object.SetNamespace(townName)
	object.SetName(name)
	if err := s.client.Delete(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	if _, is := object.(*v1alpha1.WeChatEndpoint); is {
		delete(s.serves, name)
	}
	s.collect(t)
}

// objects are all of the kinds.
func (s *town) objects(t *testing.T, kinds ...client.ObjectList) []client.Object {
	t.Helper()
	var all []client.Object
	for _, list := range kinds {
		if err := s.client.List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		items, err := apimeta.ExtractList(list)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			all = append(all, item.(client.Object))
		}
	}
	return all
}

func owners() []client.ObjectList {
	return []client.ObjectList{&v1alpha1.WeChatGatewayList{}, &v1alpha1.WeChatEndpointList{}}
}

func owned() []client.ObjectList {
	return []client.ObjectList{
		&corev1.SecretList{}, &corev1.ServiceAccountList{}, &corev1.ServiceList{}, &appsv1.DeploymentList{}, &policyv1.PodDisruptionBudgetList{},
		&autoscalingv2.HorizontalPodAutoscalerList{}, &networkingv1.NetworkPolicyList{}, &networkingv1.IngressList{},
	}
}

func running() []client.ObjectList {
	return []client.ObjectList{&appsv1.ReplicaSetList{}, &corev1.PodList{}}
}

// fork is the same town once more: what happens there does not happen here.
func (s *town) fork(t *testing.T) *town {
	t.Helper()
	other := &town{
		world: newBareWorld(t, s.tracker.definition), options: s.options, tokens: maps.Clone(s.tokens), serves: maps.Clone(s.serves),
		pods: map[string]map[string]config.Document{}, woke: maps.Clone(s.woke),
	}
	for address, entries := range s.pods {
		other.pods[address] = maps.Clone(entries)
	}
	other.tracker.count.Store(s.tracker.count.Load())
	lists := slices.Concat([]client.ObjectList{&corev1.NamespaceList{}, &networkingv1.IngressClassList{}, &discoveryv1.EndpointSliceList{}}, owners(), owned(), running())
	for _, object := range s.objects(t, lists...) {
		if err := other.tracker.Add(object); err != nil {
			t.Fatal(err)
		}
	}
	return other
}

// step is one reconcile.
type step struct{ kind, name string }

// steps are the reconciles that bring all nearer to what is asked for.
func (s *town) steps(t *testing.T) []step {
	t.Helper()
	var all []step
	for _, owner := range s.objects(t, owners()...) {
		kind := render.KindEndpoint
		if _, is := owner.(*v1alpha1.WeChatGateway); is {
			kind = render.KindGateway
		}
		all = append(all, step{kind, owner.GetName()})
	}
	return all
}

// reconcile lets an operator that nobody has used before do a step.
func (s *town) reconcile(t *testing.T, what step, f *failure) error {
	t.Helper()
	r := &controllers.Reconciler{Probe: s, Options: s.options}
	s.equip(r, f)
	request, reconcile := ctrl.Request{NamespacedName: types.NamespacedName{Namespace: townName, Name: what.name}}, r.Reconcile
	if what.kind == render.KindGateway {
		reconcile = r.ReconcileGateway
	}
	_, err := reconcile(t.Context(), request)
	return err
}

// turn is a step, before which the town was as its copy is.
type turn struct {
	step
	before *town
	calls  []bool
}

// settle lets operators reconcile and the cluster work until nothing changes any more. It returns the turns that it took, if they are to be kept.
func (s *town) settle(t *testing.T, keep ...bool) (turns []turn) {
	t.Helper()
	var err error
	for range 15 {
		quiet := true
		for _, next := range s.steps(t) {
			one := turn{step: next}
			if len(keep) > 0 {
				one.before = s.fork(t)
			}
			counter := &failure{}
			err = s.reconcile(t, next, counter)
			one.calls = counter.calls
			if err == nil && !slices.Contains(counter.calls, true) {
				continue
			}
			s.wantServed(t, next)
			if s.work(t) {
				s.wantServed(t, next)
			}
			quiet, turns = false, append(turns, one)
		}
		if quiet {
			return turns
		}
	}
	t.Fatalf("it is not settled (error %v): %v", err, s.end(t))
	return nil
}

// work plays the garbage collector, the controllers of Deployments and pods, and the kubelet, and lets time go by. It reports whether there was
// something to do.
func (s *town) work(t *testing.T) bool {
	t.Helper()
	worked := s.collect(t)
	for _, object := range s.objects(t, &appsv1.DeploymentList{}) {
		worked = s.run(t, object.(*appsv1.Deployment)) || worked
	}
	for _, object := range s.objects(t, &corev1.PodList{}) {
		worked = s.load(t, object.(*corev1.Pod)) || worked
	}
	for _, object := range s.objects(t, &v1alpha1.WeChatEndpointList{}) {
		endpoint := object.(*v1alpha1.WeChatEndpoint)
		if since := endpoint.Status.Fleet.Since; since != nil && time.Since(since.Time) < time.Hour {
			endpoint.Status.Fleet.Since = new(metav1.NewTime(since.Add(-time.Hour)))
			if err := s.client.Status().Update(t.Context(), endpoint); err != nil {
				t.Fatal(err)
			}
			worked = true
		}
	}
	return worked
}

// collect deletes what has an owner that is gone.
func (s *town) collect(t *testing.T) (collected bool) {
	t.Helper()
	for again := true; again; {
		again = false
		all, there := s.objects(t, slices.Concat(owners(), owned(), running())...), map[types.UID]bool{}
		for _, object := range all {
			there[object.GetUID()] = true
		}
		for _, object := range all {
			if owner := metav1.GetControllerOf(object); owner != nil && !there[owner.UID] {
				if err := s.client.Delete(t.Context(), object); err != nil {
					t.Fatal(err)
				}
				if pod, is := object.(*corev1.Pod); is {
					delete(s.pods, pod.Status.PodIP)
				}
				again, collected = true, true
			}
		}
	}
	return collected
}

// run lets the pods be what the Deployment asks for.
func (s *town) run(t *testing.T, deployment *appsv1.Deployment) bool {
	t.Helper()
	if deployment.Status.ObservedGeneration == deployment.Generation {
		return false
	}
	if deployment.Annotations[revision] == "" {
		deployment.Annotations[revision] = "1"
		if err := s.client.Update(t.Context(), deployment); err != nil {
			t.Fatal(err)
		}
	}
	deployment.Status = appsv1.DeploymentStatus{ObservedGeneration: deployment.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}
	if err := s.client.Status().Update(t.Context(), deployment); err != nil {
		t.Fatal(err)
	}
	set := replicaSetOf(deployment)
	set.Name = deployment.Name + "-" + string(deployment.UID[:8])
	if err := s.client.Create(t.Context(), set); apierrors.IsAlreadyExists(err) {
		return true
	} else if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: townName, Name: set.Name, Labels: deployment.Spec.Template.Labels}, Spec: deployment.Spec.Template.Spec}
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}
	s.create(t, pod)
	address := "pod-of-" + deployment.Name
	pod.Status = corev1.PodStatus{PodIP: address, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	if err := s.client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	return true
}

// load plays the kubelet, which gives a pod its files when it starts and when it is woken. A sidecar goes on with what it has where a document is
// broken or lost, and ends what no list names any more.
func (s *town) load(t *testing.T, pod *corev1.Pod) bool {
	t.Helper()
	address, woken := pod.Status.PodIP, pod.Annotations[v1alpha1.AnnotationGeneration]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pods[address] != nil && s.woke[address] == woken {
		return false
	}
	s.woke[address] = woken
	if s.pods[address] == nil {
		s.pods[address] = map[string]config.Document{}
	}
	name := strings.TrimPrefix(address, "pod-of-")
	gateway, shared := render.GatewayOf(name)
	if !shared {
		if document, err := s.document(t, name, config.File); err == nil {
			s.pods[address][""] = document
		}
		return true
	}
	given := s.given(t, gateway)
	for entry := range s.pods[address] {
		if _, named := given[entry]; !named {
			delete(s.pods[address], entry)
		}
	}
	maps.Copy(s.pods[address], given)
	return true
}

func (s *town) document(t *testing.T, secret, key string) (config.Document, error) {
	t.Helper()
	var found corev1.Secret
	if err := s.client.Get(t.Context(), client.ObjectKey{Namespace: townName, Name: secret}, &found); err != nil {
		return config.Document{}, err
	}
	return config.Parse(found.Data[key])
}

// given is what the shards of a gateway hold.
func (s *town) given(t *testing.T, gateway string) map[string]config.Document {
	t.Helper()
	given := map[string]config.Document{}
	for number := range render.Shards {
		var shard corev1.Secret
		name := render.ShardName(gateway, number)
		if s.client.Get(t.Context(), client.ObjectKey{Namespace: townName, Name: name}, &shard) != nil {
			continue
		}
		for _, entry := range strings.Fields(string(shard.Data[render.ShardList(number)])) {
			document, err := config.Parse(shard.Data[entry+config.DocumentSuffix])
			if _, twice := given[entry]; twice || err != nil {
				t.Errorf("the document of %s in %s, another one: %v, %v", entry, name, twice, err)
			}
			given[entry] = document
		}
	}
	return given
}

// Ask implements controllers.Prober.
func (s *town) Ask(_ context.Context, addresses []string) []probe.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	results := make([]probe.Result, len(addresses))
	for i, address := range addresses {
		document, there := s.pods[address][""]
		results[i] = probe.Result{Status: config.Status{Generation: document.Generation, Ready: there}}
	}
	return results
}

// AskShared implements controllers.Prober.
func (s *town) AskShared(_ context.Context, addresses []string) []probe.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	processes := make([]probe.Process, len(addresses))
	for i, address := range addresses {
		processes[i].Status = config.ProcessStatus{Ready: true, Entries: map[string]config.Status{}}
		for entry, document := range s.pods[address] {
			processes[i].Status.Entries[entry] = config.Status{Generation: document.Generation, Ready: true}
		}
	}
	return processes
}

// Play implements controllers.Prober: a pod answers well if it serves the path with the credentials.
func (s *town) Play(_ context.Context, addresses []string, _ int, subject probe.Subject) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	results := make([]error, len(addresses))
	for i, address := range addresses {
		results[i] = errors.New("404")
		for _, document := range s.pods[address] {
			if document.Path == subject.Path && holds(document, subject.Pair.Token) {
				results[i] = nil
			}
		}
	}
	return results
}

// Reach implements controllers.Prober. It is asked by nobody: no controller publishes an address here.
func (s *town) Reach(context.Context, string, bool, probe.Subject) (time.Time, error) {
	return time.Time{}, errors.New("nothing is published")
}

func holds(document config.Document, token string) bool {
	return slices.ContainsFunc(document.Credentials.Pairs, func(pair config.Pair) bool { return pair.Token == token })
}

// wantServed holds that the URL of each endpoint that has served leads to pods which are given it, and which serve it with what the console holds;
// and that so do those to which it led until a moment ago.
func (s *town) wantServed(t *testing.T, after step) {
	t.Helper()
	for _, object := range s.objects(t, &v1alpha1.WeChatEndpointList{}) {
		endpoint := object.(*v1alpha1.WeChatEndpoint)
		ready := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionReady)
		if !s.serves[endpoint.Name] && (ready == nil || ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != endpoint.Generation) {
			continue
		}
		s.serves[endpoint.Name] = true
		var ingress networkingv1.Ingress
		if err := s.client.Get(t.Context(), client.ObjectKey{Namespace: townName, Name: render.Name(endpoint)}, &ingress); err != nil {
			t.Errorf("after %v the URL of %s leads nowhere: %v", after, endpoint.Name, err)
			continue
		}
		fleets := []string{ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name}
		if since := endpoint.Status.Fleet.Since; since != nil && time.Since(since.Time) < time.Hour {
			fleets = append(fleets, endpoint.Status.Fleet.Former)
		}
		for _, fleet := range fleets {
			if why := s.missing(t, endpoint.Name, fleet); why != "" {
				t.Errorf("after %v the URL of %s leads to %s, which does not serve it: %s (%+v)", after, endpoint.Name, fleet, why, endpoint.Status.Fleet)
			}
		}
	}
}

// missing says why the pods of a Deployment do not serve the endpoint, or cannot go on.
func (s *town) missing(t *testing.T, endpoint, fleet string) string {
	t.Helper()
	for _, object := range []client.Object{&appsv1.Deployment{}, &corev1.Service{}, &corev1.ServiceAccount{}, &networkingv1.NetworkPolicy{}} {
		if err := s.client.Get(t.Context(), client.ObjectKey{Namespace: townName, Name: fleet}, object); err != nil {
			return err.Error()
		}
	}
	var given config.Document
	var entry string
	var err error
	if gateway, shared := render.GatewayOf(fleet); shared {
		given, entry = s.given(t, gateway)[endpoint], endpoint
	} else if given, err = s.document(t, fleet, config.File); err != nil {
		return err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	token, loaded := s.tokens[endpoint], s.pods["pod-of-"+fleet][entry]
	if !holds(given, token) || !holds(loaded, token) {
		return fmt.Sprintf("given what the console holds: %v, serving it: %v", holds(given, token), holds(loaded, token))
	}
	return ""
}

// end is all that a user could see, without what differs from one time to the next. Which of a gateway's Secrets an entry is in depends on
// who came together.
func (s *town) end(t *testing.T) []string {
	t.Helper()
	var end []string
	shards := map[string]string{}
	for _, object := range s.objects(t, slices.Concat(owners(), owned())...) {
		if secret, is := object.(*corev1.Secret); is && childkinds.IsShard(secret.Labels[v1alpha1.LabelGateway], secret.Name) {
			for key, document := range secret.Data {
				if strings.HasSuffix(key, config.DocumentSuffix) {
					shards[secret.Labels[v1alpha1.LabelGateway]+"/"+key] = string(document)
				}
			}
			continue
		} else if is {
			text := map[string]string{}
			for key, value := range secret.Data {
				text[key] = string(value)
			}
			if strings.HasSuffix(secret.Name, "-gateway-key") {
				text = nil
			}
			secret.StringData, secret.Data = text, nil
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
		end = append(end, fmt.Sprintf("%T %s", object, object.GetName()), (&scene{namespace: townName}).shown(string(text)))
	}
	for _, key := range slices.Sorted(maps.Keys(shards)) {
		end = append(end, key, (&scene{namespace: townName}).shown(shards[key]))
	}
	return end
}

// townStories are what happens to a gateway and its endpoints, one part after the other has settled.
var townStories = map[string][]func(*testing.T, *town){
	"endpoints come":                       {func(t *testing.T, s *town) { s.come(t, "fair", "front"); s.come(t, "club", "front") }},
	"the token of one is changed":          {func(t *testing.T, s *town) { s.rotate(t, "shop") }},
	"one moves onto the gateway, and back": {func(t *testing.T, s *town) { s.move(t, "mall", "front") }, func(t *testing.T, s *town) { s.move(t, "mall", "") }},
	"one is deleted":                       {func(t *testing.T, s *town) { s.remove(t, &v1alpha1.WeChatEndpoint{}, "game") }},
	"the gateway is deleted, and left by all": {
		func(t *testing.T, s *town) {
			s.remove(t, &v1alpha1.WeChatGateway{}, "front")
			s.come(t, "late", "front")
		},
		func(t *testing.T, s *town) { s.move(t, "shop", ""); s.remove(t, &v1alpha1.WeChatEndpoint{}, "late") },
		func(t *testing.T, s *town) { s.remove(t, &v1alpha1.WeChatEndpoint{}, "game") },
	},
}

// townReadsFail are the stories in which what only reads fails too: it is nearly the same in all of them.
var townReadsFail = map[string]bool{"one is deleted": true}

// TestEveryCallForAGatewayMayFail lets every single call fail in turn that the operator makes on the way of a story. Then another one goes on: the
// end must be the undisturbed one, and nobody who serves may have been without pods on the way.
func TestEveryCallForAGatewayMayFail(t *testing.T) {
	if testing.Short() {
		t.Skip("it plays every story many times")
	}
	base, kinds := newTown(t), slices.Sorted(maps.Keys(faults))
	var all atomic.Int64
	t.Run("while", func(t *testing.T) {
		for name, story := range townStories {
			first := base.fork(t)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s, tried := first, 0
				defer func() { all.Add(int64(tried)) }()
				var parts [][]turn
				var ends [][]string
				for _, part := range story {
					part(t, s)
					parts, ends = append(parts, s.settle(t, true)), append(ends, s.end(t))
				}
				for number, turns := range parts {
					for _, at := range turns {
						for call, writes := range at.calls {
							if !writes && !townReadsFail[name] {
								continue
							}
							for _, tookEffect := range []bool{false, true} {
								if tookEffect && !writes {
									continue
								}
								fault := kinds[tried%len(kinds)]
								tried++
								other := at.before.fork(t)
								_ = other.reconcile(t, at.step, &failure{call: call, err: faults[fault], tookEffect: tookEffect})
								other.wantServed(t, at.step)
								other.work(t)
								other.settle(t)
								if diff := cmp.Diff(ends[number], other.end(t)); diff != "" || t.Failed() {
									t.Fatalf("part %d: after call %d of %v failed (%s, took effect: %v), the end is another one (-undisturbed +disturbed):\n%s", number, call, at.step, fault, tookEffect, diff)
								}
							}
						}
					}
				}
			})
		}
	})
	t.Logf("faults: %d calls × faults tried", all.Load())
	if all.Load() < 120 {
		t.Errorf("only %d calls were disturbed", all.Load())
	}
}

// TestTwoOperatorsAtOnceOnAGateway lets two of them work without a leader, while endpoints come, change, move and go.
func TestTwoOperatorsAtOnceOnAGateway(t *testing.T) {
	base := newTown(t)
	for name, parts := range townStories {
		t.Run(name, func(t *testing.T) {
			alone, both := base.fork(t), base.fork(t)
			for _, part := range parts {
				part(t, alone)
				alone.settle(t)
				part(t, both)
				for range 3 {
					for _, next := range both.steps(t) {
						var group sync.WaitGroup
						for range 2 {
							group.Go(func() { _ = both.reconcile(t, next, nil) }) // whoever was slower is refused
						}
						group.Wait()
						both.wantServed(t, next)
						both.work(t)
						both.wantServed(t, next)
					}
				}
				both.settle(t)
				if diff := cmp.Diff(alone.end(t), both.end(t)); diff != "" {
					t.Fatalf("two operators come to another end than one (-one +two):\n%s", diff)
				}
			}
		})
	}
}
