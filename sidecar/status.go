// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/reload"
)

// status is what the sidecar says of itself, without its entries.
func (s *Sidecar) status() config.ProcessStatus {
	state := s.folder.State()
	some := state.Listed || len(s.table.Load().entries) > 0
	return config.ProcessStatus{
		Version: config.Understood,
		Ready:   some && !s.draining.Load() && (s.peers == nil || s.peers.Settled()) && s.door().Waits() < stuckAfter,
		Problem: state.Problem,
	}
}

// statusOf is what it says of an entry.
func (s *Sidecar) statusOf(entry string) config.Status {
	return s.tell(s.status(), entry, s.folder.State().Entries[entry])
}

// statusOfAll is what it says of itself and of every entry.
func (s *Sidecar) statusOfAll() config.ProcessStatus {
	status := s.status()
	status.Entries = map[string]config.Status{}
	for entry, document := range s.folder.State().Entries {
		status.Entries[entry] = s.tell(status, entry, document)
	}
	return status
}

func (s *Sidecar) tell(process config.ProcessStatus, entry string, document reload.Status) config.Status {
	status := config.Status{Generation: document.Generation, Problem: document.Problem, Version: process.Version}
	if status.Problem == "" && status.Generation == "" {
		status.Problem = process.Problem
	}
	if a := s.table.Load().entries[entry]; a != nil {
		a.endpoint.uses.tell(&status)
		status.Tap = a.endpoint.tellTaps()
		status.Ready = process.Ready
		status.Serials = a.gate.Serials(s.clock(time.Now()))
	}
	return status
}

// stuckAfter is how long nobody was let in until the pod says that it is not ready: longer than a callback takes whose app does
// not answer, so that one slow app does not take away all pods.
const stuckAfter = awaitRetryPatience + 2*time.Second

// brokenDocuments is how many documents on disk cannot be served. A folder that cannot be read counts as one.
func (s *Sidecar) brokenDocuments() float64 {
	state, broken := s.folder.State(), 0.0
	if state.Problem != "" {
		broken++
	}
	for _, entry := range state.Entries {
		if entry.Problem != "" {
			broken++
		}
	}
	return broken
}
