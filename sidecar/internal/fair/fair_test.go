// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package fair

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestWhoMayHaveMore(t *testing.T) {
	for name, test := range map[string]struct {
		all     int64
		sharers int
		asks    string // one letter for each that wants one
		got     string // those that got it
	}{
		"who is alone has all":                           {8, 1, "aaaaaaaaa", "aaaaaaaa"},
		"of two, one leaves the other his own, and some": {16, 2, "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb", "aaaaaaaaaabbbbb"},
		"two that ask by turns have the same":            {16, 2, "abababababababababab", "ababababababab"},
		"of many, one leaves most of them one":           {8, 100, "aaaaaaaabcdefghi", "aaaabcde"},
		"who comes late, and has nothing, has the last":  {4, 100, "aaabbc", "aabc"},
		"nobody has more than there is":                  {2, 100, "abc", "ab"},
	} {
		t.Run(name, func(t *testing.T) {
			s := New[rune](test.all)
			s.Between(test.sharers)
			got := ""
			for _, who := range test.asks {
				if s.May(who, 1) {
					s.Hold(who, 1)
					got += string(who)
				}
			}
			if got != test.got {
				t.Errorf("got it: %q, want %q", got, test.got)
			}
		})
	}
}

// TestNobodyIsShutOut: whatever the others have asked for, and however often what they got was divided anew, whoever has nothing gets one
// as long as not as many have their own as there is for them.
func TestNobodyIsShutOut(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, seed))
		all, sharers := 64+random.Int64N(512), 2+random.IntN(40)
		s := New[string](all)
		s.Between(sharers)
		held := map[string]int64{}
		for range 2000 {
			who := fmt.Sprint(random.IntN(sharers - 1)) // the last asks for nothing
			more := 1 + random.Int64N(8)
			s.Between(sharers - random.IntN(2))
			switch {
			case random.IntN(4) == 0 && held[who] > 0:
				more = -min(more, held[who])
				fallthrough
			case s.May(who, more):
				s.Hold(who, more)
				held[who] += more
			}
		}
		if !s.May("the last", 1) {
			t.Fatalf("seed %d: of %d between %d, the last gets nothing; held are %v", seed, all, sharers, held)
		}
		var sum int64
		for who, h := range held {
			sum += h
			s.Hold(who, -h)
		}
		if sum > all || s.free != all || s.beyond != 0 || len(s.held) != 0 {
			t.Fatalf("seed %d: %d of %d were held; in the end %d are free, %d beyond, %v held", seed, sum, all, s.free, s.beyond, s.held)
		}
	}
}

// TestMostCanBeHad: what Most says is what one gets where the others hold nothing.
func TestMostCanBeHad(t *testing.T) {
	for sharers := 1; sharers < 300; sharers += 7 {
		s := New[string](4096)
		s.Between(sharers)
		if !s.May("a", s.Most()) || s.May("a", s.Most()+heldPerLeft+1) {
			t.Errorf("between %d: most is %d of 4096, and that is not so", sharers, s.Most())
		}
	}
}
