// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package version

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestWhereAProgramComesFrom(t *testing.T) {
	const a, b = "0123456789abcdef0123456789abcdef01234567", "89abcdef0123456789abcdef0123456789abcdef"
	checkout := []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: b}, {Key: "vcs.modified", Value: "false"}}
	changed := []debug.BuildSetting{{Key: "vcs.revision", Value: b}, {Key: "vcs.modified", Value: "true"}}
	for name, test := range map[string]struct {
		release, commit string
		module          string
		settings        []debug.BuildSetting
		want            Build
	}{
		"a release says what the linker wrote":              {"0.2.0", a, "(devel)", nil, Build{Version: "0.2.0", Commit: a}},
		"the linker's word counts more than the checkout's": {"0.2.0", a, "v0.3.0", checkout, Build{Version: "0.2.0", Commit: a}},
		"make build knows the commit by its checkout":       {"dev", "", "v0.0.0-2026+dirty", checkout, Build{Version: "dev", Commit: b}},
		"a changed file makes it dirty":                     {"dev", "", "(devel)", changed, Build{Version: "dev", Commit: b + "-dirty"}},
		"go install says the module's version":              {"", "", "v0.2.0", nil, Build{Version: "0.2.0", Commit: "unknown"}},
		"go build without anything is dev":                  {"", "", "(devel)", nil, Build{Version: "dev", Commit: "unknown"}},
		"a build that tells nothing is dev":                 {"", "", "", nil, Build{Version: "dev", Commit: "unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			info := &debug.BuildInfo{Main: debug.Module{Version: test.module}, Settings: test.settings}
			if got := describe(test.release, test.commit, info); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestAPersonReadsOneLine(t *testing.T) {
	b := Build{Version: "0.2.0", Commit: "9f0c", Go: "go1.26.8", Platform: "linux/arm64"}
	if got, want := b.String(), "0.2.0 (commit 9f0c, go1.26.8, linux/arm64)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if running := Get(); running.Version == "" || running.Commit == "" || !strings.HasPrefix(running.Go, "go") || !strings.Contains(running.Platform, "/") {
		t.Errorf("the running program has %+v", running)
	}
}
