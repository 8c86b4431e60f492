// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"maps"
	"sync"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// uses remembers the use of the accepted generations, since this process began. The zero value is ready for use.
type uses struct {
	mu           sync.Mutex
	byGeneration map[int64]config.Use
	stranger     *config.WrongReceiver
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

// keep forgets what is not true of a new configuration: the generations that are no longer accepted, and the wrong receiver.
func (u *uses) keep(pairs []config.Pair) {
	accepted := map[int64]bool{}
	for _, pair := range pairs {
		accepted[pair.Generation] = true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stranger = nil
	maps.DeleteFunc(u.byGeneration, func(generation int64, _ config.Use) bool { return !accepted[generation] })
}

func (u *uses) all() (map[int64]config.Use, *config.WrongReceiver) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.byGeneration), u.stranger
}
