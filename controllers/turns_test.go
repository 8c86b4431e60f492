// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

func TestUntilRotationTurns(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: now.Add(d)} }
	type pairs = []v1alpha1.AcceptedCredentials
	for name, test := range map[string]struct {
		accepted pairs
		want     time.Duration
	}{
		"one pair never turns":                              {pairs{{Generation: 1, FirstUsed: at(0)}}, 0},
		"a rotation that nobody uses is looked at again":    {pairs{{Generation: 2}, {Generation: 1}}, lookAgain},
		"so is one of which only the older pair is used":    {pairs{{Generation: 2}, {Generation: 1, FirstUsed: at(-time.Hour)}}, lookAgain},
		"a use gives an end at once":                        {pairs{{Generation: 2, FirstUsed: at(0)}, {Generation: 1}}, time.Millisecond},
		"also that of a pair in the middle":                 {pairs{{Generation: 3}, {Generation: 2, FirstUsed: at(0)}, {Generation: 1}}, time.Millisecond},
		"an end is awaited, and a second more":              {pairs{{Generation: 2, FirstUsed: at(0)}, {Generation: 1, Until: at(time.Hour)}}, time.Hour + time.Second},
		"a past one is not awaited":                         {pairs{{Generation: 2, FirstUsed: at(0)}, {Generation: 1, Until: at(-time.Hour)}}, time.Second},
		"the sooner of two, where one waits for a use":      {pairs{{Generation: 3}, {Generation: 2, FirstUsed: at(0)}, {Generation: 1, Until: at(time.Hour)}}, lookAgain},
		"the sooner of two, where one ends within a moment": {pairs{{Generation: 3}, {Generation: 2, FirstUsed: at(0)}, {Generation: 1, Until: at(time.Second)}}, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := &v1alpha1.WeChatEndpoint{Status: v1alpha1.WeChatEndpointStatus{Credentials: v1alpha1.CredentialsStatus{Accepted: test.accepted}}}
			if got := untilRotationTurns(endpoint, now); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestSchedule(t *testing.T) {
	for name, test := range map[string]struct {
		again    time.Duration
		least    time.Duration
		most     time.Duration
		priority int
	}{
		"what is about to change is urgent":        {askAgain, askAgain, askAgain, 0},
		"what has waited for seconds gives way":    {askSeldom, askSeldom, askSeldom, handler.LowPriority},
		"never is in a while":                      {0, resync, resync * 6 / 5, handler.LowPriority},
		"what is due in hours is looked at before": {5 * time.Hour, resync, resync * 6 / 5, handler.LowPriority},
	} {
		t.Run(name, func(t *testing.T) {
			got := schedule(test.again)
			if got.RequeueAfter < test.least || got.RequeueAfter > test.most || *got.Priority != test.priority {
				t.Errorf("after %v with priority %d, want %v to %v with %d", got.RequeueAfter, *got.Priority, test.least, test.most, test.priority)
			}
		})
	}
}

// TestAPodsWordIsBounded: a pod may say anything of when WeChat was seen, and what no status holds must not get there.
func TestAPodsWordIsBounded(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	at := func(text string) time.Time {
		parsed, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	for name, test := range map[string]struct{ first, last, wantFirst, wantLast string }{
		"what a sidecar says":            {"2026-11-20T11:59:58.7Z", "2026-11-20T11:59:59Z", "2026-11-20T11:59:58Z", "2026-11-20T11:00:00Z"},
		"a clock that is ahead":          {"2026-11-20T13:30:00Z", "2026-11-20T14:30:00Z", "2026-11-20T12:00:00Z", "2026-11-20T12:00:00Z"},
		"the end of all years":           {"9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59-23:59", "", ""},
		"the beginning":                  {"0000-01-01T00:00:00+23:59", "2026-11-20T11:00:00Z", "", ""},
		"no time at all":                 {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "", ""},
		"a last that no status can hold": {"2026-11-20T11:00:00Z", "9999-12-31T23:59:59-23:59", "", ""},
		"the last year that it can hold": {"8999-12-31T23:59:59Z", "8999-12-31T23:59:59Z", "2026-11-20T12:00:00Z", "2026-11-20T12:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := &v1alpha1.WeChatEndpoint{}
			endpoint.Status.Credentials.Accepted = []v1alpha1.AcceptedCredentials{{Generation: 2}}
			noteUses(endpoint, map[int64]config.Use{2: {First: at(test.first), Last: at(test.last)}, 1: {First: now, Last: now}, -1: {}}, now)
			told := func(at *metav1.Time) string {
				if at == nil {
					return ""
				}
				return at.UTC().Format(time.RFC3339)
			}
			accepted := endpoint.Status.Credentials.Accepted
			if len(accepted) != 1 || told(accepted[0].FirstUsed) != test.wantFirst || told(accepted[0].LastUsed) != test.wantLast {
				t.Errorf("the status says %s and %s, want %q and %q", told(accepted[0].FirstUsed), told(accepted[0].LastUsed), test.wantFirst, test.wantLast)
			}
		})
	}
}
