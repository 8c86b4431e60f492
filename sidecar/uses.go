// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
)

// uses remembers the use of the accepted generations, and whether the app is reached, since this process began. The zero value is ready for use.
type uses struct {
	mu           sync.Mutex
	byGeneration map[int64]config.Use
	stranger     *config.WrongReceiver

	// unreached is set and cleared without the lock: most callbacks find nothing to clear.
	unreached atomic.Pointer[config.Unreached]
}

// note records a verified callback. Generation 0, of one that several would have verified, tells nothing.
func (u *uses) note(generation int64, now time.Time) {
	if generation == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	use, known := u.byGeneration[generation]
	if !known {
		use.First = now
	}
	use.Last = now
	if u.byGeneration == nil {
		u.byGeneration = map[int64]config.Use{}
	}
	u.byGeneration[generation] = use
}

// noteStranger remembers a receiver that the configuration does not name; an empty one tells nothing.
func (u *uses) noteStranger(receiver string, now time.Time) {
	if receiver == "" {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stranger = &config.WrongReceiver{ID: receiver, Last: now}
}

// noteReached remembers that a message reached an app.
func (u *uses) noteReached() {
	if u.unreached.Load() != nil {
		u.unreached.Store(nil)
	}
}

// noteUnreached remembers that a message reached no app until its deadline.
func (u *uses) noteUnreached(cause outcome.Cause, now time.Time) {
	u.unreached.Store(&config.Unreached{Cause: string(cause), Last: now})
}

// keep forgets what is not true of a new configuration: the generations that are no longer accepted, the wrong receiver, and
// that no app was reached.
func (u *uses) keep(pairs []config.Pair) {
	accepted := map[int64]bool{}
	for _, pair := range pairs {
		accepted[pair.Generation] = true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stranger = nil
	u.unreached.Store(nil)
	maps.DeleteFunc(u.byGeneration, func(generation int64, _ config.Use) bool { return !accepted[generation] })
}

// tell writes what is remembered into the status.
func (u *uses) tell(status *config.Status) {
	u.mu.Lock()
	defer u.mu.Unlock()
	status.Used, status.WrongReceiver, status.Unreached = maps.Clone(u.byGeneration), u.stranger, u.unreached.Load()
}
