// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"regexp"
	"strings"
)

// lengths are what makes a trial short, by the target of make: where a line does not set a variable, it gets this one.
var lengths = map[string][]string{
	"bench":          {"COLUMNS=post-32", "ROUNDS=1", "SECONDS=0.1"},
	"bench-operator": {"BENCH=-quick"},
	"soak":           {"SOAK=1m"},
}

var makeLine = regexp.MustCompile(`^make ([a-z-]+)((?: [A-Z_]+=(?:'[^']*'|\S+))*)`)

// brief makes the trials of a block short. What they show is not judged by how long they take, and the figures are thrown away.
func brief(block string) string {
	var lines strings.Builder
	for line := range strings.Lines(block) {
		if found := makeLine.FindStringSubmatch(line); found != nil {
			target, given := found[1], found[2]
			rest := line[len(found[0]):]
			if target == "bench-operator" {
				given = strings.Replace(given, " BENCH='", " BENCH='-quick ", 1)
			}
			for _, length := range lengths[target] {
				name, _, _ := strings.Cut(length, "=")
				if !strings.Contains(given, " "+name+"=") {
					given += " " + length
				}
			}
			line = "make " + target + given + rest
		}
		lines.WriteString(line)
	}
	return lines.String()
}
