// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// TestEndpointsThatServe lets things happen to endpoints that serve, each in a namespace of its own.
func TestEndpointsThatServe(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]func(*testing.T, *world){
		"what is refused changes nothing for them":        whatIsRefusedChangesNothing,
		"pods that are silent are woken":                  silentPodsAreWoken,
		"a paused one is proven again":                    pausedEndpointIsProvenAgain,
		"a paused rotation is not looked at all the time": pausedRotationIsNotLookedAtAllTheTime,
		"the main app is gone, and a rule has its own":    rulesWhoseMainAppIsGone,
		"files larger than the cache keeps go on":         largeFilesGoOn,
		"a Service that turns outward is not called":      externalServiceIsNotCalled,
	} {
		t.Run(name, func(t *testing.T) { test(t, w) })
	}
}

// silentPodsAreWoken: their kubelets need no way from the operator to the pods.
func silentPodsAreWoken(t *testing.T, w *world) {
	p := w.newPlay(t)
	p.serve(t, anything)
	p.silent = errors.New("i/o timeout")
	p.changeToken(t)
	p.round(t)
	served, _ := p.files(t)
	if woken := p.pod(t).Annotations[v1alpha1.AnnotationGeneration]; !strings.HasPrefix(woken, served.Generation+" ") {
		t.Errorf("the pod was woken for %q, it is to serve %s", woken, served.Generation)
	}
	p.wantCondition(t, v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, v1alpha1.ReasonPodsUnreachable)
}

// pausedEndpointIsProvenAgain: a pod of it is replaced.
func pausedEndpointIsProvenAgain(t *testing.T, w *world) {
	p := w.newPlay(t)
	p.serve(t, anything)
	p.change(t, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Paused = true })
	p.round(t)
	p.silent = errors.New("i/o timeout")
	p.round(t)
	p.wantCondition(t, v1alpha1.ConditionVerified, metav1.ConditionUnknown, v1alpha1.ReasonWaiting)
	p.silent = nil
	p.round(t)
	p.wantCondition(t, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	p.wrong = errors.New("403")
	p.round(t)
	p.wantCondition(t, v1alpha1.ConditionVerified, metav1.ConditionFalse, v1alpha1.ReasonNotVerified)
}

// pausedRotationIsNotLookedAtAllTheTime: WeChat uses the newer values, and the end of the older ones may not be written.
func pausedRotationIsNotLookedAtAllTheTime(t *testing.T, w *world) {
	s := w.newScene(t)
	s.make(t)
	s.settle(t)
	s.changeToken(t)
	s.settle(t)
	s.edit(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.Paused = true })
	s.use()
	for range 3 {
		result, err := s.reconcileWith(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		if result.RequeueAfter < 10*time.Second {
			t.Errorf("it is looked at again after %v", result.RequeueAfter)
		}
	}
}

// largeFilesGoOn: what the cache does not keep of a configuration is read where it is needed.
func largeFilesGoOn(t *testing.T, w *world) {
	p := w.newPlay(t)
	p.serve(t, func(e *v1alpha1.WeChatEndpoint) {
		for i := range 16 {
			e.Spec.DomainFiles = append(e.Spec.DomainFiles, v1alpha1.DomainFile{Name: fmt.Sprintf("a%d.txt", i), Content: strings.Repeat("a", 4096)})
		}
	})
	before, _ := p.files(t)
	version := p.secret(t).ResourceVersion
	p.round(t)
	if p.secret(t).ResourceVersion != version {
		t.Error("the configuration is written again and again")
	}
	p.deleteService(t)
	p.changeToken(t)
	p.settleAs(t, v1alpha1.ConditionBackendResolved, v1alpha1.ReasonServiceNotFound)
	after, credentials := p.files(t)
	if diff := cmp.Diff(before, after, cmpopts.IgnoreFields(config.Config{}, "Generation")); diff != "" || len(credentials.Pairs) != 2 {
		t.Errorf("%d pairs are given, and of the configuration changed:\n%.2000s", len(credentials.Pairs), diff)
	}
}

// externalServiceIsNotCalled: it was accepted before, and nothing else of the configuration changes, until it leads inward again.
func externalServiceIsNotCalled(t *testing.T, w *world) {
	p := w.newPlay(t)
	other := appService(p.namespace)
	other.Name = "chat"
	p.create(t, other)
	p.serve(t, func(e *v1alpha1.WeChatEndpoint) {
		backend := e.Spec.Backend
		backend.Service.Name = other.Name
		e.Spec.Rules = []v1alpha1.Rule{{Match: v1alpha1.RuleMatch{MsgType: "text"}, Action: v1alpha1.RuleActionForward, Backend: &backend}, {Match: v1alpha1.RuleMatch{Event: "a"}, Action: v1alpha1.RuleActionDiscard}}
	})
	urls := func() [2]string {
		served, _ := p.files(t)
		return [2]string{strings.ReplaceAll(served.Backend.URL, p.namespace, "ns"), strings.ReplaceAll(served.Rules[0].Backend.URL, p.namespace, "ns")}
	}
	turn := func(name string, kind corev1.ServiceType) {
		t.Helper()
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: name}}
		p.get(t, service)
		service.Spec.Type, service.Spec.ExternalName = kind, map[corev1.ServiceType]string{corev1.ServiceTypeExternalName: "evil.example.com"}[kind]
		service.Spec.ClusterIP, service.Spec.ClusterIPs = "", nil
		p.update(t, service)
	}
	const app, chat = "http://app.ns.svc:8080", "http://chat.ns.svc:8080"
	const noApp, noChat = "http://app.ns.svc.invalid.:8080", "http://chat.ns.svc.invalid.:8080"
	before, _ := p.files(t)
	want := func(want [2]string) {
		t.Helper()
		for range 2 {
			p.round(t)
		}
		if got := urls(); got != want {
			t.Errorf("messages go to %v, want %v", got, want)
		}
	}
	want([2]string{app, chat})
	turn("chat", corev1.ServiceTypeExternalName)
	want([2]string{app, noChat})
	p.wantCondition(t, v1alpha1.ConditionBackendResolved, metav1.ConditionFalse, v1alpha1.ReasonServiceNotAllowed)
	p.wantCondition(t, v1alpha1.ConditionSidecarAvailable, metav1.ConditionTrue, v1alpha1.ReasonSidecarAvailable)
	turn("app", corev1.ServiceTypeExternalName)
	p.changeToken(t)
	want([2]string{noApp, noChat})
	if _, credentials := p.files(t); len(credentials.Pairs) != 2 {
		t.Errorf("the credentials do not go on: %d pairs", len(credentials.Pairs))
	}
	turn("chat", corev1.ServiceTypeClusterIP)
	want([2]string{noApp, chat})
	turn("app", corev1.ServiceTypeClusterIP)
	want([2]string{app, chat})
	p.wantCondition(t, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	after, _ := p.files(t)
	if diff := cmp.Diff(before, after, cmpopts.IgnoreFields(config.Config{}, "Generation")); diff != "" {
		t.Errorf("the configuration is another one in the end (-before +after):\n%s", diff)
	}
}

// rulesWhoseMainAppIsGone: that a rule has an app of its own must not keep the operator from saying so.
func rulesWhoseMainAppIsGone(t *testing.T, w *world) {
	p := w.newPlay(t)
	other := appService(p.namespace)
	other.Name = "chat"
	p.create(t, other)
	p.serve(t, func(e *v1alpha1.WeChatEndpoint) {
		backend := e.Spec.Backend
		backend.Service.Name = other.Name
		e.Spec.Rules = []v1alpha1.Rule{{Match: v1alpha1.RuleMatch{MsgType: "text"}, Action: v1alpha1.RuleActionForward, Backend: &backend}}
	})
	p.deleteService(t)
	p.settleAs(t, v1alpha1.ConditionBackendResolved, v1alpha1.ReasonServiceNotFound)
	p.changeToken(t)
	p.round(t)
	if _, credentials := p.files(t); len(credentials.Pairs) != 2 {
		t.Errorf("the credentials do not go on: %d pairs", len(credentials.Pairs))
	}
}

// whatIsRefusedChangesNothing: the API server refuses one object of a changed endpoint. Its pods go on with the
// configuration that fits the objects that there are, and what leaked is revoked all the same.
func whatIsRefusedChangesNothing(t *testing.T, w *world) {
	for name, test := range map[string]struct {
		edit              func(*v1alpha1.WeChatEndpointSpec)
		condition, reason string
	}{
		"the route":      {forbiddenHost, v1alpha1.ConditionRouteProgrammed, v1alpha1.ReasonRouteNotAccepted},
		"the Deployment": {tooMuch, v1alpha1.ConditionSidecarAvailable, v1alpha1.ReasonPodsNotCreated},
	} {
		t.Run(name, func(t *testing.T) {
			p := w.newPlay(t)
			p.serve(t, anything)
			before, _ := p.files(t)
			p.change(t, func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Path = "/elsewhere"; test.edit(&e.Spec) })
			p.settleAs(t, test.condition, test.reason)

			p.changeToken(t)
			p.settleAs(t, test.condition, test.reason)
			p.revoke(t)
			p.settleAs(t, test.condition, test.reason)
			after, credentials := p.files(t)
			if diff := cmp.Diff(before, after, cmpopts.IgnoreFields(config.Config{}, "Generation")); diff != "" {
				t.Errorf("the configuration of the pods changed (-before +after):\n%s", diff)
			}
			if len(credentials.Pairs) != 1 || credentials.Pairs[0].Token != "a-newer-token" || p.loaded != after.Generation {
				t.Errorf("the pods serve %s, given are %d pairs of generation %s", p.loaded, len(credentials.Pairs), after.Generation)
			}
			if told := p.endpoint(t).Status.Credentials.Generation; told != 2 {
				t.Errorf("the status says generation %d of the credentials", told)
			}
			version := p.endpoint(t).ResourceVersion
			p.round(t)
			if p.endpoint(t).ResourceVersion != version {
				t.Error("the status is written again and again")
			}
		})
	}
}

// TestANewGatewayKeyLosesNoHistory follows the procedure of docs/threat-model.md while WeChat uses one token and the Secret holds the next.
func TestANewGatewayKeyLosesNoHistory(t *testing.T) {
	for name, rotating := range map[string]bool{"during a rotation": true, "without one": false} {
		t.Run(name, func(t *testing.T) {
			p := newWorld(t).newPlay(t)
			p.serve(t, anything)
			if rotating {
				p.changeToken(t)
				for range 3 {
					p.round(t)
				}
			}
			_, before := p.files(t)
			p.change(t, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Paused = true })
			p.round(t)
			for _, secret := range []string{"shop-gateway-key", "shop-sidecar"} {
				if err := p.client.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: secret}}); err != nil {
					t.Fatal(err)
				}
			}
			p.round(t)
			for _, condition := range p.endpoint(t).Status.Conditions {
				if strings.Contains(condition.Message, "nothing runs yet") || condition.Type == v1alpha1.ConditionReady && condition.Status == metav1.ConditionTrue {
					t.Errorf("while the pods go on, and none could start, %s is %s: %s", condition.Type, condition.Status, condition.Message)
				}
			}
			p.change(t, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Paused = false })
			for range 3 {
				p.round(t)
			}
			_, after := p.files(t)
			if diff := cmp.Diff(before.Pairs, after.Pairs); diff != "" {
				t.Errorf("what is accepted changed (-before +after):\n%s", diff)
			}
			if bytes.Equal(before.GatewayKey, after.GatewayKey) {
				t.Error("the gateway key is the old one")
			}
			p.wantCondition(t, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
		})
	}
}

// TestALostHistoryIsTold deletes all that knows what is accepted beside the user's Secret, while WeChat uses an earlier token.
func TestALostHistoryIsTold(t *testing.T) {
	p := newWorld(t).newPlay(t)
	p.serve(t, anything)
	p.changeToken(t)
	for range 3 {
		p.round(t)
	}
	for _, secret := range []string{"shop-sidecar", "shop-sidecar-copy"} {
		p.deleteChild(t, &corev1.Secret{}, secret)
	}
	p.settleAs(t, v1alpha1.ConditionCredentialsResolved, v1alpha1.ReasonCredentialsLost)
	if lost := p.endpoint(t).Status.Credentials.Lost; !slices.Equal(lost, []int64{1}) {
		t.Errorf("lost are the generations %v", lost)
	}
	p.use() // the console was saved
	p.used = map[int64]config.Use{p.endpoint(t).Status.Credentials.Generation: p.used[2]}
	for range 3 {
		p.round(t)
	}
	p.wantCondition(t, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
}
