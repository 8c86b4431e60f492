// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLedger(t *testing.T) {
	many := func(text string, times int) []string {
		return strings.Split(strings.Repeat(text+"\n", times-1)+text, "\n")
	}
	for name, row := range map[string]struct {
		texts []string
		want  Seen
	}{
		"nothing came":                           {nil, Seen{}},
		"each number is counted":                 {[]string{text("a", 0), text("a", 2)}, Seen{Counts: map[string][]byte{"a": {1, 0, 1}}}},
		"a number that comes again":              {[]string{text("a", 1), text("a", 1)}, Seen{Counts: map[string][]byte{"a": {0, 2}}}},
		"the loads are counted apart":            {[]string{text("a", 0), text("b", 0)}, Seen{Counts: map[string][]byte{"a": {1}, "b": {1}}}},
		"a count ends at 255":                    {many(text("a", 0), 300), Seen{Counts: map[string][]byte{"a": {255}}}},
		"a text that is no load's":               {[]string{"hello", "", "chaos", "order a 1"}, Seen{Strange: map[string]int{"": 4}}},
		"a load's text that has no number":       {[]string{"chaos a forged", "chaos a 1 2", "chaos a -1", "chaos a"}, Seen{Strange: map[string]int{"a": 4}}},
		"a name that is too long is no load's":   {[]string{text(strings.Repeat("a", maxName+1), 0)}, Seen{Strange: map[string]int{"": 1}}},
		"there is no room for a greater number":  {[]string{text("a", 3), text("a", 4)}, Seen{Counts: map[string][]byte{"a": {0, 0, 0, 1}}, Uncounted: 1}},
		"there is no room for a third load":      {[]string{text("a", 0), text("b", 0), text("c", 0)}, Seen{Counts: map[string][]byte{"a": {1}, "b": {1}}, Uncounted: 1}},
		"nor for strange texts of a fourth load": {[]string{"", "chaos a x", "chaos b x", "chaos c x"}, Seen{Strange: map[string]int{"": 1, "a": 1, "b": 1}, Uncounted: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			ledger := NewLedger(2, 4)
			for _, text := range row.texts {
				ledger.Note(text)
			}
			if row.want.Counts == nil {
				row.want.Counts = map[string][]byte{}
			}
			if row.want.Strange == nil {
				row.want.Strange = map[string]int{}
			}
			if diff := cmp.Diff(row.want, ledger.Seen()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatWasSeenIsACopy(t *testing.T) {
	ledger := NewLedger(1, 1)
	ledger.Note(text("a", 0))
	seen := ledger.Seen()
	ledger.Note(text("a", 0))
	ledger.Note("strange")
	if diff := cmp.Diff(Seen{Counts: map[string][]byte{"a": {1}}, Strange: map[string]int{}}, seen); diff != "" {
		t.Errorf("it changed afterwards:\n%s", diff)
	}
}
