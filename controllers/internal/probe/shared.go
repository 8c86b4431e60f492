// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Bounds of what is asked of a pod with many entries, which has some hundred bytes to say of each.
const (
	maxProcess = 4 << 20                // bytes
	fresh      = 300 * time.Millisecond // what was said before is believed
	forgotten  = time.Minute            // what was said is kept
)

// Process is the answer of a pod that serves many entries, or why there was none.
type Process struct {
	Status config.ProcessStatus
	Err    error
}

// Whole is what the pod says of itself.
func (p Process) Whole() Result {
	return Result{Status: config.Status{Version: p.Status.Version, Ready: p.Status.Ready, Problem: p.Status.Problem}, Err: p.Err}
}

// Of is what the pod says of one entry. It has nothing to say of one that it does not know yet.
func (p Process) Of(entry string) Result {
	status, known := p.Status.Entries[entry]
	if !known {
		status.Version = p.Status.Version
	}
	return Result{Status: status, Err: p.Err}
}

// shared remembers for a moment what pods with many entries said: a thousand endpoints that look at the same pods ask them once. The zero
// value is ready to use.
type shared struct {
	mu   sync.Mutex
	said map[string]*said
}

// said is what a pod said, and when. Who asks the pod holds it locked.
type said struct {
	mu      sync.Mutex
	at      time.Time
	process Process
}

// of returns what is remembered of the pod at an address, and forgets those that nobody asked for a while.
func (s *shared) of(address string, now time.Time) *said {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.said == nil {
		s.said = map[string]*said{}
	}
	known := s.said[address]
	if known == nil {
		for other, one := range s.said {
			if one.mu.TryLock() {
				if now.Sub(one.at) > forgotten {
					delete(s.said, other)
				}
				one.mu.Unlock()
			}
		}
		known = &said{at: now.Add(-fresh)}
		s.said[address] = known
	}
	return known
}

// AskShared asks the pods at the addresses at once and returns their answers in the same order. An answer may be some hundred milliseconds old.
func (p *Prober) AskShared(ctx context.Context, addresses []string) []Process {
	processes := make([]Process, len(addresses))
	each(ctx, addresses, func(ctx context.Context, i int) {
		known := p.shared.of(addresses[i], time.Now())
		known.mu.Lock()
		defer known.mu.Unlock()
		if time.Since(known.at) >= fresh {
			known.process.Status, known.process.Err = p.askAll(ctx, addresses[i])
			known.at = time.Now()
		}
		processes[i] = known.process
	})
	return processes
}

func (p *Prober) askAll(ctx context.Context, address string) (config.ProcessStatus, error) {
	var process config.ProcessStatus
	if err := p.get(ctx, p.sharedClient, address, "/status", maxProcess, &process); err != nil {
		return config.ProcessStatus{}, err
	}
	if len(process.Entries) > config.MaxEntries {
		return config.ProcessStatus{}, errors.New("reading the answer: it names more entries than a sidecar has")
	}
	for entry, status := range process.Entries {
		if err := checkStatus(status); err != nil {
			return config.ProcessStatus{}, fmt.Errorf("reading the answer about entry %.64q: %w", entry, err)
		}
	}
	return process, nil
}
