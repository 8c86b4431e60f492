// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package shards

import (
	stdcmp "cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

func TestWhereAnEntryGoes(t *testing.T) {
	type live = [render.Shards][]string
	var none, all [render.Shards]bool
	for shard := range all {
		all[shard] = true
	}
	full := map[string]int{}
	var everywhere live
	for shard := range render.Shards {
		for i := range 8 {
			name := fmt.Sprintf("full-%d-%d", shard, i)
			full[name] = MaxEntry
			everywhere[shard] = append(everywhere[shard], name)
		}
	}
	with := func(sizes map[string]int, more map[string]int) map[string]int {
		all := map[string]int{}
		for _, some := range []map[string]int{sizes, more} {
			for name, size := range some {
				all[name] = size
			}
		}
		return all
	}
	for name, test := range map[string]struct {
		live  live
		sizes map[string]int
		of    string
		shard int // -1: it has no room
		taken [render.Shards]bool
		room  int // of the pods' memory, where an entry costs 1; zero is enough
	}{
		"the first goes into the first":                    {live{}, map[string]int{"a": 1}, "a", 0, none, 0},
		"the next into the emptiest":                       {live{{"a"}}, map[string]int{"a": 1, "b": 1}, "b", 1, none, 0},
		"those that come together go together":             {live{{"a"}}, map[string]int{"a": 1, "b": 1, "c": 1, "d": 1}, "d", 1, none, 0},
		"but not all that come":                            {live{}, map[string]int{"a": together - 1, "b": 1, "c": 1}, "c", 1, none, 0},
		"nor what is large":                                {live{}, map[string]int{"a": 1, "b": together + 1}, "b", 1, none, 0},
		"one that is there stays there":                    {live{{"a"}, {}, {"b"}}, map[string]int{"a": 1, "b": 1}, "b", 2, none, 0},
		"one that is in two stays in the first":            {live{{}, {"a"}, {"a"}}, map[string]int{"a": 1}, "a", 1, none, 0},
		"one that is named twice in one is there once":     {live{{"a", "a"}}, map[string]int{"a": 1}, "a", 0, none, 0},
		"one of the greatest size":                         {live{}, map[string]int{"a": MaxEntry}, "a", 0, none, 0},
		"one that is larger has no room":                   {live{}, map[string]int{"a": MaxEntry + 1}, "a", -1, none, 0},
		"one that has become larger has no room any more":  {live{{"a"}}, map[string]int{"a": MaxEntry + 1}, "a", -1, none, 0},
		"where all is full, a new one has no room":         {everywhere, with(full, map[string]int{"new": 1}), "new", -1, none, 0},
		"where all is full, one that is there stays":       {everywhere, full, "full-7-7", 7, none, 0},
		"one that is gone leaves room":                     {everywhere, with(full, map[string]int{"new": 1, "full-7-7": 0}), "new", 7, none, 0},
		"where those that are there have grown, one stays": {live{{"a", "b"}}, map[string]int{"a": 15 * MaxEntry, "b": 1}, "b", 0, none, 0},
		"a Secret of somebody else's is left alone":        {live{}, map[string]int{"a": 1}, "a", 1, [render.Shards]bool{true}, 0},
		"whatever it lists":                                {live{{"a"}}, map[string]int{"a": 1}, "a", 1, [render.Shards]bool{true}, 0},
		"where all are somebody else's, there is no room":  {live{}, map[string]int{"a": 1}, "a", -1, all, 0},
		"the pods have memory for one more":                {live{{"b"}}, map[string]int{"a": 1, "b": 1}, "a", 1, none, 2},
		"the pods have no memory for one more":             {live{{"b"}}, map[string]int{"a": 1, "b": 1}, "a", -1, none, 1},
		"who is there stays, where memory has become less": {live{{"a", "b", "c"}}, map[string]int{"a": 1, "b": 1, "c": 1}, "c", 0, none, 1},
		"one is always served":                             {live{}, map[string]int{"a": 1}, "a", 0, none, -1},
	} {
		t.Run(name, func(t *testing.T) {
			costs := map[string]int{}
			for name := range test.sizes {
				costs[name] = 1
			}
			placed, left := Place(World{Live: test.live, Taken: test.taken, Sizes: test.sizes, Costs: costs, Room: stdcmp.Or(test.room, 1<<20)})
			found := []int{}
			for shard, names := range placed {
				for _, name := range names {
					if name == test.of {
						found = append(found, shard)
					}
				}
			}
			want := []int{test.shard}
			if test.shard < 0 {
				want = []int{}
			}
			if diff := cmp.Diff(want, found); diff != "" || slices.Contains(left, test.of) != (test.shard < 0) {
				t.Errorf("it is in other shards (-want +got):\n%s\nleft: %v", diff, left)
			}
		})
	}
}

// TestNothingMoves: whatever comes, goes, grows and shrinks, each entry is in one shard or left, and what was in a shard is still in it.
func TestNothingMoves(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, seed))
		var live [render.Shards][]string
		sizes := map[string]int{}
		for range 200 {
			for range 20 {
				name := fmt.Sprint("e", random.IntN(400))
				if random.IntN(3) == 0 {
					delete(sizes, name)
				} else {
					sizes[name] = random.IntN(MaxEntry + 1<<10)
				}
			}
			placed, left := Place(World{Live: live, Sizes: sizes, Costs: sizes, Room: random.IntN(16 << 20)})
			where := map[string]int{}
			for shard, names := range placed {
				for _, name := range names {
					if _, twice := where[name]; twice {
						t.Fatalf("seed %d: %s is in two shards", seed, name)
					}
					where[name] = shard
				}
			}
			if len(where)+len(left) != len(sizes) {
				t.Fatalf("seed %d: of %d entries %d are placed and %d left", seed, len(sizes), len(where), len(left))
			}
			for shard, names := range live {
				for _, name := range names {
					now, there := where[name]
					if size, wanted := sizes[name]; wanted && size <= MaxEntry && (!there || now != shard) {
						t.Fatalf("seed %d: %s has left its shard", seed, name)
					}
				}
			}
			live = placed
		}
	}
}
