// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package hands

import (
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/wechatendpoint/wechatendpoint/controllers/internal/rollout"
)

// specPolicy begins the names of the admission policies that compare what is written with the owner's spec. The API
// server reads endpoints from a cache of its own, which may be behind the operator's by some milliseconds: then it refuses what is
// right. No field of its answer tells that but its text.
const specPolicy = "ValidatingAdmissionPolicy 'wechatendpoint-operator-"

// isBehind reports whether a write failed because of a cache that is not up to date: the API server's of endpoints, or the operator's, where the
// object is of another version than was seen. Every write takes the fields that are its own, so that a conflict has no other cause.
func isBehind(err error) bool {
	return apierrors.IsConflict(err) || err != nil && strings.Contains(err.Error(), specPolicy)
}

// behindPatience is how long such an error is not told of: what lasts longer has another cause.
const behindPatience = 10 * time.Second

// behind notes since when an owner's writes fail as if a cache were behind. The zero value is ready to use.
type behind struct {
	mu    sync.Mutex
	since map[rollout.Key]time.Time
}

// check returns how long to wait before everything is tried again and nothing is told, where err is one for which a cache may be behind. Zero
// means: tell of it.
func (b *behind) check(key rollout.Key, err error, now time.Time) time.Duration {
	if !isBehind(err) {
		b.forget(key)
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.since == nil {
		b.since = map[rollout.Key]time.Time{}
	}
	if _, known := b.since[key]; !known {
		b.since[key] = now
	}
	waited := now.Sub(b.since[key])
	if waited >= behindPatience {
		return 0
	}
	return min(max(waited, 50*time.Millisecond), time.Second)
}

// forget is for an owner whose writes are taken, or that is gone.
func (b *behind) forget(key rollout.Key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.since, key)
}
