// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package shards decides which Secret of a gateway holds which endpoint's entry. It is pure.
package shards

import (
	"maps"
	"slices"

	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// Bounds, in bytes of the entries' documents. An API server takes 1 MiB of data in one Secret, names and lists included.
const (
	// MaxEntry is what one endpoint may have of a gateway.
	MaxEntry = render.MaxShared
	// maxNew is up to where a shard takes new entries. What is left is for those in it to grow. One that grows beyond what an API server takes is
	// refused as a whole, which the gateway tells; nothing of it ends.
	maxNew = 512 << 10
	// together is how much of what is new goes into one shard before another one is looked for: each shard that changes is a write.
	together = 32 << 10
)

// World is what there is to place, and where.
type World struct {
	// Live are the names that each shard holds now. Taken are those whose Secrets are somebody else's.
	Live  [render.Shards][]string
	Taken [render.Shards]bool
	// Sizes are those of the documents, and Costs what the entries take of the pods' memory, of which there is so much Room. Bytes.
	Sizes, Costs map[string]int
	Room         int
}

// Place says which shard holds which of the entries, and which have no room. Who is there stays, and stays where it is, whatever comes or grows:
// pods see the Secrets change one after the other, and an entry that changed its shard might end in between.
func Place(w World) (placed [render.Shards][]string, left []string) {
	var filled [render.Shards]int
	taken := 0
	rest := maps.Clone(w.Sizes)
	put := func(shard int, name string) {
		placed[shard] = append(placed[shard], name)
		filled[shard] += w.Sizes[name]
		taken += w.Costs[name]
		delete(rest, name)
	}
	for shard, names := range w.Live {
		for _, name := range names {
			if size, waits := rest[name]; waits && size <= MaxEntry && !w.Taken[shard] {
				put(shard, name)
			}
		}
	}
	open, until := -1, 0
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		size := w.Sizes[name]
		if open < 0 || filled[open]+size > until {
			if open = emptiest(filled, w.Taken); open >= 0 {
				until = min(filled[open]+max(size, together), maxNew)
			}
		}
		first := taken == 0 // one entry is always served
		if open < 0 || size > MaxEntry || filled[open]+size > until || !first && taken+w.Costs[name] > w.Room {
			left = append(left, name)
			continue
		}
		put(open, name)
	}
	for shard := range placed {
		slices.Sort(placed[shard])
	}
	return placed, left
}

// emptiest is the shard with the least in it, or -1 where all are taken.
func emptiest(filled [render.Shards]int, taken [render.Shards]bool) int {
	least := -1
	for shard := range filled {
		if !taken[shard] && (least < 0 || filled[shard] < filled[least]) {
			least = shard
		}
	}
	return least
}
