//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestWhatServesGoesOn mistypes, deletes and strips what a serving endpoint has while messages come, and mends it. Each message is answered.
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
		}},
		"by a Gateway": {asHTTPRoute(plainHTTP), []trial{
			{"a Gateway", mistyped(func(s *spec) { s.URL.HTTPRoute.ParentRefs[0].Name = "missing" }, v1alpha1.ConditionRouteProgrammed, v1alpha1.ReasonGatewayNotFound)},
			{"a listener", mistyped(func(s *spec) { s.URL.HTTPRoute.ParentRefs[0].SectionName = "missing" }, v1alpha1.ConditionRouteProgrammed, v1alpha1.ReasonRouteNotAccepted)},
		}},
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
		}},
		"and made anew": {func(*spec) {}, []trial{
			{"the owners of all objects", func(t *testing.T, s *stage) {
				for _, child := range s.children() {
					s.edit(t, child, func() { child.SetOwnerReferences(nil) })
				}
				s.awaitOwned(t)
			}},
			{"the endpoint itself", remade},
		}},
	} {
		t.Run(published, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, "goes-on")
			s.serve(t, withReplicas(2), test.by)
			for _, trial := range test.trials {
				t.Run(trial.name, func(t *testing.T) {
					stop := s.load(t)
					trial.try(t, s)
					s.awaitReady(t)
					stop()
				})
			}
		})
	}
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
