//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestWhatServesGoesOn mistypes, deletes and strips what a serving endpoint has while messages come, and mends it. Each message is answered, and
// the endpoint tells what docs/status.md promises.
func TestWhatServesGoesOn(t *testing.T) {
	t.Parallel()
	type spec = v1alpha1.WeChatEndpointSpec
	mistyped := func(edit func(*spec), condition, reason string) func(*testing.T, *stage) {
		return func(t *testing.T, s *stage) {
			t.Helper()
			before, err := s.current(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s.change(t, edit)
			s.await(t, condition, metav1.ConditionFalse, reason)
			s.await(t, v1alpha1.ConditionReady, metav1.ConditionFalse, reason)
			if now, err := s.current(t.Context()); err != nil || now.Status.URL != before.Status.URL {
				t.Errorf("status.url is %s, and %s is served (%v)", now.Status.URL, before.Status.URL, err)
			}
			time.Sleep(aWhile)
			s.change(t, func(now *spec) { *now = before.Spec })
		}
	}
	type trial struct {
		name string
		try  func(*testing.T, *stage)
	}
	class := func(s *spec) { s.URL.Ingress.ClassName = "missing" }
	for published, test := range map[string]struct {
		by     func(*spec)
		trials []trial
		events []string
	}{
		"by an Ingress": {func(*spec) {}, []trial{
			{"a class", mistyped(class, v1alpha1.ConditionRouteProgrammed, v1alpha1.ReasonIngressClassNotFound)},
			{"a class and the path", mistyped(func(s *spec) { class(s); s.URL.Path = "/another" }, v1alpha1.ConditionRouteProgrammed, v1alpha1.ReasonIngressClassNotFound)},
			{"a certificate", mistyped(func(s *spec) { s.URL.Ingress.TLSSecretName = "missing" }, v1alpha1.ConditionRouteProgrammed, v1alpha1.ReasonTLSSecretNotFound)},
			{"an annotation", mistyped(func(s *spec) {
				s.URL.Ingress.Annotations = map[string]v1alpha1.AnnotationValue{"not.allowed/here": "a"}
			}, v1alpha1.ConditionAccepted, v1alpha1.ReasonAnnotationNotAllowed)},
			{"a Gateway to move to", mistyped(asHTTPRoute(v1alpha1.ParentReference{Name: "missing"}), v1alpha1.ConditionRouteProgrammed, v1alpha1.ReasonGatewayNotFound)},
			{"what a paused endpoint asks for", paused},
		}, []string{
			v1alpha1.ReasonIngressClassNotFound, v1alpha1.ReasonTLSSecretNotFound, v1alpha1.ReasonGatewayNotFound, v1alpha1.ReasonRouteProgrammed,
			v1alpha1.ReasonAnnotationNotAllowed, v1alpha1.ReasonAccepted,
			v1alpha1.ReasonPaused, v1alpha1.ReasonSidecarAvailable,
		}},
		"by a Gateway": {asHTTPRoute(plainHTTP), []trial{
			{"a Gateway", mistyped(func(s *spec) { s.URL.HTTPRoute.ParentRefs[0].Name = "missing" }, v1alpha1.ConditionRouteProgrammed, v1alpha1.ReasonGatewayNotFound)},
			{"a listener", mistyped(func(s *spec) { s.URL.HTTPRoute.ParentRefs[0].SectionName = "missing" }, v1alpha1.ConditionRouteProgrammed, v1alpha1.ReasonRouteNotAccepted)},
		}, []string{v1alpha1.ReasonGatewayNotFound, v1alpha1.ReasonRouteNotAccepted, v1alpha1.ReasonRouteProgrammed}},
		"while its token is changed": {func(*spec) {}, []trial{
			{"the Secret of the pods", func(t *testing.T, s *stage) {
				s.prepareRotation(t)
				s.deleteSecrets(t, childName)
				s.await(t, v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonRotationPending)
				time.Sleep(aWhile)
			}},
			{"the gateway key", func(t *testing.T, s *stage) {
				s.change(t, func(now *spec) { now.Paused = true })
				s.awaitPaused(t)
				s.deleteSecrets(t, childName, endpointName+"-gateway-key")
				time.Sleep(aWhile)
				s.change(t, func(now *spec) { now.Paused = false })
				s.await(t, v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonRotationPending)
			}},
		}, []string{
			v1alpha1.ReasonRotationPending, v1alpha1.ReasonChildRecreated,
			v1alpha1.ReasonPaused, v1alpha1.ReasonAccepted, v1alpha1.ReasonSidecarAvailable,
		}},
		"and made anew": {func(*spec) {}, []trial{
			{"the owners of all objects", func(t *testing.T, s *stage) {
				for _, child := range s.children() {
					s.edit(t, child, func() { child.SetOwnerReferences(nil) })
				}
				s.awaitOwned(t)
			}},
			{"the endpoint itself", remade},
		}, []string{v1alpha1.ReasonChildRestored, v1alpha1.ReasonReady}},
	} {
		t.Run(published, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, "goes-on")
			s.serve(t, withReplicas(2), test.by)
			told, before := s.watchStatus(t), s.events(t)
			for _, trial := range test.trials {
				t.Run(trial.name, func(t *testing.T) {
					stop := s.load(t)
					trial.try(t, s)
					s.awaitReady(t)
					stop()
				})
			}
			told()
			s.awaitEvents(t, before, test.events)
		})
	}
}

// documentedReason is a row of docs/status.md: a condition and its reasons. Where the condition is left out, it is that of the row before.
var documentedReason = regexp.MustCompile("(?m)^\\| (?:`([A-Za-z]+)`)? ?\\| ((?:`[A-Za-z]+`(?:, )?)+)")

// readDocumented reads from docs/status.md which reasons each condition has.
func readDocumented(t *testing.T) map[string]bool {
	t.Helper()
	page, err := os.ReadFile("../../docs/status.md")
	if err != nil {
		t.Fatal(err)
	}
	documented, condition := map[string]bool{}, ""
	ofEndpoints, _, _ := strings.Cut(string(page), "\n## The status of a WeChatGateway\n")
	for _, row := range documentedReason.FindAllStringSubmatch(ofEndpoints, -1) {
		if row[1] != "" {
			condition = row[1]
		}
		documented[condition+" "+v1alpha1.ReasonWaiting] = true
		for reason := range strings.SplitSeq(row[2], ", ") {
			documented[condition+" "+strings.Trim(reason, "`")] = true
		}
	}
	return documented
}

// watchStatus looks at each status that the endpoint has until what it returns is called: there is none that docs/status.md does not tell of.
func (s *stage) watchStatus(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	statuses, err := kube.Watch(ctx, &v1alpha1.WeChatEndpointList{}, client.InNamespace(s.namespace))
	if err != nil {
		t.Fatal(err)
	}
	documented, reasons, early, ended := readDocumented(t), map[string]bool{}, false, make(chan struct{})
	go func() {
		defer close(ended)
		for event := range statuses.ResultChan() {
			if endpoint, ok := event.Object.(*v1alpha1.WeChatEndpoint); ok {
				for _, condition := range endpoint.Status.Conditions {
					reasons[condition.Type+" "+condition.Reason] = true
				}
			}
		}
		early = ctx.Err() == nil
	}()
	t.Cleanup(cancel)
	return func() {
		t.Helper()
		cancel()
		<-ended
		if early {
			t.Error("the watch of the status ended early")
		}
		for reason := range reasons {
			if !documented[reason] && !strings.HasPrefix(reason, v1alpha1.ConditionReady+" ") { // which repeats another's
				t.Errorf("the status said %s on the way, and docs/status.md tells of no such reason", reason)
			}
		}
		t.Logf("the status said %d things on the way: %s", len(reasons), strings.Join(slices.Sorted(maps.Keys(reasons)), ", "))
	}
}

// events are the reasons of those that tell of the endpoint, and of an earlier one of its name.
func (s *stage) events(t *testing.T) map[types.UID][]string {
	t.Helper()
	var events corev1.EventList
	if err := kube.List(t.Context(), &events, client.InNamespace(s.namespace)); err != nil {
		t.Fatal(err)
	}
	reasons := map[types.UID][]string{}
	for _, event := range events.Items {
		if of := event.InvolvedObject; of.Kind == "WeChatEndpoint" && of.Name == s.name {
			reasons[of.UID] = append(reasons[of.UID], event.Reason)
		}
	}
	return reasons
}

// awaitEvents waits for events with these reasons. Those that were not there before have no others.
func (s *stage) awaitEvents(t *testing.T, before map[types.UID][]string, want []string) {
	t.Helper()
	eventually(t, patience, "the events", func(context.Context) error {
		missing := sets.New(want...)
		for uid, reasons := range s.events(t) {
			missing.Delete(reasons...)
			if unexpected := sets.New(reasons...).Delete(before[uid]...).Delete(want...); len(unexpected) > 0 {
				return fmt.Errorf("there are %v too", sets.List(unexpected))
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("there is none with %v", sets.List(missing))
		}
		return nil
	})
}

// paused asks a paused endpoint for more memory, which its pods do not get.
func paused(t *testing.T, s *stage) {
	s.change(t, func(now *v1alpha1.WeChatEndpointSpec) { now.Paused = true })
	s.awaitPaused(t)
	s.change(t, func(now *v1alpha1.WeChatEndpointSpec) {
		now.Sidecar.Resources = &corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("96Mi")}}
	})
	s.await(t, v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, v1alpha1.ReasonPaused)
	s.await(t, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonPaused)
	s.change(t, func(now *v1alpha1.WeChatEndpointSpec) { now.Paused = false })
}

// remade deletes the endpoint and leaves its objects, which the next one of its name takes up.
func remade(t *testing.T, s *stage) {
	before, err := s.current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := kube.Delete(t.Context(), before, client.PropagationPolicy(metav1.DeletePropagationOrphan)); err != nil {
		t.Fatal(err)
	}
	s.awaitGone(t, &v1alpha1.WeChatEndpoint{ObjectMeta: s.object(s.name)})
	again := s.endpoint()
	again.Spec = before.Spec
	s.create(t, again)
	s.awaitOwned(t)
}

// aWhile is enough for an ingress controller to act on what is written.
const aWhile = 4 * time.Second

// prepareRotation changes the token in the Secret. The console has the earlier one, with which the messages come.
func (s *stage) prepareRotation(t *testing.T) {
	t.Helper()
	s.patchSecret(t, func(secret *corev1.Secret) { secret.Data[v1alpha1.KeyToken] = []byte("EndToEndTokenOfTomorrow") })
	s.await(t, v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonRotationPending)
}

func (s *stage) deleteSecrets(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := kube.Delete(t.Context(), &corev1.Secret{ObjectMeta: s.object(name)}); err != nil {
			t.Fatal(err)
		}
	}
}

// children are the endpoint's objects, empty.
func (s *stage) children() []client.Object {
	meta := s.object(childName)
	return []client.Object{
		&corev1.ServiceAccount{ObjectMeta: meta}, &corev1.Secret{ObjectMeta: meta}, &corev1.Secret{ObjectMeta: s.object(endpointName + "-gateway-key")},
		&appsv1.Deployment{ObjectMeta: meta}, &policyv1.PodDisruptionBudget{ObjectMeta: meta}, &corev1.Service{ObjectMeta: meta}, &networkingv1.Ingress{ObjectMeta: meta},
	}
}

// edit changes an object, however often somebody else is faster.
func (s *stage) edit(t *testing.T, object client.Object, edit func()) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("%T to be changed", object), func(ctx context.Context) error {
		if err := kube.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return err
		}
		edit()
		return kube.Update(ctx, object)
	})
}

// awaitOwned waits until the endpoint that there is now owns all its objects.
func (s *stage) awaitOwned(t *testing.T) {
	t.Helper()
	eventually(t, patience, "the objects to have an owner", func(ctx context.Context) error {
		endpoint, err := s.current(ctx)
		if err != nil {
			return err
		}
		for _, child := range s.children() {
			if err := kube.Get(ctx, client.ObjectKeyFromObject(child), child); err != nil {
				return err
			}
			if !metav1.IsControlledBy(child, endpoint) {
				return fmt.Errorf("%T %s is not the endpoint's", child, child.GetName())
			}
		}
		return nil
	})
}
