// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
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
