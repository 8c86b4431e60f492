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
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
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
	describe(e, v1alpha1.SchemeHTTPS)
	publish(e, outcome{applied: true, route: e.Spec.URL.Exposure})
	set(e, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted, "")
	set(e, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed, "")
	return e
}

func refusedBecause(reason string, e *v1alpha1.WeChatEndpoint) *v1alpha1.WeChatEndpoint {
	set(e, v1alpha1.ConditionAccepted, metav1.ConditionFalse, reason, "")
	return e
}

// TestAHostThatIsGivenIsNotSquatted: whoever the map does not give the host to cannot keep a path from those that it does.
func TestAHostThatIsGivenIsNotSquatted(t *testing.T) {
	toB, toBoth := Hosts{sharedHost: {"team-b"}}, Hosts{sharedHost: {"team-b", "team-c"}}
	rival := func() *v1alpha1.WeChatEndpoint { return asking("team-c/first", "/weixin", 0) }
	for name, test := range map[string]struct {
		hosts Hosts
		rival *v1alpha1.WeChatEndpoint
		want  string // the reason of the refusal
	}{
		"a stranger was there first":                 {toB, rival(), ""},
		"and was refused":                            {toB, refusedBecause(v1alpha1.ReasonHostNotAllowed, rival()), ""},
		"one who may use it as everybody may":        {Hosts{sharedHost: {"team-b", everyNamespace}}, rival(), ""},
		"who had published before the map was":       {toB, refusedBecause(v1alpha1.ReasonHostNotAllowed, publishing(rival())), v1alpha1.ReasonURLConflict},
		"another team that it is given to":           {toBoth, rival(), v1alpha1.ReasonURLConflict},
		"an older endpoint of the same team":         {toB, asking("team-b/first", "/weixin", 0), v1alpha1.ReasonURLConflict},
		"a stranger on another path of the host":     {toB, publishing(asking("team-c/first", "/other", 0)), ""},
		"a younger one of another team, unpublished": {toBoth, asking("team-c/last", "/weixin", 2), ""},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := asking("team-b/shop", "/weixin", 1)
			r := &Reconciler{Client: onHost{endpoints: []v1alpha1.WeChatEndpoint{*endpoint, *test.rival}}, Options: Options{Hosts: test.hosts}}
			err := r.checkClaim(t.Context(), endpoint)
			if got := waitReason(err); got != test.want || (err == nil) != (test.want == "") {
				t.Errorf("refused for %q, want %q: %v", got, test.want, err)
			}
		})
	}
}

// TestAnotherURLsConditionsAreWithdrawn: whatever happens after describe, no status says that another URL was accepted and
// published beside the new one.
func TestAnotherURLsConditionsAreWithdrawn(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*v1alpha1.CallbackURL)
		want bool // whether it still is programmed
	}{
		"nothing":      {func(*v1alpha1.CallbackURL) {}, true},
		"another path": {func(url *v1alpha1.CallbackURL) { url.Path = "/other" }, false},
		"another host": {func(url *v1alpha1.CallbackURL) { url.Host = "www.example.com" }, false},
		"no exposure":  {func(url *v1alpha1.CallbackURL) { url.Exposure = v1alpha1.ExposureNone }, false},
		"no exposure of another path": {func(url *v1alpha1.CallbackURL) {
			url.Exposure, url.Path = v1alpha1.ExposureNone, "/other"
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := publishing(asking("team-b/shop", "/weixin", 0))
			before := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionRouteProgrammed).ObservedGeneration
			endpoint.Generation++
			test.edit(&endpoint.Spec.URL)
			describe(endpoint, v1alpha1.SchemeHTTP)
			route := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionRouteProgrammed)
			if got := route.Status == metav1.ConditionTrue && route.Reason == v1alpha1.ReasonRouteProgrammed; got != test.want {
				t.Errorf("programmed: %v, want %v: %+v", got, test.want, endpoint.Status)
			}
			if unexposed(endpoint) != (endpoint.Spec.URL.Exposure == v1alpha1.ExposureNone) {
				t.Errorf("the status does not tell whether a route is asked for: %+v", endpoint.Status)
			}
			waitForOthers(endpoint, nil)
			if unexposed(endpoint) != (endpoint.Spec.URL.Exposure == v1alpha1.ExposureNone) {
				t.Errorf("nor where nothing runs: %+v", endpoint.Status)
			}
			if accepted := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionAccepted); accepted.ObservedGeneration != before {
				t.Errorf("what nobody judged is said to be of the newest generation: %+v", accepted)
			}
		})
	}
}

// unexposed reports whether the status is of a spec that asks for no route.
func unexposed(e *v1alpha1.WeChatEndpoint) bool {
	route := apimeta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionRouteProgrammed)
	return route != nil && route.Reason == v1alpha1.ReasonNotPublished
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
		"of a stranger that the map names": {asking("team-c/changed", "/weixin", 0), siblings, Hosts{sharedHost: {"team-c", everyNamespace}},
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
