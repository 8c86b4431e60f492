// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func newEndpoint() *v1alpha1.WeChatEndpoint {
	e := &v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Generation: 1}}
	e.Spec.Platform, e.Spec.URL = v1alpha1.PlatformShop, v1alpha1.CallbackURL{Host: "wx.example.com", Path: "/weixin", Exposure: v1alpha1.ExposureIngress}
	e.Status.URL = "https://wx.example.com/weixin"
	return e
}

// all says that every condition of Ready is true.
func all() Said {
	said := Said{}
	for _, row := range table {
		if row.ready {
			said[row.name] = verdict.True(row.name, "")
		}
	}
	return said
}

// with says something else of one condition; the zero Verdict says nothing of it.
func with(name string, v verdict.Verdict) Said {
	said := all()
	if said[name] = v; v == (verdict.Verdict{}) {
		delete(said, name)
	}
	return said
}

func TestReadySumsUp(t *testing.T) {
	refused := verdict.False(v1alpha1.ReasonURLConflict, "held")
	for name, test := range map[string]struct {
		said    Said
		status  metav1.ConditionStatus
		reason  string
		message string
	}{
		"everything holds":     {all(), metav1.ConditionTrue, v1alpha1.ReasonReady, "enter the URL in the console: https://wx.example.com/weixin"},
		"one does not":         {with(v1alpha1.ConditionAccepted, refused), metav1.ConditionFalse, v1alpha1.ReasonURLConflict, "Accepted: held"},
		"one cannot be known":  {with(v1alpha1.ConditionVerified, verdict.Unknown(v1alpha1.ReasonWaiting, "later")), metav1.ConditionFalse, v1alpha1.ReasonWaiting, "Verified: later"},
		"one was never judged": {with(v1alpha1.ConditionAccepted, verdict.Verdict{}), metav1.ConditionUnknown, v1alpha1.ReasonWaiting, "Accepted: not known yet of this spec"},
		"a later one that does not says more": {func() Said {
			s := with(v1alpha1.ConditionAccepted, verdict.Verdict{})
			s[v1alpha1.ConditionVerified] = refused
			return s
		}(), metav1.ConditionFalse, v1alpha1.ReasonURLConflict, "Verified: held"},
		"what is no part of it says nothing": {func() Said {
			s := all()
			s[v1alpha1.ConditionReachable] = refused
			s[v1alpha1.ConditionSidecarCurrent] = refused
			return s
		}(), metav1.ConditionTrue, v1alpha1.ReasonReady, "enter the URL in the console: https://wx.example.com/weixin"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint()
			Write(e, &e.Status, test.said, now)
			ready := Ready(e.Status.Conditions)
			if ready.Status != test.status || ready.Reason != test.reason || ready.Message != test.message {
				t.Errorf("Ready is %+v", ready)
			}
			_, judged := test.said[v1alpha1.ConditionAccepted]
			if observed := e.Status.ObservedGeneration == 1; observed != judged {
				t.Errorf("the generation is observed: %v", observed)
			}
		})
	}
}

// TestAnotherURLsConditionsAreWithdrawn: no status says that another URL was accepted and published beside the new one, whatever the API
// server failed at.
func TestAnotherURLsConditionsAreWithdrawn(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*v1alpha1.WeChatEndpointSpec)
		want bool // whether it still is programmed
	}{
		"nothing":                         {func(*v1alpha1.WeChatEndpointSpec) {}, true},
		"the app":                         {func(s *v1alpha1.WeChatEndpointSpec) { s.Backend.Service.Name = "other" }, true},
		"another path":                    {func(s *v1alpha1.WeChatEndpointSpec) { s.URL.Path = "/other" }, false},
		"another host":                    {func(s *v1alpha1.WeChatEndpointSpec) { s.URL.Host = "www.example.com" }, false},
		"another query":                   {func(s *v1alpha1.WeChatEndpointSpec) { s.URL.Query = "a=b" }, false},
		"a spec that nobody can read now": {func(s *v1alpha1.WeChatEndpointSpec) { *s = v1alpha1.WeChatEndpointSpec{Unreadable: []string{"spec"}} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint()
			Write(e, &e.Status, all(), now)
			e.Generation++
			test.edit(&e.Spec)
			Write(e, &e.Status, nil, now)
			for _, name := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionRouteProgrammed} {
				condition := apimeta.FindStatusCondition(e.Status.Conditions, name)
				if (condition.Status == metav1.ConditionTrue) != test.want {
					t.Errorf("%s is %+v", name, condition)
				}
				if condition.ObservedGeneration != 1 {
					t.Errorf("what nobody judged is said to be of the newest generation: %+v", condition)
				}
			}
			if verified := apimeta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionVerified); verified.Status != metav1.ConditionTrue {
				t.Errorf("what is not of the URL is withdrawn: %+v", verified)
			}
		})
	}
}

// TestTheFirstConditionBeginsNow, although the definition's default has a time of long ago.
func TestTheFirstConditionBeginsNow(t *testing.T) {
	e := newEndpoint()
	e.Status.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonNotObserved, LastTransitionTime: metav1.Unix(0, 0),
	}}
	Write(e, &e.Status, Said{v1alpha1.ConditionAccepted: verdict.Unknown(v1alpha1.ReasonWaiting, "")}, now)
	ready := apimeta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Reason == v1alpha1.ReasonNotObserved || !ready.LastTransitionTime.Equal(&metav1.Time{Time: now}) {
		t.Errorf("Ready is %+v", ready)
	}
}

func TestAWarningWithoutACauseIsAbsent(t *testing.T) {
	e := newEndpoint()
	Write(e, &e.Status, Said{v1alpha1.ConditionBackendExposed: verdict.True(v1alpha1.ReasonBackendExposed, "")}, now)
	if apimeta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionBackendExposed) == nil {
		t.Fatal("nobody is warned")
	}
	Write(e, &e.Status, Said{}, now)
	if apimeta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionBackendExposed) == nil {
		t.Error("of which nothing is known, the warning is gone")
	}
	Write(e, &e.Status, Said{v1alpha1.ConditionBackendExposed: {}}, now)
	if apimeta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionBackendExposed) != nil {
		t.Error("the warning stays")
	}
}

// TestMemory reads back what was said, and for how long it has been so.
func TestMemory(t *testing.T) {
	e := newEndpoint()
	Write(e, &e.Status, with(v1alpha1.ConditionVerified, verdict.False(v1alpha1.ReasonNotVerified, "302")), now)
	later := now.Add(time.Minute)
	Write(e, &e.Status, with(v1alpha1.ConditionVerified, verdict.False(v1alpha1.ReasonNotVerified, "303")), later)
	m := Remember(e)
	if m.Settled {
		t.Error("an endpoint that is not Ready is settled")
	}
	if got := m.Said(v1alpha1.ConditionVerified); got != verdict.False(v1alpha1.ReasonNotVerified, "303") {
		t.Errorf("remembered is %+v", got)
	}
	if got := m.Said(v1alpha1.ConditionReachable); got != (verdict.Verdict{}) {
		t.Errorf("of what was never said is remembered %+v", got)
	}
	for name, test := range map[string]struct {
		got, want time.Duration
	}{
		"it has been wrong since it was first": {m.WrongFor(v1alpha1.ConditionVerified, later), time.Minute},
		"what holds is not wrong":              {m.WrongFor(v1alpha1.ConditionAccepted, later), 0},
		"what was never said is not wrong":     {m.WrongFor(v1alpha1.ConditionReachable, later), 0},
		"it goes on being wrong":               {m.SaidFor(v1alpha1.ConditionVerified, verdict.False("Other", ""), later), time.Minute},
		"it is right now: since now":           {m.SaidFor(v1alpha1.ConditionVerified, verdict.True("", ""), later), 0},
		"it goes on being right":               {m.SaidFor(v1alpha1.ConditionAccepted, verdict.True("", ""), later), time.Minute},
	} {
		if test.got != test.want {
			t.Errorf("%s: for %v, want %v", name, test.got, test.want)
		}
	}
	Write(e, &e.Status, all(), later)
	if !Remember(e).Settled {
		t.Error("an endpoint that is Ready is not settled")
	}
	e.Generation++
	if Remember(e).Settled {
		t.Error("an endpoint that was changed is settled")
	}
}

func TestALostClaim(t *testing.T) {
	for reason, want := range map[string]bool{
		v1alpha1.ReasonURLConflict: true, v1alpha1.ReasonHostNotAllowed: true, v1alpha1.ReasonHostRequired: false, v1alpha1.ReasonAnnotationNotAllowed: false,
	} {
		e := newEndpoint()
		Write(e, &e.Status, Said{v1alpha1.ConditionAccepted: verdict.False(reason, "")}, now)
		if got := LostClaim(e); got != want {
			t.Errorf("%s: the claim is lost: %v", reason, got)
		}
	}
}
