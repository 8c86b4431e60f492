// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package moves

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

const settles, own, front, back = 5 * time.Second, "shop-sidecar", "front-wechat-gateway", "back-wechat-gateway"

// asking is an endpoint that asks for a gateway; for its own pods, if the name is empty.
func asking(gateway string) *v1alpha1.WeChatEndpoint {
	endpoint := &v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "shop"}}
	if gateway != "" {
		endpoint.Spec.Gateway = &v1alpha1.GatewayReference{Name: gateway}
	}
	return endpoint
}

func ago(since time.Duration) *metav1.Time { return new(metav1.NewTime(now.Add(-since))) }

func TestWhereTheURLLeads(t *testing.T) {
	type known = v1alpha1.FleetStatus
	for name, test := range map[string]struct {
		gateway     string
		known       known
		own, proven bool
		leadsTo     string
		former      string
		keepsOwn    bool
		after       known
		again       verdict.Again
	}{
		"a new endpoint leads to its own pods":                 {"", known{}, false, false, own, "", false, known{}, verdict.Never},
		"one that serves goes on":                              {"", known{}, true, true, own, "", false, known{}, verdict.Never},
		"a new endpoint on a gateway leads there at once":      {"front", known{}, false, false, front, "", false, known{LeadsTo: front}, verdict.Never},
		"a new one whose route was not taken goes on there":    {"front", known{}, false, true, front, "", false, known{LeadsTo: front}, verdict.Never},
		"one on a gateway goes on, also while it is not ready": {"front", known{LeadsTo: front}, true, false, front, "", false, known{LeadsTo: front}, verdict.Never},

		"to a gateway that does not serve it yet":              {"front", known{}, true, false, own, "", true, known{}, verdict.Never},
		"to a gateway that serves it, and is not yet verified": {"front", known{}, true, true, own, "", true, known{}, verdict.Never},
		"to a gateway that was verified and serves it no more": {"front", known{Verified: front}, true, false, own, "", true, known{}, verdict.Never},
		"to a gateway, where another one was verified":         {"front", known{Verified: back}, true, true, own, "", true, known{}, verdict.Never},
		"to a gateway that is proven":                          {"front", known{Verified: front}, true, true, front, own, true, known{LeadsTo: front, Former: own, Since: ago(0)}, verdict.In(settles)},
		"its own pods go on for a moment":                      {"front", known{LeadsTo: front, Former: own, Since: ago(2 * time.Second)}, true, true, front, own, true, known{LeadsTo: front, Former: own, Since: ago(2 * time.Second)}, verdict.In(3 * time.Second)},
		"they go on although the gateway is behind":            {"front", known{LeadsTo: front, Former: own, Since: ago(2 * time.Second)}, true, false, front, own, true, known{LeadsTo: front, Former: own, Since: ago(2 * time.Second)}, verdict.In(3 * time.Second)},
		"and go then":             {"front", known{LeadsTo: front, Former: own, Since: ago(settles)}, true, true, front, "", false, known{LeadsTo: front}, verdict.Never},
		"the clock was set back":  {"front", known{LeadsTo: front, Former: own, Since: ago(-time.Hour)}, true, true, front, own, true, known{LeadsTo: front, Former: own, Since: ago(-time.Hour)}, verdict.In(settles)},
		"nobody knows since when": {"front", known{LeadsTo: front, Former: own}, true, true, front, "", false, known{LeadsTo: front}, verdict.Never},

		"it is to move on before its pods had gone":    {"back", known{LeadsTo: front, Former: own, Since: ago(time.Second), Verified: back}, true, true, front, own, true, known{LeadsTo: front, Former: own, Since: ago(time.Second)}, verdict.In(4 * time.Second)},
		"it moves back before its pods had gone":       {"", known{LeadsTo: front, Former: own, Since: ago(time.Second), Verified: own}, true, true, own, front, false, known{LeadsTo: own, Former: front, Since: ago(0)}, verdict.In(settles)},
		"between two gateways, the first goes on":      {"back", known{LeadsTo: front}, true, false, front, "", false, known{LeadsTo: front}, verdict.Never},
		"between two gateways, the second is proven":   {"back", known{LeadsTo: front, Verified: back}, true, true, back, front, false, known{LeadsTo: back, Former: front, Since: ago(0)}, verdict.In(settles)},
		"back to its own pods, which do not serve yet": {"", known{LeadsTo: front}, true, false, front, "", false, known{LeadsTo: front}, verdict.Never},
		"back to its own pods, which are proven":       {"", known{LeadsTo: front, Verified: own}, true, true, own, front, false, known{LeadsTo: own, Former: front, Since: ago(0)}, verdict.In(settles)},
		"back, and the gateway is not needed any more": {"", known{LeadsTo: own, Former: front, Since: ago(settles)}, true, true, own, "", false, known{}, verdict.Never},
		"it changed its mind before its pods had gone": {"", known{LeadsTo: front, Former: own, Since: ago(time.Second)}, true, true, front, own, false, known{LeadsTo: front, Former: own, Since: ago(time.Second)}, verdict.In(4 * time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := asking(test.gateway)
			m := Decide(endpoint, test.known, test.own, test.proven, settles, now)
			if m.LeadsTo != test.leadsTo || m.Former != test.former || m.KeepsOwn != test.keepsOwn {
				t.Errorf("it leads to %s beside %q, and keeps its own: %v; want %s, %q, %v", m.LeadsTo, m.Former, m.KeepsOwn, test.leadsTo, test.former, test.keepsOwn)
			}
			if diff := cmp.Diff(test.after, m.Status(endpoint, test.known, now)); diff != "" {
				t.Errorf("the status says something else (-want +got):\n%s", diff)
			}
			if got := m.Again(); got != test.again {
				t.Errorf("it is looked at again %+v, want %+v", got, test.again)
			}
		})
	}
}

// TestWhoNeedsAnEntry: a gateway gives its pods the entry of who asks for it, and of whose URL leads there or did so until a moment ago.
func TestWhoNeedsAnEntry(t *testing.T) {
	endpoint := asking("front")
	endpoint.Status.Fleet = v1alpha1.FleetStatus{LeadsTo: back, Former: "third-wechat-gateway"}
	if diff := cmp.Diff([]string{"front", "back", "third"}, Gateways(endpoint)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	endpoint.Status.Fleet = v1alpha1.FleetStatus{LeadsTo: front, Former: own}
	if diff := cmp.Diff([]string{"front"}, Gateways(endpoint)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := Gateways(asking("")); got != nil {
		t.Errorf("who has pods of its own needs %v", got)
	}
}
