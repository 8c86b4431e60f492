// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestTries plays what becomes of each try, the last one again and again, and holds when the tries begin. A silent one takes 5 s, the others no time.
func TestTries(t *testing.T) {
	const silence = 5 * time.Second
	at := func(seconds ...float64) (all []time.Duration) {
		for _, s := range seconds {
			all = append(all, time.Duration(s*float64(time.Second)))
		}
		return all
	}
	for name, row := range map[string]struct {
		model    Model
		outcomes []Outcome
		want     []time.Duration
	}{
		"a message that is taken is sent once":                                    {Prompt, []Outcome{Taken}, at(0)},
		"silence: three tries, 5 s apart":                                         {Prompt, []Outcome{Silent}, at(0, 5, 10)},
		"the same in model B":                                                     {Patient, []Outcome{Silent}, at(0, 5, 10)},
		"refused: three more tries within a second":                               {Prompt, []Outcome{Refused}, at(0, 0.3, 0.6, 0.9)},
		"refused in model B: three more, 5 s apart":                               {Patient, []Outcome{Refused}, at(0, 5, 10, 15)},
		"a connection that breaks is like a refusal":                              {Prompt, []Outcome{Broken}, at(0, 0.3, 0.6, 0.9)},
		"and in model B":                                                          {Patient, []Outcome{Broken}, at(0, 5, 10, 15)},
		"the second try is taken":                                                 {Prompt, []Outcome{Refused, Taken}, at(0, 0.3)},
		"silence, then refused twice: the tries before count":                     {Prompt, []Outcome{Silent, Refused}, at(0, 5, 5.3, 5.6)},
		"refused, then silence: the third try is the last one that may be silent": {Prompt, []Outcome{Refused, Refused, Silent}, at(0, 0.3, 0.6)},
		"refused three times, then silence":                                       {Prompt, []Outcome{Refused, Refused, Refused, Silent}, at(0, 0.3, 0.6, 0.9)},
	} {
		t.Run(name, func(t *testing.T) {
			var got []time.Duration
			var now time.Duration
			for again := true; again; {
				got = append(got, now)
				outcome := row.outcomes[min(len(got), len(row.outcomes))-1]
				if outcome == Silent {
					now += silence
				}
				var pause time.Duration
				pause, again = row.model.Next(len(got), outcome)
				now += pause
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("tries begin at (-want +got):\n%s", diff)
			}
		})
	}
}
