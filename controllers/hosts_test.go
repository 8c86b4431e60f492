// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"strings"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers"
)

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
