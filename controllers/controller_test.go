// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

func TestSchedule(t *testing.T) {
	for name, test := range map[string]struct {
		again    verdict.Again
		least    time.Duration
		most     time.Duration
		priority int
	}{
		"what is about to change is urgent":        {verdict.In(verdict.Soon), verdict.Soon, verdict.Soon, 0},
		"now is no never":                          {verdict.Now(), time.Millisecond, time.Millisecond, 0},
		"what has waited for seconds gives way":    {verdict.In(verdict.Seldom), verdict.Seldom, verdict.Seldom, handler.LowPriority},
		"never is in a while":                      {verdict.Never, verdict.Resync, verdict.Resync * 6 / 5, handler.LowPriority},
		"what is due in hours is looked at before": {verdict.In(5 * time.Hour), verdict.Resync, verdict.Resync * 6 / 5, handler.LowPriority},
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
