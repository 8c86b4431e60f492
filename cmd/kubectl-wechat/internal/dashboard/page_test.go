// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
)

// module reads a file of the page.
func module(t *testing.T, name string) string {
	t.Helper()
	data, err := files.ReadFile("page/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// own are the modules that are not a library's.
var own = []string{"app.js", "parts.js", "charts.js", "api.js"}

var (
	asksFor  = regexp.MustCompile(`\bt\(\s*"([^"]+)"\s*[,)]`)
	chooses  = regexp.MustCompile(`\bt\(([^()]*\?[^()]*|\{[^}]*\}[^()]*)[,)]`)
	quoted   = regexp.MustCompile(`"([a-zA-Z0-9]+)"`)
	familyOf = regexp.MustCompile(`"([a-z]+\.)"`)
)

// TestThePageHasAWordForAllThatItSays: each name that the modules ask for is there, and each that is there is asked for.
func TestThePageHasAWordForAllThatItSays(t *testing.T) {
	all, asked, families := words(text.English), map[string]bool{}, map[string]bool{}
	for _, name := range own {
		code := module(t, name)
		for _, match := range asksFor.FindAllStringSubmatch(code, -1) {
			asked[match[1]] = true
			if all[match[1]] == "" {
				t.Errorf("%s: there is no word %q", name, match[1])
			}
		}
		for _, match := range chooses.FindAllStringSubmatch(code, -1) {
			for _, one := range quoted.FindAllStringSubmatch(match[1], -1) {
				asked[one[1]] = true
			}
		}
		for _, match := range familyOf.FindAllStringSubmatch(code, -1) {
			families[match[1]] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		family, _, has := strings.Cut(name, ".")
		if has && !families[family+"."] || !has && !asked[name] {
			t.Errorf("nobody asks for the word %q", name)
		}
	}
	for _, one := range outcome.All {
		if all["outcome."+string(one)] == "" {
			t.Errorf("there is no word for the outcome %s", one)
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(words(text.Chinese)))); diff != "" {
		t.Error(diff)
	}
}

// TestThePageTakesNothingForMarkup: no module of the project's has a way to make markup or code of text, and none names another server.
func TestThePageTakesNothingForMarkup(t *testing.T) {
	for _, name := range append([]string{"index.html", "style.css"}, own...) {
		for _, way := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "setTimeout(\"", "http://", "https://", "@import", "url(", "document.cookie"} {
			if strings.Contains(module(t, name), way) {
				t.Errorf("%s has %s", name, way)
			}
		}
	}
	if page := module(t, "index.html"); regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script>`).MatchString(page) {
		t.Error("index.html has code or style in it, which the policy forbids")
	}
}

// TestEachFileOfThePageIsServed, but for what is about the library.
func TestEachFileOfThePageIsServed(t *testing.T) {
	var there []string
	err := fs.WalkDir(files, "page", func(path string, entry fs.DirEntry, err error) error {
		if name := strings.TrimPrefix(path, "page/"); err == nil && !entry.IsDir() && name != "libraries.txt" {
			there = append(there, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(there, slices.Sorted(slices.Values(pageFiles))); diff != "" {
		t.Error(diff)
	}
}
