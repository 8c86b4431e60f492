// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import "hash/maphash"

// index finds the numbers of entries by their keys. A map of Go's takes twice the memory where as much is deleted as is added, and more for
// the keys, which the entries have anyway. It is a table with open addresses: a number stands at the place that its key's hash says, or
// behind it, with no free place between.
type index[K comparable] struct {
	keyOf  func(number uint32) K
	seed   maphash.Seed // nobody knows which keys have the same place
	places []uint32     // a number and one, or 0 where the place is free; their number is a power of two
	len    int          // numbers
}

// A table of places is larger than twice the numbers, and smaller than sixteen times.
const (
	minPlaces  = 16
	minPerPart = 2
	maxPerPart = 16
)

func newIndex[K comparable](keyOf func(number uint32) K) index[K] {
	return index[K]{keyOf: keyOf, seed: maphash.MakeSeed()}
}

// home is where a key's number stands if nothing is in its way.
func (x *index[K]) home(key K) int { return int(maphash.Comparable(x.seed, key)) & (len(x.places) - 1) }

func (x *index[K]) after(place int) int { return (place + 1) & (len(x.places) - 1) }

// search returns the place of a key's number, or the free one where it would stand.
func (x *index[K]) search(key K) (place int, found bool) {
	for place = x.home(key); x.places[place] != 0; place = x.after(place) {
		if x.keyOf(x.places[place]-1) == key {
			return place, true
		}
	}
	return place, false
}

func (x *index[K]) find(key K) (number uint32, found bool) {
	if x.len == 0 {
		return 0, false
	}
	place, found := x.search(key)
	return x.places[place] - 1, found
}

// add adds the number of an entry with a new key.
func (x *index[K]) add(key K, number uint32) {
	if minPerPart*(x.len+1) > len(x.places) {
		x.resize(max(minPlaces, 2*len(x.places)))
	}
	place, _ := x.search(key)
	x.places[place] = number + 1
	x.len++
}

// remove forgets the number of a key, whose entry is still there.
func (x *index[K]) remove(key K) {
	hole, found := x.search(key)
	if !found {
		return
	}
	// Whoever stands behind the hole and belongs before it, or into it, moves there.
	for place := x.after(hole); x.places[place] != 0; place = x.after(place) {
		home := x.home(x.keyOf(x.places[place] - 1))
		if (place-home)&(len(x.places)-1) >= (place-hole)&(len(x.places)-1) {
			x.places[hole], hole = x.places[place], place
		}
	}
	x.places[hole] = 0
	if x.len--; maxPerPart*x.len < len(x.places) && len(x.places) > minPlaces {
		x.resize(len(x.places) / 2)
	}
}

func (x *index[K]) resize(places int) {
	before := x.places
	x.places = make([]uint32, places)
	for _, taken := range before {
		if taken != 0 {
			place, _ := x.search(x.keyOf(taken - 1))
			x.places[place] = taken
		}
	}
}

func (x *index[K]) clear() { x.places, x.len = nil, 0 }
