// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var start = time.Unix(1_700_000_000, 0)

// podOf is the address of a pod with that letter.
func podOf(letter rune) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(letter)}) }

func podsOf(letters string) (pods []netip.Addr) {
	for _, letter := range letters {
		pods = append(pods, podOf(letter))
	}
	return pods
}

func keyOf(n uint64) Key { return sha256.Sum256(binary.BigEndian.AppendUint64(nil, n)) }

// lettersOf writes asks as the letters of their pods, those for what is held in lower case.
func lettersOf(asks []Ask) (letters string) {
	for _, a := range asks {
		letter := a.Pod.As4()[3]
		if a.IfHeld {
			letter += 'a' - 'A'
		}
		letters += string(rune(letter))
	}
	return letters
}

// owned returns a key whose ranking among ABCD is that word.
func owned(t *testing.T, ranking string) Key {
	t.Helper()
	for n := range uint64(10000) {
		if got := rank(podsOf("ABCD"), keyOf(n)); cmp.Equal(got, podsOf(ranking), cmpopts.EquateComparable(netip.Addr{})) {
			return keyOf(n)
		}
	}
	t.Fatalf("no key is ranked %s", ranking)
	return Key{}
}

// TestOrder: A is this pod. The key's owner is D, then C, then B, then A, as far as they are there.
func TestOrder(t *testing.T) {
	key := owned(t, "DCBA")
	type step struct {
		after  time.Duration // since the step before
		looked string        // the pods that are listed
		failed rune
		leaves bool
	}
	for name, test := range map[string]struct {
		steps []step
		own   string // A, if it is empty
		want  string
	}{
		"nobody is asked before the first look":                    {nil, "", ""},
		"nobody is asked where there is no other":                  {[]step{{looked: "A"}}, "", ""},
		"the owner is asked, and then the next":                    {[]step{{looked: "ABCD"}}, "", "DC"},
		"the owner asks nobody":                                    {[]step{{looked: "ABCD"}}, "D", ""},
		"the second asks the owner alone":                          {[]step{{looked: "ABCD"}}, "C", "D"},
		"a pod that is not listed yet asks the others":             {[]step{{looked: "BCD"}}, "", "DC"},
		"a pod with two addresses knows itself by both":            {[]step{{looked: "BCD"}}, "AD", ""},
		"an address that is listed twice is asked once":            {[]step{{looked: "ADD"}}, "", "D"},
		"the first look has none before it":                        {[]step{{looked: "ABCD"}, {after: time.Second, looked: "ABCD"}}, "", "DC"},
		"the owner of before is asked first for what it holds":     {[]step{{looked: "ABC"}, {after: time.Second, looked: "ABCD"}}, "", "cDC"},
		"it is asked also where this pod is the owner now":         {[]step{{looked: "AB"}, {after: time.Second, looked: "A"}}, "", "b"},
		"it is not asked where it is this pod":                     {[]step{{looked: "ABC"}, {after: time.Second, looked: "ABCD"}}, "C", "D"},
		"it is not asked where it is the owner still":              {[]step{{looked: "ABCD"}, {after: time.Second, looked: "AD"}}, "", "D"},
		"those of two views are asked, the newest first":           {[]step{{looked: "AB"}, {after: time.Second, looked: "ABC"}, {after: time.Second, looked: "ABCD"}}, "", "cbDC"},
		"one is asked once for two views":                          {[]step{{looked: "AC"}, {after: time.Second, looked: "ABC"}, {after: time.Second, looked: "ABCD"}}, "", "cDC"},
		"nobody is asked for long":                                 {[]step{{looked: "ABC"}, {after: time.Second, looked: "ABCD"}, {after: heldFor, looked: "ABCD"}}, "", "DC"},
		"nobody is asked for long, also without another look":      {[]step{{looked: "ABC"}, {after: time.Second, looked: "ABCD"}, {after: heldFor}}, "", "DC"},
		"it is asked until then":                                   {[]step{{looked: "ABC"}, {after: time.Second, looked: "ABCD"}, {after: heldFor - 1, looked: "ABCD"}}, "", "cDC"},
		"a pod that failed is left out, and the next is asked":     {[]step{{looked: "ABCD"}, {after: time.Second, failed: 'D'}}, "", "CB"},
		"it is left out for a while":                               {[]step{{looked: "ABCD"}, {failed: 'D'}, {after: leftOut - 1, looked: "ABCD"}}, "", "CB"},
		"then it is asked again, and who stood in for it before":   {[]step{{looked: "ABCD"}, {failed: 'D'}, {after: leftOut, looked: "ABCD"}}, "", "cDC"},
		"a pod of before that failed is not asked":                 {[]step{{looked: "ABC"}, {after: time.Second, looked: "ABD"}, {failed: 'C'}}, "", "DB"},
		"a pod of before that failed is not asked later either":    {[]step{{looked: "ABC"}, {after: time.Second, looked: "ABD"}, {failed: 'C'}, {after: leftOut, looked: "ABD"}}, "", "DB"},
		"all others have failed":                                   {[]step{{looked: "AB"}, {failed: 'B'}}, "", ""},
		"a pod that drains asks the others for what it owned":      {[]step{{looked: "ABCD"}, {leaves: true}}, "D", "CB"},
		"a pod that drains asks them also while it is listed":      {[]step{{looked: "ABCD"}, {leaves: true}, {after: time.Second, looked: "ABCD"}}, "D", "CB"},
		"a pod that drains alone asks nobody":                      {[]step{{looked: "A"}, {leaves: true}}, "", ""},
		"a look that finds nobody leaves this pod alone":           {[]step{{looked: "AB"}, {after: heldFor}, {looked: "-"}, {after: heldFor, looked: "-"}}, "", ""},
		"a fleet that goes on changing asks two of before at most": {[]step{{looked: "B"}, {looked: "C"}, {looked: "BD"}, {looked: "BC"}, {looked: "AB"}}, "", "cdB"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.own == "" {
				test.own = "A"
			}
			v, now := NewView(podsOf(test.own)), start
			for _, s := range test.steps {
				now = now.Add(s.after)
				switch {
				case s.looked == "-":
					v = v.Looked(nil, now)
				case s.looked != "":
					v = v.Looked(podsOf(s.looked), now)
				case s.failed != 0:
					v = v.Failed(podOf(s.failed), now)
				case s.leaves:
					v = v.Leaving(now)
				}
			}
			if got := lettersOf(v.Order(key, now)); got != test.want {
				t.Errorf("asked are %q, want %q", got, test.want)
			}
		})
	}
}

// TestAViewIsAValue: what makes another of it changes nothing of the first, which others are reading.
func TestAViewIsAValue(t *testing.T) {
	first := NewView(podsOf("A")).Looked(podsOf("ABC"), start).Looked(podsOf("ABCD"), start).Failed(podOf('B'), start)
	before := lettersOf(first.Order(owned(t, "DCBA"), start))
	first.Looked(podsOf("AB"), start.Add(time.Second))
	first.Failed(podOf('C'), start.Add(time.Second))
	first.Leaving(start.Add(time.Second))
	if after := lettersOf(first.Order(owned(t, "DCBA"), start)); after != before {
		t.Errorf("asked were %q, and are %q", before, after)
	}
}

// TestPodsThatSeeTheSameAgree, in whatever order they are told of each other, and whoever they are.
func TestPodsThatSeeTheSameAgree(t *testing.T) {
	for n := range uint64(1000) {
		owners := map[string]bool{}
		for own, listed := range map[string]string{"A": "ABCD", "B": "DCBA", "C": "BDAC", "D": "CADB"} {
			owner := own
			if asks := NewView(podsOf(own)).Looked(podsOf(listed), start).Order(keyOf(n), start); len(asks) > 0 {
				owner = lettersOf(asks[:1])
			}
			owners[owner] = true
		}
		if len(owners) != 1 {
			t.Fatalf("key %d has the owners %v", n, owners)
		}
	}
}

// TestOwnersMoveSeldom: each pod owns its part, and of a pod that comes or goes only its own part changes owners.
func TestOwnersMoveSeldom(t *testing.T) {
	const keys = 20000
	owns := map[netip.Addr]int{}
	for n := range uint64(keys) {
		three, four := rank(podsOf("ABC"), keyOf(n))[0], rank(podsOf("ABCD"), keyOf(n))[0]
		owns[four]++
		if four != three && four != podOf('D') {
			t.Fatalf("key %d moved from %s to %s, which was there before", n, three, four)
		}
	}
	for pod, owned := range owns {
		if owned < keys/4*95/100 || owned > keys/4*105/100 {
			t.Errorf("%s owns %d of %d keys", pod, owned, keys)
		}
	}
}
