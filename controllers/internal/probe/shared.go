// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Bounds of what is asked of a pod with many entries, which has some hundred bytes to say of each. What a tenant's pod says instead may take many
// times as much of the memory as on its way.
const (
	maxProcess  = 4 << 20                // bytes
	maxReading  = 4                      // answers that are read at once
	maxReadTime = 400 * time.Millisecond // of reading one: a tenant's pods that answer slowly must not keep the others from being read
	fresh       = 300 * time.Millisecond // what was said before is believed, and kept
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
	mu    sync.Mutex
	said  map[string]*said
	swept time.Time
}

// said is what a pod said, and when. Who asks the pod holds it locked.
type said struct {
	mu      sync.Mutex
	at      time.Time
	process Process
}

// of returns what is remembered of the pod at an address, and forgets what is not believed any more.
func (s *shared) of(address string, now time.Time) *said {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.said == nil {
		s.said = map[string]*said{}
	}
	if now.Sub(s.swept) >= fresh {
		s.swept = now
		s.sweep(now)
	}
	known := s.said[address]
	if known == nil {
		known = &said{at: now.Add(-fresh)}
		s.said[address] = known
	}
	return known
}

// sweep leaves those that are being asked.
func (s *shared) sweep(now time.Time) {
	for address, one := range s.said {
		if one.mu.TryLock() {
			if now.Sub(one.at) >= fresh {
				delete(s.said, address)
			}
			one.mu.Unlock()
		}
	}
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

func (p *Prober) askAll(ctx context.Context, address string) (process config.ProcessStatus, err error) {
	ctx, tooSlow := context.WithCancel(ctx)
	defer tooSlow()
	err = p.get(ctx, p.sharedClient, address, "/status", func(body io.Reader) error {
		select {
		case p.reading <- struct{}{}:
			defer func() { <-p.reading }()
		case <-ctx.Done():
			return ctx.Err()
		}
		defer time.AfterFunc(maxReadTime, tooSlow).Stop()
		process, err = readProcess(body)
		return err
	})
	if err != nil {
		return config.ProcessStatus{}, err
	}
	return process, nil
}

// readProcess reads an answer entry by entry, and no further than it may be a sidecar's.
func readProcess(body io.Reader) (config.ProcessStatus, error) {
	process, parts := config.ProcessStatus{Entries: map[string]config.Status{}}, newParts(body)
	err := parts.object(func(name string) error {
		switch name {
		case "version":
			return parts.value(&process.Version)
		case "ready":
			return parts.value(&process.Ready)
		case "problem":
			return parts.value(&process.Problem)
		case "entries":
			return parts.object(func(entry string) error {
				if len(process.Entries) >= config.MaxEntries {
					return errors.New("it names more entries than a sidecar has")
				}
				var status config.Status
				if err := errors.Join(parts.value(&status), checkStatus(status)); err != nil {
					return fmt.Errorf("of entry %.64q: %w", entry, err)
				}
				process.Entries[entry] = status
				return nil
			})
		}
		return parts.value(&json.RawMessage{})
	})
	return process, err
}

// parts reads a JSON text part by part, of which none is longer than the answer about one entry.
type parts struct {
	left    *io.LimitedReader
	decoder *json.Decoder
}

func newParts(text io.Reader) parts {
	left := &io.LimitedReader{R: text}
	return parts{left, json.NewDecoder(left)}
}

func (p parts) value(into any) error {
	p.left.N = maxAnswer
	return p.decoder.Decode(into)
}

// object calls each for every value, which it has to read.
func (p parts) object(each func(name string) error) error {
	if token, err := p.token(); err != nil || token != json.Delim('{') {
		return errors.Join(errors.New("it is no object"), err)
	}
	for {
		token, err := p.token()
		if name, is := token.(string); err == nil && is {
			err = each(name)
		}
		if err != nil || token == json.Delim('}') {
			return err
		}
	}
}

func (p parts) token() (json.Token, error) {
	p.left.N = maxAnswer
	return p.decoder.Token()
}
