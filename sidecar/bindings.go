// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"context"
	"net/netip"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/peers"
)

// In plaintext mode a signature is bound to the first body that comes with it. All pods of the fleet know of it before the app does: what is bound
// outlives the pod that has bound it.

// othersAgree tells the other pods of the first use of a signature, and reports whether none of them knows another one.
func (c *callback) othersAgree(ctx context.Context, use memory.Use, now time.Time) bool {
	if c.peers == nil || c.account.peersKey == nil {
		return true
	}
	otherwise := c.peers.Tell(ctx, c.account.peersKey, c.account.config.Endpoint, peers.Use(use))
	c.memory.Settle(use, otherwise, now)
	return !otherwise
}

// greet asks another pod what it knows, and reports whether it answered. It is for a pod that has just begun.
func (s *Sidecar) greet(ctx context.Context, pod netip.Addr) bool {
	for _, a := range s.table.Load().entries {
		if a.config.Encrypted() || a.peersKey == nil {
			continue
		}
		known, ok := s.peers.Greet(ctx, pod, a.peersKey, a.config.Endpoint)
		if !ok {
			return false
		}
		for _, use := range known {
			a.learns(use)
		}
	}
	return true
}

// maxFuture is for how long a use may be remembered that another pod tells of: a timestamp may be ahead, too.
const maxFuture = 2 * config.MaxFreshness

// learns remembers a use that another pod tells of, and reports whether another one was known.
func (a *account) learns(use peers.Use) (otherwise bool) {
	now := a.endpoint.clock(time.Now())
	if time.Unix(int64(use.Until), 0).After(now.Add(maxFuture)) {
		return false
	}
	return a.endpoint.memory.Told(memory.Use(use), now) == memory.BoundOtherwise
}

// told takes what another pod tells of the uses of signatures. It returns the key that signs what is answered; nil, if the pod proves nothing.
func (s *Sidecar) told(body []byte, signature string) (status int, known []byte, key []byte) {
	t, err := peers.ParseTelling(body)
	if err != nil || s.peers == nil {
		return peers.StatusForged, nil, nil
	}
	a := s.table.Load().named(t.Endpoint)
	if a == nil {
		return peers.StatusElsewhere, nil, nil
	}
	uses, err := peers.ParseUses(t.Uses)
	if err != nil || !t.Verify(a.peersKey, body, signature, time.Now()) || !s.peers.IsOwn(t.To) {
		return peers.StatusForged, nil, nil
	}
	status = peers.StatusAgreed
	for _, use := range uses {
		if a.learns(use) {
			status = peers.StatusBound
		}
	}
	if t.Back.IsValid() {
		s.peers.Greeted(t.Back, time.Now()) // before what is known is read: nothing is missed
		for _, use := range a.endpoint.memory.Known(peers.MaxKnown) {
			known = peers.AppendUses(known, peers.Use(use))
		}
	}
	return status, known, a.peersKey
}
