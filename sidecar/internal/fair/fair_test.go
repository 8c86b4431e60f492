// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package fair

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// newEndpoints has so many endpoints with so many apps each.
func newEndpoints(all int64, sharers, apps int) (*Shares, []*Portion) {
	s := New(all)
	endpoints := make([]*Portion, sharers)
	for i := range endpoints {
		endpoints[i] = s.NewPortion()
		endpoints[i].Between(apps)
	}
	return s, endpoints
}

// ask lets one after the other ask for one, each by the letter of its endpoint and the number of its app, as often as it says: a1*3. It
// returns how many each got.
func ask(endpoints []*Portion, asks string) string {
	var got []string
	for word := range strings.FieldsSeq(asks) {
		who, times, many := strings.Cut(word, "*")
		n, wanted := 0, 1
		if many {
			_, _ = fmt.Sscan(times, &wanted)
		}
		for p := endpoints[who[0]-'a']; n < wanted && p.May(who, 0, 1); n++ {
			p.Hold(who, 1)
		}
		got = append(got, fmt.Sprintf("%s*%d", who, n))
	}
	return strings.Join(got, " ")
}

func TestWhoMayHaveMore(t *testing.T) {
	for name, test := range map[string]struct {
		all             int64
		endpoints, apps int
		asks, got       string
	}{
		"who is alone has all":                                     {8, 1, 1, "a1*9", "a1*8"},
		"of two, one leaves the other its own, and some":           {16, 2, 1, "a1*16 b1*16", "a1*10 b1*5"},
		"two that ask by turns have the same":                      {16, 2, 1, "a1*4 b1*4 a1 b1 a1 b1 a1 b1 a1 b1", "a1*4 b1*4 a1*1 b1*1 a1*1 b1*1 a1*1 b1*1 a1*0 b1*0"},
		"of many, one leaves most of them one":                     {8, 100, 1, "a1*8 b1 c1 d1 e1 f1", "a1*4 b1*1 c1*1 d1*1 e1*1 f1*0"},
		"who comes late, and has nothing, has the last":            {4, 100, 1, "a1*2 b1*2 c1", "a1*2 b1*1 c1*1"},
		"nobody has more than there is":                            {2, 26, 1, "a1 b1 c1", "a1*1 b1*1 c1*0"},
		"of two apps, one leaves the other its own, and some":      {256, 1, 2, "a1*256 a2*256", "a1*160 a2*88"},
		"many apps have no more than one":                          {256, 4, 32, "a1*9 a2*9 a3*9 a4*9 a5*9 a6*9 a7*9 a8*9 a9*256", "a1*9 a2*9 a3*9 a4*9 a5*9 a6*9 a7*9 a8*9 a9*37"},
		"and leave their neighbours what one would leave":          {256, 2, 32, "a1*256 a2*256 a3*256 b1*256 b2*256", "a1*97 a2*25 a3*7 b1*43 b2*12"},
		"a frozen app leaves the others theirs":                    {256, 4, 2, "a1*256 a2*8", "a1*92 a2*8"},
		"also when the neighbours took all that is common":         {256, 4, 2, "a1*256 b1*256 b2*256 c1*256 c2*256 d1*256 d2*256 a2*256", "a1*92 b1*53 b2*20 c1*30 c2*14 d1*23 d2*12 a2*8"},
		"more apps than are kept have one as long as there is one": {64, 2, 100, "a1*64 b1*64 a2 a3 a4 a5 a6 a7 a8 a9", "a1*25 b1*16 a2*1 a3*1 a4*1 a5*1 a6*1 a7*1 a8*1 a9*1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, endpoints := newEndpoints(test.all, test.endpoints, test.apps)
			if got := ask(endpoints, test.asks); got != test.got {
				t.Errorf("got it: %q, want %q", got, test.got)
			}
		})
	}
}

// TestNobodyIsShutOut: whatever the others have asked for, and however often what they got was divided anew, an endpoint that has nothing
// gets its own, and so does an app of any endpoint.
func TestNobodyIsShutOut(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, seed))
		sharers, apps := 2+random.IntN(20), 1+random.IntN(4)
		all := int64(4*sharers*apps) + random.Int64N(2000)
		s, endpoints := newEndpoints(all, sharers, apps)
		for range 1000 {
			endpoint := random.IntN(sharers - 1) // the last asks for nothing, and no endpoint's last app
			p, app, more := endpoints[endpoint], fmt.Sprint(random.IntN(max(1, apps-1))), 1+random.Int64N(8)
			held := int64(0)
			for _, h := range p.held {
				if h.app == app {
					held = h.amount
				}
			}
			switch {
			case random.IntN(20) == 0:
				s.NewPortion().Close()
				p.Between(apps + 1)
				p.Between(apps)
			case random.IntN(4) == 0 && held > 0:
				p.Hold(app, -min(more, held))
			case p.May(app, 0, more):
				p.Hold(app, more)
			}
		}
		last := endpoints[sharers-1]
		if !last.May("its app", 0, last.own()) {
			t.Fatalf("seed %d: of %d between %d, the last endpoint does not get its own", seed, all, sharers)
		}
		for i, p := range endpoints[:sharers-1] {
			if apps > 1 && !p.May("its last app", 0, p.own()) {
				t.Fatalf("seed %d: of %d between %d, the last app of endpoint %d does not get its own", seed, all, sharers, i)
			}
		}
		for _, p := range endpoints {
			for len(p.held) > 0 {
				p.Hold(p.held[0].app, -p.held[0].amount)
			}
		}
		if s.free != all || s.beyond != 0 || len(s.holders) != 0 {
			t.Fatalf("seed %d: in the end %d of %d are free, %d beyond, %d hold something", seed, s.free, all, s.beyond, len(s.holders))
		}
	}
}

// TestMostCanBeHad: what Most says is what one gets where the others hold nothing.
func TestMostCanBeHad(t *testing.T) {
	for sharers := 1; sharers < 300; sharers += 7 {
		for _, apps := range []int{1, 2, 33} {
			_, endpoints := newEndpoints(4096, sharers, apps)
			p := endpoints[0]
			if !p.May("a", 0, p.Most()) || p.May("a", 0, p.Most()+1) {
				t.Errorf("between %d with %d apps each: most is %d of 4096, and that is not so", sharers, apps, p.Most())
			}
		}
	}
}

// TestAPieceThatGrows may have all that is common as long as nobody has anything else of it. There are 1,000, of which 500 are common.
func TestAPieceThatGrows(t *testing.T) {
	type step struct {
		who         string
		piece, more int64
		may         bool
	}
	for name, test := range map[string]struct {
		endpoints, apps int
		steps           []step
	}{
		"a piece that comes as a whole":                     {10, 1, []step{{"a", 0, 550, true}}},
		"a piece that grows":                                {10, 1, []step{{"a", 0, 60, true}, {"a", 60, 200, true}, {"a", 260, 290, true}}},
		"beyond what is common":                             {10, 1, []step{{"a", 0, 551, false}}},
		"a second piece of the same endpoint":               {10, 1, []step{{"a", 0, 60, true}, {"a", 0, 490, false}}},
		"a piece that grows beside one of the same":         {10, 1, []step{{"a", 0, 60, true}, {"a", 0, 60, true}, {"a", 60, 430, false}}},
		"a piece beside what another has of what is common": {10, 1, []step{{"b", 0, 51, true}, {"a", 0, 490, false}}},
		"a piece beside what is kept for others":            {10, 1, []step{{"b", 0, 50, true}, {"c", 0, 50, true}, {"a", 0, 550, true}, {"d", 0, 50, true}, {"d", 0, 1, false}}},
		"a piece of one of two apps":                        {1, 2, []step{{"a", 0, 750, true}, {"b", 0, 1, true}}},
		"a second piece of it":                              {1, 2, []step{{"a", 0, 260, true}, {"a", 0, 490, false}}},
		"a piece beside what the other app has beyond":      {1, 2, []step{{"a2", 0, 251, true}, {"a", 0, 740, false}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, endpoints := newEndpoints(1000, test.endpoints, test.apps)
			for _, step := range test.steps {
				p := endpoints[(int(step.who[0])-'a')%len(endpoints)]
				if may := p.May(step.who, step.piece, step.more); may != step.may {
					t.Fatalf("%s may have %d beside %d: %t", step.who, step.more, step.piece, may)
				} else if may {
					p.Hold(step.who, step.more)
				}
			}
		})
	}
}
