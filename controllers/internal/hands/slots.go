// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package hands

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/rollout"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
)

// slots remembers which slots of a rollout were given: the cache may not show them yet. The zero value is ready to use.
type slots struct {
	mu    sync.Mutex
	taken map[types.NamespacedName]bool
}

// forget is for a slot that the cache shows, or that was given away.
func (s *slots) forget(endpoint types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.taken, endpoint)
}

// take seeks a slot for the endpoint. All endpoints are read under the lock: two that seek at once must not both take the last one.
func (s *slots) take(ctx context.Context, reader client.Reader, bounds installation.Rollout, seeker *snapshot.Snapshot) (rollout.Admission, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := client.ObjectKeyFromObject(seeker.Endpoint)
	delete(s.taken, key)
	var all v1alpha1.WeChatEndpointList
	if err := reader.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return rollout.Admission{}, fmt.Errorf("listing the endpoints whose pods are replaced: %w", err)
	}
	answer := rollout.Admit(bounds, seeker.Endpoint, all.Items, s.taken, seeker.Now)
	if answer.Admitted {
		if s.taken == nil {
			s.taken = map[types.NamespacedName]bool{}
		}
		s.taken[key] = true
	}
	return answer, nil
}
