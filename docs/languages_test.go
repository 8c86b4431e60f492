// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// englishOnly are pages, and folders of pages, without one in Chinese: who reads them reads code, or fields whose names are English.
var englishOnly = []string{
	"charts/", "docs/adr/", "docs/spec/", "docs/verify/", "sidecar/", "test/",
	"docs/architecture.md", "docs/cost.md", "docs/many-accounts.md", "docs/metrics.md", "docs/operations.md", "docs/performance.md", "docs/release.md",
	"docs/status.md", "docs/threat-model.md",
}

// TestBothLanguagesSayTheSame: each page has one in Chinese, with a heading for each heading and the same blocks, and each leads to the other.
func TestBothLanguagesSayTheSame(t *testing.T) {
	all, pairs := pages(t), 0
	for _, name := range names(all) {
		if other, isChinese := strings.CutSuffix(name, Chinese); isChinese {
			if _, exists := all[other+".md"]; !exists {
				t.Errorf("%s has no page in English", name)
			}
			continue
		}
		name2 := strings.TrimSuffix(name, ".md") + Chinese
		chinese, exists := all[name2]
		if inEnglishOnly := isEnglishOnly(name); inEnglishOnly || !exists {
			if inEnglishOnly == exists {
				t.Errorf("%s: there is a page in Chinese, or englishOnly names it, and not both", name)
			}
			continue
		}
		pairs++
		english := all[name]
		if diff := cmp.Diff(outline(english), outline(chinese)); diff != "" {
			t.Errorf("%s and %s have not the same headings (by level) and blocks:\n%s", name, name2, diff)
		}
		if !english.leadsTo(path.Base(name2)) || !chinese.leadsTo(path.Base(name)) {
			t.Errorf("%s and %s do not lead to each other", name, name2)
		}
		for _, link := range chinese.Links {
			file, anchor, local := target(name2, link.Target)
			if _, translated := all[strings.TrimSuffix(file, ".md")+Chinese]; local && translated && file != name && !strings.HasSuffix(file, Chinese) {
				t.Errorf("%s:%d leads to %s#%s, which there is in Chinese", name2, link.Line, file, anchor)
			}
		}
	}
	if pairs == 0 {
		t.Error("no page is there in both languages")
	}
}

func isEnglishOnly(name string) bool {
	for _, prefix := range englishOnly {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func (p Page) leadsTo(file string) bool {
	for _, link := range p.Links {
		if link.Target == file {
			return true
		}
	}
	return false
}

// outline is what a page has in both languages: the levels of its headings, and its blocks. Of commands and manifests everything is the same
// but the comments; what a program prints may be explained.
func outline(p Page) (lines []string) {
	for _, heading := range p.Headings {
		lines = append(lines, strings.Repeat("#", heading.Level))
	}
	for _, block := range p.Blocks {
		lines = append(lines, "<!-- "+block.Remark+" -->", "```"+block.Language)
		if block.Language != "" && block.Language != "mermaid" {
			lines = append(lines, strings.Split(comment.ReplaceAllString(block.Text, ""), "\n")...)
		}
	}
	return lines
}

var comment = regexp.MustCompile(`(?m)(^|[ \t]+)#.*$`)
