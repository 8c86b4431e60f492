// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/claims"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/kept"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/status"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

const sharedHost = "wx.example.com"

// onHost is a cache that holds these endpoints of one host, and no other object. It refuses to copy them all for one list.
type onHost struct {
	client.Client
	endpoints []v1alpha1.WeChatEndpoint
}

func (c onHost) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	var asked client.ListOptions
	asked.ApplyOptions(options)
	if asked.UnsafeDisableDeepCopy == nil || !*asked.UnsafeDisableDeepCopy {
		return errors.New("a copy of every endpoint of the host is asked for")
	}
	list.(*v1alpha1.WeChatEndpointList).Items = slices.Clone(c.endpoints)
	return nil
}

// asking is an endpoint, made as many minutes after the first, that asks for a path of the host.
func asking(name, path string, minute int) *v1alpha1.WeChatEndpoint {
	namespace, short, _ := strings.Cut(name, "/")
	made := time.Date(2026, 11, 20, 12, minute, 0, 0, time.UTC)
	return &v1alpha1.WeChatEndpoint{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: short, UID: types.UID(name), CreationTimestamp: metav1.NewTime(made)},
		Spec:       v1alpha1.WeChatEndpointSpec{URL: v1alpha1.CallbackURL{Host: sharedHost, Path: path, Exposure: v1alpha1.ExposureIngress}},
	}
}

// publishing lets the status say that the endpoint is accepted and its URL published.
func publishing(e *v1alpha1.WeChatEndpoint) *v1alpha1.WeChatEndpoint {
	e.Status.Published = claims.With(nil, e, e.Spec.URL.Exposure)
	return e
}

func refusedBecause(reason string, e *v1alpha1.WeChatEndpoint) *v1alpha1.WeChatEndpoint {
	status.Write(e, &e.Status, status.Said{v1alpha1.ConditionAccepted: verdict.False(reason, "")}, time.Now())
	return e
}

func TestSharingHostWakesWhomItConcerns(t *testing.T) {
	siblings := []*v1alpha1.WeChatEndpoint{
		publishing(asking("team-b/same", "/weixin", 1)),
		publishing(asking("team-b/below", "/weixin/a", 1)),
		publishing(asking("team-b/beside", "/other", 1)),
		refusedBecause(v1alpha1.ReasonURLConflict, asking("team-b/lost-path", "/lost", 1)),
		refusedBecause(v1alpha1.ReasonHostNotAllowed, asking("team-b/lost-host", "/host", 1)),
		refusedBecause(v1alpha1.ReasonAnnotationNotAllowed, publishing(asking("team-b/annotated", "/annotated", 1))),
		asking("team-b/new", "/new", 1),
		unexposedOf(asking("team-b/unexposed", "/weixin", 1)),
	}
	strangers := []*v1alpha1.WeChatEndpoint{
		publishing(asking("team-c/same", "/weixin/", 1)),
		publishing(asking("team-c/beside", "/else", 1)),
	}
	always := []string{"team-b/lost-host", "team-b/lost-path", "team-b/same"}
	for name, test := range map[string]struct {
		changed *v1alpha1.WeChatEndpoint
		others  []*v1alpha1.WeChatEndpoint
		hosts   Hosts
		want    []string // beside always
	}{
		"of one namespace": {asking("team-b/changed", "/weixin", 0), siblings, nil, nil},
		"with a placeholder": {asking("team-b/changed", "/weixin/$APPID$", 0), siblings, nil,
			[]string{"team-b/below"}},
		"with a domain file": {withFile(asking("team-b/changed", "/weixin", 0), "other"), siblings, nil,
			[]string{"team-b/beside"}},
		"where others compete for the host": {asking("team-b/changed", "/weixin", 0), slices.Concat(siblings, strangers), nil,
			[]string{"team-b/new", "team-c/beside", "team-c/same"}},
		"of a stranger": {asking("team-c/changed", "/weixin", 0), siblings, nil,
			[]string{"team-b/annotated", "team-b/below", "team-b/beside", "team-b/new"}},
		"where the map gives the host to both": {asking("team-b/changed", "/weixin", 0), slices.Concat(siblings, strangers), Hosts{sharedHost: {"team-b", "team-c"}},
			[]string{"team-c/same"}},
		"of a stranger that the map does not name": {asking("team-c/changed", "/weixin", 0), siblings, Hosts{sharedHost: {"team-b"}}, nil},
		"of a stranger that the map names": {asking("team-c/changed", "/weixin", 0), siblings, Hosts{sharedHost: {"team-c", installation.EveryNamespace}},
			[]string{"team-b/annotated", "team-b/below", "team-b/beside", "team-b/new"}},
	} {
		t.Run(name, func(t *testing.T) {
			cached := onHost{endpoints: []v1alpha1.WeChatEndpoint{*test.changed}}
			for _, other := range test.others {
				cached.endpoints = append(cached.endpoints, *other)
			}
			r := &Reconciler{Client: cached, Options: Options{Hosts: test.hosts}}
			var got []string
			for _, request := range r.sharingHost(t.Context(), test.changed) {
				got = append(got, request.String())
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(slices.Concat(always, test.want)))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("others are woken (-want +got):\n%s", diff)
			}
			if woken := r.sharingHost(t.Context(), unexposedOf(test.changed.DeepCopy())); len(woken) > 0 {
				t.Errorf("one that claims nothing wakes %v", woken)
			}
		})
	}
}

func unexposedOf(e *v1alpha1.WeChatEndpoint) *v1alpha1.WeChatEndpoint {
	e.Spec.URL.Exposure = v1alpha1.ExposureNone
	return e
}

func withFile(e *v1alpha1.WeChatEndpoint, name string) *v1alpha1.WeChatEndpoint {
	e.Spec.DomainFiles = []v1alpha1.DomainFile{{Name: name}}
	return e
}

func TestWhichChangesOfAPodAreLookedAt(t *testing.T) {
	before := &corev1.Pod{}
	before.Labels = map[string]string{v1alpha1.LabelEndpoint: "shop"}
	before.Status = corev1.PodStatus{PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	for name, test := range map[string]struct {
		change func(*corev1.Pod)
		want   bool
	}{
		"its kubelet was woken":         {func(p *corev1.Pod) { p.Annotations = map[string]string{v1alpha1.AnnotationGeneration: "abc-1"} }, false},
		"its conditions were looked at": {func(p *corev1.Pod) { p.Status.Conditions[0].LastProbeTime.Time = time.Unix(1, 0) }, false},
		"it is not ready any more":      {func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }, true},
		"it has another address":        {func(p *corev1.Pod) { p.Status.PodIP = "10.0.0.2" }, true},
		"it does not start": {func(p *corev1.Pod) {
			waiting := &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: waiting}}}
		}, true},
		"it is being deleted":         {func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }, true},
		"somebody changed its labels": {func(p *corev1.Pod) { p.Labels[v1alpha1.LabelEndpoint] = "other" }, true},
		"it has another owner":        {func(p *corev1.Pod) { p.OwnerReferences = []metav1.OwnerReference{{UID: "other"}} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			after := before.DeepCopy()
			test.change(after)
			if got := podChanged.Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}); got != test.want {
				t.Errorf("looked at: %v, want %v", got, test.want)
			}
		})
	}
}

// TestARouteThatMayLeadAnywhereWakesItsNamespace: what is beyond the bound of what is kept must not hide a bypass.
func TestARouteThatMayLeadAnywhereWakesItsNamespace(t *testing.T) {
	r := &Reconciler{Client: onHost{endpoints: []v1alpha1.WeChatEndpoint{*asking("a/shop", "/weixin", 0)}}}
	for name, test := range map[string]struct {
		notes map[string]string
		want  int
	}{
		"one of which all is known": {nil, 0},
		"one that leads to more":    {map[string]string{kept.NoteLeadsTo: ""}, 1},
	} {
		route := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Annotations: test.notes}}
		if woken := r.usingAny(t.Context(), route, nil); len(woken) != test.want {
			t.Errorf("%s wakes %v", name, woken)
		}
	}
}

// TestAnIngressOfTheHostWakesItsEndpoints: somebody else's route may lead the URL elsewhere.
func TestAnIngressOfTheHostWakesItsEndpoints(t *testing.T) {
	r := &Reconciler{Client: onHost{endpoints: []v1alpha1.WeChatEndpoint{*publishing(asking("team-b/shop", "/weixin", 1))}}}
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "thief"}, Spec: networkingv1.IngressSpec{
		Rules: []networkingv1.IngressRule{{Host: sharedHost, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{}}}},
	}}
	if woken := r.sharingRoute(t.Context(), kept.Keep(ingress)); len(woken) != 1 || woken[0].Name != "shop" {
		t.Errorf("woken are %v", woken)
	}
	ingress.Spec.Rules = nil
	if woken := r.sharingRoute(t.Context(), kept.Keep(ingress)); len(woken) != 0 {
		t.Errorf("an Ingress without a host wakes %v", woken)
	}
}
