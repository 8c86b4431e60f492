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
	// MaxEntry is what one endpoint may have of a gateway: thirty times the usual. Domain files and CA bundles are what is large.
	MaxEntry = 64 << 10
	// maxNew is up to where a shard takes new entries. What is left is for those in it to grow.
	maxNew = 640 << 10
	maxAll = 960 << 10
	// together is how much of what is new goes into one shard before another one is looked for: each shard that changes is a write.
	together = 32 << 10
)

// Place says which shard holds which of the entries, whose sizes are given, and which have no room. An entry stays where it is: pods see the
// Secrets change one after the other, and one that changed its shard might end in between. Live are the names in each shard now.
func Place(live [render.Shards][]string, sizes map[string]int) (placed [render.Shards][]string, left []string) {
	var filled [render.Shards]int
	put := func(shard int, name string) {
		placed[shard] = append(placed[shard], name)
		filled[shard] += sizes[name]
	}
	rest := maps.Clone(sizes)
	for shard, names := range live {
		for _, name := range names {
			if size, waits := rest[name]; waits && size <= MaxEntry && filled[shard]+size <= maxAll {
				put(shard, name)
				delete(rest, name)
			}
		}
	}
	open, until := 0, 0
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		size := sizes[name]
		if filled[open]+size > until {
			open = emptiest(filled)
			until = min(filled[open]+max(size, together), maxNew)
		}
		if size > MaxEntry || filled[open]+size > until {
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

func emptiest(filled [render.Shards]int) int {
	least := 0
	for shard := range filled {
		if filled[shard] < filled[least] {
			least = shard
		}
	}
	return least
}
