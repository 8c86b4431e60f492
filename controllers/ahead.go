// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

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

// aheadPatience is how long such a refusal is not told of: what is refused for longer is refused.
const aheadPatience = 10 * time.Second

// aheadError ends a reconcile that is to begin again soon, with nothing to tell of.
type aheadError struct{ again time.Duration }

func (aheadError) Error() string { return "the API server has not seen the endpoint's newest spec yet" }

// ahead notes since when the API server refuses an endpoint's writes as if it had not seen its newest spec. The zero value is ready
// to use.
type ahead struct {
	mu    sync.Mutex
	since map[client.ObjectKey]time.Time
}

// check returns an aheadError where err is a refusal for which the API server may be behind, and otherwise nil.
func (a *ahead) check(endpoint *v1alpha1.WeChatEndpoint, err error, now time.Time) error {
	key := client.ObjectKeyFromObject(endpoint)
	if err == nil || !strings.Contains(err.Error(), specPolicy) {
		a.forget(key)
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.since == nil {
		a.since = map[client.ObjectKey]time.Time{}
	}
	if _, known := a.since[key]; !known {
		a.since[key] = now
	}
	waited := now.Sub(a.since[key])
	if waited >= aheadPatience {
		return nil
	}
	return aheadError{again: min(max(waited, 50*time.Millisecond), time.Second)}
}

// forget is for an endpoint whose writes are taken, or that is gone.
func (a *ahead) forget(endpoint client.ObjectKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.since, endpoint)
}
