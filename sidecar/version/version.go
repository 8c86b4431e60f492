// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package version tells of which release a program is, and from which commit it was built. All programs of the project have it.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Written by the linker: -X github.com/wechatendpoint/wechatendpoint/sidecar/version.release=0.2.0, and .commit likewise. What it does
// not write is what Go itself knows of the build.
var release, commit string

// Build is where a program comes from.
type Build struct {
	// Version is the release's, such as 0.2.0, or dev.
	Version string
	// Commit has 40 hexadecimal digits, with -dirty where files differed from it. It is unknown outside of a checkout.
	Commit string
	// Go is the version of Go that built it, and Platform what it was built for, such as linux/arm64.
	Go, Platform string
}

// Get returns where the running program comes from.
func Get() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = new(debug.BuildInfo)
	}
	b := describe(release, commit, info)
	b.Go, b.Platform = runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH
	return b
}

func describe(release, commit string, info *debug.BuildInfo) Build {
	b := Build{Version: release, Commit: commit}
	if b.Version == "" && strings.HasPrefix(info.Main.Version, "v") { // go install …@v0.2.0; else it is (devel)
		b.Version = info.Main.Version[1:]
	}
	if b.Commit == "" {
		b.Commit = checkedOut(info.Settings)
	}
	if b.Version == "" {
		b.Version = "dev"
	}
	if b.Commit == "" {
		b.Commit = "unknown"
	}
	return b
}

// checkedOut is the commit of the checkout in which go build ran.
func checkedOut(settings []debug.BuildSetting) string {
	var revision, suffix string
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			suffix = "-dirty"
		}
	}
	if revision == "" {
		return ""
	}
	return revision + suffix
}

// String is one line for a person: 0.2.0 (commit 9f0c…, go1.26.8, linux/arm64).
func (b Build) String() string {
	return fmt.Sprintf("%s (commit %s, %s, %s)", b.Version, b.Commit, b.Go, b.Platform)
}

// Labels are those of a metric build_info, named as Prometheus names its own.
func (b Build) Labels() map[string]string {
	return map[string]string{"version": b.Version, "revision": b.Commit, "goversion": b.Go}
}
