// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package peers knows the other pods of a fleet, and hands callbacks over to them: each message has one owner among the pods, which
// remembers it for all of them.
//
// View decides who is asked, and is pure. Fleet keeps it up to date by DNS. Request and Answer are what one pod tells another, with their
// signatures. client.go alone knows net/http.
package peers

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Key names what one pod must own: a message, or the use of a signature that covers no body.
type Key = [sha256.Size]byte

const (
	// heldFor is how long the owners of before are asked for what they hold. WeChat sends a message for the last time 10 s after the first,
	// and waits 5 s for its answer.
	heldFor = 20 * time.Second
	// leftOut is for how long a listed pod that failed is not asked, at least: until the next look after that.
	leftOut = 3 * time.Second
	// maxPast is how many views of before are kept.
	maxPast = 4
	// maxAsked is how many owners of before are asked about a message, and after them how many pods for its delivery: WeChat waits.
	maxAsked = 2
)

// View is which pods of a fleet can be handed messages, as one of them sees it. It is a value: what changes it returns another one. The zero
// value knows nobody.
type View struct {
	own    []netip.Addr // of this pod
	leaves bool         // this pod takes no new messages any more

	listed []netip.Addr             // by the newest look
	failed map[netip.Addr]time.Time // until when they are not asked
	now    []netip.Addr             // who may own messages
	past   []past                   // the newest first
}

// past is who could own messages before.
type past struct {
	pods  []netip.Addr
	until time.Time // when nobody needs to know it any more
}

// Ask is a pod that is asked to take a message.
type Ask struct {
	Pod netip.Addr
	// IfHeld asks for what it remembers already, and for nothing new.
	IfHeld bool
}

// NewView is the view of a pod with these addresses, which has not looked yet.
func NewView(own []netip.Addr) View { return View{own: own} }

// Looked returns the view after a look at the fleet's ready pods.
func (v View) Looked(listed []netip.Addr, now time.Time) View {
	v.listed = slices.Clone(listed)
	v.failed = maps.Clone(v.failed)
	maps.DeleteFunc(v.failed, func(_ netip.Addr, until time.Time) bool { return !now.Before(until) })
	return v.changed(now)
}

// Failed returns the view after a pod did not answer. One that is not listed is gone, and is not asked for what it held either.
func (v View) Failed(pod netip.Addr, now time.Time) View {
	until := now.Add(heldFor)
	if slices.Contains(v.listed, pod) {
		until = now.Add(leftOut)
	}
	v.failed = maps.Clone(v.failed)
	if v.failed == nil {
		v.failed = map[netip.Addr]time.Time{}
	}
	v.failed[pod] = until
	return v.changed(now)
}

// Leaving returns the view of a pod that drains: it owns no new message.
func (v View) Leaving(now time.Time) View {
	v.leaves = true
	return v.changed(now)
}

// changed works out who may own messages, and keeps who could before.
func (v View) changed(now time.Time) View {
	var pods []netip.Addr
	for _, pod := range v.listed {
		_, failed := v.failed[pod]
		if !failed && (!v.leaves || !v.isOwn(pod)) {
			pods = append(pods, pod)
		}
	}
	slices.SortFunc(pods, netip.Addr.Compare)
	pods = slices.Compact(pods)
	before := slices.DeleteFunc(slices.Clone(v.past), func(p past) bool { return !now.Before(p.until) })
	if len(v.now) > 0 && !slices.Equal(v.now, pods) {
		before = slices.Insert(before, 0, past{v.now, now.Add(heldFor)})
	}
	v.now, v.past = pods, before[:min(len(before), maxPast)]
	return v
}

// Others is how many pods beside this one may own messages.
func (v View) Others() int {
	others := 0
	for _, pod := range v.now {
		if !v.isOwn(pod) {
			others++
		}
	}
	return others
}

// Order returns which other pods are asked to take what the key names, one after the other, before this pod takes it. Those that owned it
// before are asked first.
func (v View) Order(key Key, now time.Time) []Ask {
	ranking := rank(v.now, key)
	var asks []Ask
	for _, p := range v.past {
		if len(asks) == maxAsked || !now.Before(p.until) {
			break
		}
		former := rank(p.pods, key)[0]
		_, failed := v.failed[former]
		asked := slices.ContainsFunc(asks, func(a Ask) bool { return a.Pod == former })
		if !failed && !asked && !v.isOwn(former) && (len(ranking) == 0 || former != ranking[0]) {
			asks = append(asks, Ask{Pod: former, IfHeld: true})
		}
	}
	for n, pod := range ranking {
		if n == maxAsked || v.isOwn(pod) {
			break
		}
		asks = append(asks, Ask{Pod: pod})
	}
	return asks
}

func (v View) isOwn(pod netip.Addr) bool { return slices.Contains(v.own, pod) }

// ownBeside returns the address of this pod by which another one reaches it.
func (v View) ownBeside(pod netip.Addr) (netip.Addr, bool) {
	i := slices.IndexFunc(v.own, func(own netip.Addr) bool {
		return own.Is4() == pod.Is4() && own.IsLoopback() == pod.IsLoopback() && !own.IsLinkLocalUnicast()
	})
	if i < 0 {
		return netip.Addr{}, false
	}
	return v.own[i], true
}

// rank sorts pods by how near they are to owning what the key names, the owner first. All pods with the same list have the same order,
// and one pod that comes or goes changes the owner of what it gets or had, and of nothing else (rendezvous hashing).
func rank(pods []netip.Addr, key Key) []netip.Addr {
	type scored struct {
		pod   netip.Addr
		score uint64
	}
	all := make([]scored, 0, len(pods))
	for _, pod := range pods {
		address := pod.As16()
		var text [len(address) + len(key)]byte
		copy(text[copy(text[:], address[:]):], key[:])
		all = append(all, scored{pod, xxhash.Sum64(text[:])})
	}
	slices.SortFunc(all, func(a, b scored) int { return cmp.Or(cmp.Compare(b.score, a.score), a.pod.Compare(b.pod)) })
	ranked := make([]netip.Addr, 0, len(all))
	for _, s := range all {
		ranked = append(ranked, s.pod)
	}
	return ranked
}
