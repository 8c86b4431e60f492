// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package hands

import (
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// specPolicy is how the API server names the admission policy that compares what is written with the endpoint's spec. The API
// server reads endpoints from a cache of its own, which may be behind the operator's by some milliseconds: then it refuses what is
// right. No field of its answer tells that but its text.
const specPolicy = "ValidatingAdmissionPolicy 'wechatendpoint-operator-spec'"

// behindPatience is how long such a refusal is not told of: what is refused for longer is refused.
const behindPatience = 10 * time.Second

// behind notes since when the API server refuses an endpoint's writes as if it had not seen its newest spec. The zero value is ready
// to use.
type behind struct {
	mu    sync.Mutex
	since map[client.ObjectKey]time.Time
}

// check returns how long to wait before everything is tried again and nothing is told, where err is a rejection for which the API server may be
// behind. Zero means: tell of it.
func (b *behind) check(endpoint *v1alpha1.WeChatEndpoint, err error, now time.Time) time.Duration {
	key := client.ObjectKeyFromObject(endpoint)
	if err == nil || !strings.Contains(err.Error(), specPolicy) {
		b.forget(key)
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.since == nil {
		b.since = map[client.ObjectKey]time.Time{}
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

// forget is for an endpoint whose writes are taken, or that is gone.
func (b *behind) forget(endpoint client.ObjectKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.since, endpoint)
}
