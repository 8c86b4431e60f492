// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/reload"
)

// Status is the answer of GET /status on the second port, which the operator asks.
type Status struct {
	reload.Status
	// Version is the newest version of the configuration that this sidecar reads.
	Version int `json:"version"`
	// Ready says that callbacks are served and more may be sent here.
	Ready bool `json:"ready"`
	// Used says when WeChat was seen with each accepted generation of the credentials.
	Used map[int64]Use `json:"used,omitempty"`
	// WrongReceiver is nil where none came since the configuration changed.
	WrongReceiver *WrongReceiver `json:"wrongReceiver,omitempty"`
	// Serials are those of WeChat Pay's keys that notifications may be signed with now.
	Serials []string `json:"serials,omitempty"`
}

func (s *Sidecar) status() Status {
	status := Status{Status: s.files.Status(), Version: config.Understood}
	endpoint := s.endpoints[0]
	status.Used, status.WrongReceiver = endpoint.uses.all()
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
	if s.files.Status().Problem != "" {
		return 1
	}
	return 0
}
