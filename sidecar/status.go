// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// status is what the sidecar says of itself.
func (s *Sidecar) status() config.Status {
	file := s.file.Status()
	status := config.Status{Generation: file.Generation, Problem: file.Problem, Version: config.Understood}
	endpoint := s.endpoints[0]
	endpoint.uses.tell(&status)
	if account := endpoint.account.Load(); account != nil {
		status.Ready = !s.draining.Load() && s.door().Waits() < stuckAfter
		status.Serials = account.gate.Serials(s.clock(time.Now()))
	}
	return status
}

// stuckAfter is how long nobody was let in until the pod says that it is not ready: longer than a callback takes whose app does
// not answer, so that one slow app does not take away all pods.
const stuckAfter = awaitRetryPatience + 2*time.Second

func (s *Sidecar) staleConfig() float64 {
	if s.file.Status().Problem != "" {
		return 1
	}
	return 0
}
