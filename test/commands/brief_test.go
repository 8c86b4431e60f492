// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import "testing"

func TestBrief(t *testing.T) {
	for name, test := range map[string]struct{ block, want string }{
		"a trial that takes long is made short":               {"make soak    # an hour\n", "make soak SOAK=1m    # an hour\n"},
		"what a line says stays":                              {"make soak SOAK=3m\n", "make soak SOAK=3m\n"},
		"what a line says in quotes stays":                    {"make soak SOAK_FLAGS='-plot a b'\n", "make soak SOAK_FLAGS='-plot a b' SOAK=1m\n"},
		"a longer name is another variable":                   {"make bench PEERS=a ROUNDS=1 SECONDS=1 COLUMNS=b\n", "make bench PEERS=a ROUNDS=1 SECONDS=1 COLUMNS=b\n"},
		"flags of the operator's benchmark are kept":          {"make bench-operator BENCH='-rounds 5 -profiles p'\n", "make bench-operator BENCH='-quick -rounds 5 -profiles p'\n"},
		"the operator's benchmark without flags":              {"make bench-operator\n", "make bench-operator BENCH=-quick\n"},
		"the operator's benchmark that is quick":              {"make bench-operator BENCH=-quick\n", "make bench-operator BENCH=-quick\n"},
		"what is short stays, and what another command calls": {"make try\ncd a && make soak\nmake check\n", "make try\ncd a && make soak\nmake check\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := brief(test.block); got != test.want {
				t.Errorf("%q", got)
			}
		})
	}
}
