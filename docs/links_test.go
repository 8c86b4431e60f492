// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// homepage is how other places name the files of this repository.
const homepage = "https://github.com/wechatendpoint/wechatendpoint/blob/main/"

// pages reads all of them.
func pages(t *testing.T) map[string]Page {
	t.Helper()
	all, err := Read("..")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 30 {
		t.Fatalf("only %d pages were found", len(all))
	}
	return all
}

// names are the paths of the pages, sorted.
func names(all map[string]Page) []string { return slices.Sorted(maps.Keys(all)) }

func TestEachLinkLeadsSomewhere(t *testing.T) {
	all, followed := pages(t), 0
	for _, name := range names(all) {
		for _, link := range all[name].Links {
			file, anchor, local := target(name, link.Target)
			if !local {
				continue
			}
			followed++
			if _, err := os.Stat(filepath.Join("..", file)); err != nil {
				t.Errorf("%s:%d has a link to %s, which is not there", name, link.Line, link.Target)
				continue
			}
			if page, isPage := all[file]; anchor != "" && (!isPage || !page.hasAnchor(anchor)) {
				t.Errorf("%s:%d has a link to %s, and no heading of %s has that anchor", name, link.Line, link.Target, file)
			}
		}
	}
	if followed < 150 {
		t.Errorf("only %d links were followed", followed)
	}
}

// target tells the file and the anchor that a link of a page leads to; local is false where that is not a file of this repository.
func target(from, link string) (file, anchor string, local bool) {
	link, ours := strings.CutPrefix(link, homepage)
	if strings.Contains(link, ":") {
		return "", "", false
	}
	file, anchor, _ = strings.Cut(link, "#")
	switch {
	case ours:
		return path.Clean(file), anchor, true
	case file == "":
		return from, anchor, true
	}
	return path.Join(path.Dir(from), file), anchor, true
}

func (p Page) hasAnchor(anchor string) bool {
	return slices.ContainsFunc(p.Headings, func(h Heading) bool { return h.Anchor == anchor })
}
