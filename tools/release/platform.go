// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// platform is an operating system and an architecture, as Go names them.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "/" + p.arch }

// allPlatforms are those of a release: the plugin is made for each, the images for those of Linux.
var allPlatforms = []platform{
	{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"}, {"windows", "arm64"},
}

// parsePlatforms reads a list such as linux/amd64,darwin/arm64; without one it is all.
func parsePlatforms(list string) ([]platform, error) {
	if list == "" {
		return allPlatforms, nil
	}
	var chosen []platform
	for word := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(allPlatforms, func(p platform) bool { return p.String() == word })
		switch {
		case i < 0:
			return nil, fmt.Errorf("PLATFORMS has %q: choose from %v, with a comma between them", word, allPlatforms)
		case slices.Contains(chosen, allPlatforms[i]):
			return nil, fmt.Errorf("PLATFORMS has %s twice", word)
		}
		chosen = append(chosen, allPlatforms[i])
	}
	if !slices.ContainsFunc(chosen, func(p platform) bool { return p.os == "linux" }) {
		return nil, errors.New("PLATFORMS has none of Linux, which the images are made for")
	}
	return chosen, nil
}

// architectures are those that images are made for.
func (r release) architectures() []string {
	var all []string
	for _, p := range r.platforms {
		if p.os == "linux" {
			all = append(all, p.arch)
		}
	}
	return all
}
