// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// pair writes "2 b" for token b of generation 2, "2 b k" with the key k, and "2 b until 13:00" for one that ends.
func pair(t *testing.T, text string) config.Pair {
	t.Helper()
	values, until, ends := strings.Cut(text, " until ")
	var p config.Pair
	if _, err := fmt.Sscanf(values, "%d %s %s", &p.Generation, &p.Token, &p.EncodingAESKey); err != nil && strings.Count(values, " ") > 1 {
		t.Fatal(err)
	}
	if ends {
		at, err := time.Parse("15:04", until)
		if err != nil {
			t.Fatal(err)
		}
		end := noon.Truncate(24 * time.Hour).Add(time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute)
		p.NotAfter = &end
	}
	return p
}

func words(pairs []config.Pair) []string {
	var all []string
	for _, p := range pairs {
		text := strings.TrimSpace(fmt.Sprintf("%d %s %s", p.Generation, p.Token, p.EncodingAESKey))
		if p.NotAfter != nil {
			text += " until " + p.NotAfter.Format("15:04")
		}
		all = append(all, text)
	}
	return all
}

func TestRotate(t *testing.T) {
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	for name, test := range map[string]struct {
		history   []string
		wanted    string
		counter   int64
		used      map[int64]time.Time
		overlap   time.Duration // 0 is 1h
		revoke    int64
		encrypted bool
		want      []string
	}{
		"the first values are generation 1":                             {wanted: "0 a", want: []string{"1 a"}},
		"the count goes on where the Secret of the operator was lost":   {wanted: "0 a", counter: 7, want: []string{"8 a"}},
		"nothing changes where nothing changed":                         {history: []string{"1 a"}, wanted: "0 a", counter: 1, want: []string{"1 a"}},
		"new values are accepted beside those before":                   {history: []string{"1 a"}, wanted: "0 b", counter: 1, want: []string{"2 b", "1 a"}},
		"for days, until WeChat uses them":                              {history: []string{"2 b", "1 a"}, wanted: "0 b", used: map[int64]time.Time{1: ago(80 * time.Hour)}, want: []string{"2 b", "1 a"}},
		"then the older ones end after the overlap":                     {history: []string{"2 b", "1 a"}, wanted: "0 b", used: map[int64]time.Time{2: ago(10 * time.Minute)}, want: []string{"2 b", "1 a until 12:50"}},
		"and are gone at their end":                                     {history: []string{"2 b", "1 a until 12:00"}, wanted: "0 b", used: map[int64]time.Time{2: ago(time.Hour)}, want: []string{"2 b"}},
		"an end stays if the record of the use was lost":                {history: []string{"2 b", "1 a until 12:30"}, wanted: "0 b", want: []string{"2 b", "1 a until 12:30"}},
		"another overlap moves the end":                                 {history: []string{"2 b", "1 a until 12:50"}, wanted: "0 b", overlap: 2 * time.Hour, used: map[int64]time.Time{2: ago(10 * time.Minute)}, want: []string{"2 b", "1 a until 13:50"}},
		"token and key edited one after the other make three":           {history: []string{"2 b k", "1 a k"}, wanted: "0 b l", encrypted: true, want: []string{"3 b l", "2 b k", "1 a k"}},
		"two edits before Save end nothing":                             {history: []string{"2 b", "1 a"}, wanted: "0 c", used: map[int64]time.Time{1: ago(time.Hour)}, want: []string{"3 c", "2 b", "1 a"}},
		"the use of the middle one ends what is older, and no other":    {history: []string{"3 c", "2 b", "1 a"}, wanted: "0 c", used: map[int64]time.Time{2: ago(10 * time.Minute)}, want: []string{"3 c", "2 b", "1 a until 12:50"}},
		"the first use of any newer one counts":                         {history: []string{"3 c", "2 b", "1 a"}, wanted: "0 c", used: map[int64]time.Time{3: ago(10 * time.Minute), 2: ago(30 * time.Minute)}, want: []string{"3 c", "2 b until 12:50", "1 a until 12:30"}},
		"values that come back are new, and stand once":                 {history: []string{"2 b", "1 a"}, wanted: "0 a", want: []string{"3 a", "2 b"}},
		"values that come back have no end":                             {history: []string{"2 b", "1 a until 12:30"}, wanted: "0 a", used: map[int64]time.Time{2: ago(30 * time.Minute)}, want: []string{"3 a", "2 b"}},
		"what leaked ends at once":                                      {history: []string{"2 b", "1 a"}, wanted: "0 b", revoke: 2, want: []string{"2 b"}},
		"but never the newest":                                          {history: []string{"2 b", "1 a"}, wanted: "0 b", revoke: 9, want: []string{"2 b"}},
		"new values are not revoked":                                    {history: []string{"1 a"}, wanted: "0 b", revoke: 2, want: []string{"2 b"}},
		"no overlap ends the older ones with the first use":             {history: []string{"2 b", "1 a"}, wanted: "0 b", overlap: -1, used: map[int64]time.Time{2: ago(0)}, want: []string{"2 b"}},
		"a fifth pair drops the oldest that is about to end":            {history: []string{"4 d", "3 c", "2 b", "1 a until 13:00"}, wanted: "0 e", want: []string{"5 e", "4 d", "3 c", "2 b"}},
		"or the oldest unused one, not the one in the console":          {history: []string{"4 d", "3 c", "2 b", "1 a"}, wanted: "0 e", used: map[int64]time.Time{1: ago(time.Hour)}, want: []string{"5 e", "4 d", "3 c", "1 a"}},
		"which may be the last, if nobody looked":                       {history: []string{"4 d", "3 c", "2 b", "1 a"}, wanted: "0 e", want: []string{"5 e", "4 d", "3 c", "1 a"}},
		"a move to plaintext is no rotation":                            {history: []string{"1 a k"}, wanted: "0 a", want: []string{"1 a"}},
		"a move to encrypted leaves behind what can decrypt nothing":    {history: []string{"1 a"}, wanted: "0 a k", encrypted: true, want: []string{"2 a k"}},
		"a pair with another key is another pair":                       {history: []string{"1 a k"}, wanted: "0 a l", encrypted: true, want: []string{"2 a l", "1 a k"}},
		"the generation of a dropped pair is not given out again":       {history: []string{"4 d"}, wanted: "0 e", counter: 6, want: []string{"7 e", "4 d"}},
		"a lost counter does not go below what the history has counted": {history: []string{"4 d"}, wanted: "0 e", counter: 0, want: []string{"5 e", "4 d"}},
	} {
		t.Run(name, func(t *testing.T) {
			var history []config.Pair
			for _, text := range test.history {
				history = append(history, pair(t, text))
			}
			policy := Policy{
				Counter: test.counter, FirstUsed: test.used, Overlap: time.Hour, RevokeBefore: test.revoke, Encrypted: test.encrypted, Now: noon,
			}
			if test.overlap != 0 {
				policy.Overlap = max(test.overlap, 0)
			}
			got := Rotate(history, pair(t, test.wanted), policy)
			if diff := cmp.Diff(test.want, words(got)); diff != "" {
				t.Errorf("accepted otherwise (-want +got):\n%s", diff)
			}
			again := Rotate(got, pair(t, test.wanted), policy)
			if diff := cmp.Diff(words(got), words(again)); diff != "" {
				t.Errorf("asked again, it decides otherwise (-before +after):\n%s", diff)
			}
		})
	}
}

// TestGenuine: what somebody writes into the history that no rotation writes is left out, so that what comes of it can be told in a status.
func TestGenuine(t *testing.T) {
	at := func(text string) *time.Time {
		end, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return &end
	}
	good := func(generation int64) config.Pair { return config.Pair{Generation: generation, Token: "t"} }
	ending := func(generation int64, end string) config.Pair {
		return config.Pair{Generation: generation, Token: "t", NotAfter: at(end)}
	}
	for name, test := range map[string]struct {
		history []config.Pair
		want    []int64
	}{
		"none":                            {nil, nil},
		"what a rotation writes":          {[]config.Pair{good(3), ending(2, "2026-11-20T12:00:00Z"), ending(1, "2026-11-20T11:00:00+08:00")}, []int64{3, 2, 1}},
		"one alone that ends":             {[]config.Pair{ending(2, "2026-11-20T12:00:00Z")}, []int64{2}},
		"an end in a year of five digits": {[]config.Pair{good(2), ending(1, "9999-12-31T23:59:59-23:59")}, []int64{2}},
		"an end in a year of none":        {[]config.Pair{good(2), ending(1, "0000-01-01T00:00:00+23:59")}, []int64{2}},
		"an end at the edge of what fits": {[]config.Pair{good(3), ending(2, "8999-12-31T23:59:59Z"), ending(1, "8999-12-31T23:59:59-00:01")}, []int64{3, 2}},
		"the number of nothing":           {[]config.Pair{good(0)}, nil},
		"a number below":                  {[]config.Pair{good(2), good(-1)}, []int64{2}},
		"the greatest number":             {[]config.Pair{good(MaxGeneration), good(1)}, []int64{MaxGeneration, 1}},
		"one beyond":                      {[]config.Pair{good(MaxGeneration + 1), good(1)}, []int64{1}},
		"the greatest of the type":        {[]config.Pair{good(1<<63 - 1), good(1)}, []int64{1}},
		"one number twice":                {[]config.Pair{good(2), good(2), good(1)}, []int64{2, 1}},
		"numbers that count up":           {[]config.Pair{good(1), good(2)}, []int64{1}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []int64
			for _, pair := range Genuine(test.history) {
				got = append(got, pair.Generation)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, counter := range []int64{0, 1, MaxGeneration, 1<<63 - 1} {
				wanted := config.Pair{Token: "newer"}
				for range 3 { // whatever comes next is genuine, once it was read again
					pairs := Rotate(Genuine(test.history), wanted, Policy{Now: noon, Overlap: time.Hour, Counter: counter})
					if pairs[0].Generation < 1 || len(Genuine(Genuine(pairs))) == 0 && pairs[0].Generation <= MaxGeneration {
						t.Fatalf("counter %d: the next is of generation %d", counter, pairs[0].Generation)
					}
					test.history, counter = pairs, pairs[0].Generation
					wanted.Token += "r"
				}
			}
		})
	}
}
