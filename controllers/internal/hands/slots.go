// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package hands

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/rollout"
)

// slots remembers which slots of a rollout were given: the cache may not show them yet. The zero value is ready to use.
type slots struct {
	mu    sync.Mutex
	taken map[rollout.Key]bool
}

// forget is for a slot that the cache shows, or that was given away.
func (s *slots) forget(member rollout.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.taken, member)
}

// take seeks a slot for the member. All members are read under the lock: two that seek at once must not both take the last one.
func (s *slots) take(ctx context.Context, reader client.Reader, bounds installation.Rollout, seeker rollout.Member, now time.Time) (rollout.Admission, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.taken, seeker.Key)
	all, err := Members(ctx, reader)
	if err != nil {
		return rollout.Admission{}, err
	}
	answer := rollout.Admit(bounds, seeker.UID, all, s.taken, now)
	if answer.Admitted {
		if s.taken == nil {
			s.taken = map[rollout.Key]bool{}
		}
		s.taken[seeker.Key] = true
	}
	return answer, nil
}

// Members lists all that have pods: what they say of their slots is what counts.
func Members(ctx context.Context, reader client.Reader) ([]rollout.Member, error) {
	var endpoints v1alpha1.WeChatEndpointList
	if err := reader.List(ctx, &endpoints, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the endpoints whose pods are replaced: %w", err)
	}
	var gateways v1alpha1.WeChatGatewayList
	if err := reader.List(ctx, &gateways, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the gateways whose pods are replaced: %w", err)
	}
	members := make([]rollout.Member, 0, len(endpoints.Items)+len(gateways.Items))
	for i := range endpoints.Items {
		members = append(members, rollout.OfEndpoint(&endpoints.Items[i]))
	}
	for i := range gateways.Items {
		members = append(members, rollout.OfGateway(&gateways.Items[i]))
	}
	return members, nil
}
