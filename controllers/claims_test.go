//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers"
)

// TestAHostBelongsToOneNamespace: a team cannot publish a path beside another team's, until that team has left the host.
func TestAHostBelongsToOneNamespace(t *testing.T) {
	owner := newEndpoint(newNamespace(t))
	owner.Spec.URL.Exposure = v1alpha1.ExposureIngress
	create(t, owner)
	awaitCondition(t, owner, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
	time.Sleep(time.Until(owner.CreationTimestamp.Add(1100 * time.Millisecond))) // ages are told in seconds
	stranger := newEndpoint(newNamespace(t))
	stranger.Spec.URL = owner.Spec.URL
	stranger.Spec.URL.Path = "/elsewhere"
	create(t, stranger)
	condition := awaitCondition(t, stranger, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonHostNotAllowed)
	wantMessage(t, condition, "ask the platform team to give it to namespace "+stranger.Namespace)
	if strings.Contains(strings.ReplaceAll(condition.Message, owner.Spec.URL.Host, ""), owner.Namespace) {
		t.Errorf("the message tells of another namespace: %s", condition.Message)
	}
	sibling := newEndpoint(owner.Namespace)
	sibling.Name, sibling.Spec.URL = "sibling", stranger.Spec.URL
	create(t, sibling)
	awaitCondition(t, sibling, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)

	for _, endpoint := range []*v1alpha1.WeChatEndpoint{owner, sibling} {
		change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Exposure = v1alpha1.ExposureNone })
	}
	awaitCondition(t, stranger, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
}

// TestTheInstallationGivesHostsAndClasses lets an operator with choices reconcile an endpoint once.
func TestTheInstallationGivesHostsAndClasses(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct {
		options func(namespace string) controllers.Options
		reason  string
		message string
	}{
		"a host that the map gives to this namespace": {func(namespace string) controllers.Options {
			return controllers.Options{Hosts: controllers.Hosts{"*.example.com": {"another", namespace}}}
		}, v1alpha1.ReasonAccepted, ""},
		"a host that it gives to everybody": {func(string) controllers.Options {
			return controllers.Options{Hosts: controllers.Hosts{"*": {"*"}}}
		}, v1alpha1.ReasonAccepted, ""},
		"a host that it gives to another": {func(string) controllers.Options {
			return controllers.Options{Hosts: controllers.Hosts{"*.example.com": {"another"}, "*": {"*"}}}
		}, v1alpha1.ReasonHostNotAllowed, "ask the platform team to add it to hosts"},
		"a host that it does not name": {func(namespace string) controllers.Options {
			return controllers.Options{Hosts: controllers.Hosts{"wx.example.org": {namespace}}}
		}, v1alpha1.ReasonHostNotAllowed, "is not given to namespace"},
		"a class that is allowed": {func(string) controllers.Options {
			return controllers.Options{AllowedIngressClasses: []string{"other", "any"}}
		}, v1alpha1.ReasonAccepted, ""},
		"a class that is not": {func(string) controllers.Options {
			return controllers.Options{AllowedIngressClasses: []string{"other", "third"}}
		}, v1alpha1.ReasonIngressClassNotAllowed, "set it to one that this installation allows: other, third"},
	} {
		t.Run(name, func(t *testing.T) {
			s := w.newScene(t)
			s.make(t)
			s.options = test.options(s.namespace)
			s.options.SidecarImage = "example.com/sidecar:1"
			if _, err := s.reconcileWith(t, nil); err != nil {
				t.Fatal(err)
			}
			endpoint := s.endpoint(t)
			condition := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionAccepted)
			if condition == nil || condition.Reason != test.reason || !strings.Contains(condition.Message, test.message) {
				t.Errorf("got %+v, want %s: %s", condition, test.reason, test.message)
			}
			published := s.client.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "shop-sidecar"}, children(s.namespace)[0]) == nil
			if published != (test.reason == v1alpha1.ReasonAccepted) {
				t.Errorf("children were made: %v", published)
			}
		})
	}
}

// TestAnErrorIsNoClaim lets each call fail in the reconcile that refuses an endpoint the URL of another one: whatever status that
// leaves, the older endpoint must not seem to have published what it was refused.
func TestAnErrorIsNoClaim(t *testing.T) {
	w := newWorld(t)
	thief, holder := w.newScene(t), w.newScene(t)
	thief.make(t)
	thief.settle(t)
	time.Sleep(time.Until(thief.endpoint(t).CreationTimestamp.Add(1100 * time.Millisecond))) // ages are told in seconds
	holder.make(t)
	holder.settle(t)
	his, wanted := thief.endpoint(t).Spec.URL, holder.endpoint(t).Spec.URL
	move := func(url v1alpha1.CallbackURL) {
		thief.edit(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.URL = url })
	}
	move(wanted)
	calls := thief.settle(t)
	for call := range calls {
		move(his)
		thief.settle(t)
		move(wanted)
		_, _ = thief.reconcileWith(t, &failure{call: call, err: faults["500"], survived: true})
		thief.settle(t)
		accepted := apimeta.FindStatusCondition(thief.endpoint(t).Status.Conditions, v1alpha1.ConditionAccepted)
		if accepted.Reason != v1alpha1.ReasonHostNotAllowed {
			t.Fatalf("after call %d failed, the endpoint that came later to the URL is not refused: %+v", call, accepted)
		}
	}
}

// TestARefusedEndpointsIngressIsNoClaim: its tenant may write Ingresses, and lets that of his older, refused endpoint say what
// was refused.
func TestARefusedEndpointsIngressIsNoClaim(t *testing.T) {
	class, url := newHosts(t)
	thief := published(t, url("his"))
	awaitCondition(t, thief, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
	holder := published(t, url("wx"))
	awaitCondition(t, holder, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
	// So that the holder's claim rests on its Ingress too, as it does while a route is not programmed.
	if err := cluster.client.Delete(t.Context(), &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: class}}); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, holder, v1alpha1.ConditionRouteProgrammed, metav1.ConditionFalse, v1alpha1.ReasonIngressClassNotFound)

	change(t, thief, func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL = holder.Spec.URL })
	awaitCondition(t, thief, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonHostNotAllowed)
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: thief.Namespace, Name: "shop-sidecar"}}
	change(t, ingress, func(i *networkingv1.Ingress) {
		for r := range i.Spec.Rules {
			i.Spec.Rules[r].Host = holder.Spec.URL.Host
		}
	})
	for _, endpoint := range []*v1alpha1.WeChatEndpoint{thief, holder} {
		poke(t, endpoint)
		awaitObserved(t, endpoint)
	}
	awaitCondition(t, holder, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
	awaitCondition(t, thief, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonHostNotAllowed)
}

// TestARefusedEndpointsRouteDoesNotCount: the same while the class is there, by which a route is programmed. The tenant edits the
// Ingress that the operator made, or makes one for an endpoint that had none, so that nothing asked whose the URL is.
func TestARefusedEndpointsRouteDoesNotCount(t *testing.T) {
	_, url := newHosts(t)
	editing := published(t, url("his"))
	awaitCondition(t, editing, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
	unexposed := v1alpha1.CallbackURL{Host: url("wx").Host, Path: "/weixin", Exposure: v1alpha1.ExposureNone}
	making := published(t, unexposed)
	awaitCondition(t, making, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonNotPublished)
	change(t, making, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Paused = true }) // the operator leaves what he makes
	awaitCondition(t, making, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonPaused)
	time.Sleep(time.Until(making.CreationTimestamp.Add(1100 * time.Millisecond))) // ages are told in seconds
	holder := published(t, url("wx"))
	awaitCondition(t, holder, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)

	change(t, editing, func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL = holder.Spec.URL })
	awaitCondition(t, editing, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonHostNotAllowed)
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: editing.Namespace, Name: "shop-sidecar"}}
	change(t, ingress, func(i *networkingv1.Ingress) {
		for r := range i.Spec.Rules {
			i.Spec.Rules[r].Host = holder.Spec.URL.Host
		}
	})
	create(t, &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: making.Namespace, Name: "shop-sidecar",
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(making, v1alpha1.GroupVersion.WithKind("WeChatEndpoint"))},
		},
		Spec: ingress.Spec,
	})
	time.Sleep(settling) // so that the operator has seen it
	change(t, making, func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL = holder.Spec.URL })
	for _, endpoint := range []*v1alpha1.WeChatEndpoint{editing, making, holder} {
		for range 2 { // what the first says, the second believes
			time.Sleep(settling)
			poke(t, endpoint)
			awaitObserved(t, endpoint)
		}
	}
	awaitCondition(t, holder, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
	for _, thief := range []*v1alpha1.WeChatEndpoint{editing, making} {
		awaitCondition(t, thief, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonHostNotAllowed)
		awaitCondition(t, thief, v1alpha1.ConditionRouteProgrammed, metav1.ConditionUnknown, v1alpha1.ReasonWaiting)
	}
}

// newHosts makes a class, and returns its name and URLs on hosts of its own that are published by it.
func newHosts(t *testing.T) (class string, url func(host string) v1alpha1.CallbackURL) {
	t.Helper()
	class = newNamespace(t)
	newClass(t, class)
	return class, func(host string) v1alpha1.CallbackURL {
		return v1alpha1.CallbackURL{
			Host: host + "." + class + ".example.com", Path: "/weixin", Exposure: v1alpha1.ExposureIngress, Ingress: &v1alpha1.IngressExposure{ClassName: class},
		}
	}
}
