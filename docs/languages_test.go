// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// englishOnly are pages, and folders of pages, without one in Chinese: who reads them changes code. In docs these are the decisions, and what is
// made of the comments in api/; docs/spec says in both languages what a field does.
var englishOnly = []string{"charts/", "docs/adr/", "docs/api.md", "sidecar/", "test/"}

// TestBothLanguagesSayTheSame: each page has one in Chinese, and each leads to the other. Both have the same headings by level, blocks, rows of
// tables and number of items in lists. A row has the same words between backticks and the same figures in both, and the Chinese page has all of
// these that the English one has: a field, a reason or a bound that is changed in one page and not in the other is found.
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
			t.Errorf("%s and %s have not the same headings (by level), blocks and items of lists:\n%s", name, name2, diff)
		}
		if err := sameRows(english, chinese); err != nil {
			t.Errorf("%s and %s: %v", name, name2, err)
		}
		missing := append(difference(english.Code, chinese.Code), difference(english.Figures, chinese.Figures)...)
		if len(missing) > 0 {
			t.Errorf("%s does not have %s, which %s has", name2, missing, name)
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
	return append(lines, fmt.Sprintf("%d items of lists", p.Items))
}

// sameRows tells the first row of a table that is not the same in both pages, but for its text.
func sameRows(english, chinese Page) error {
	for i := range max(len(english.Rows), len(chinese.Rows)) {
		if i >= len(english.Rows) || i >= len(chinese.Rows) {
			return fmt.Errorf("the tables have %d and %d rows", len(english.Rows), len(chinese.Rows))
		}
		a, b := english.Rows[i], chinese.Rows[i]
		other := append(difference(a.Code, b.Code), difference(b.Code, a.Code)...)
		if !slices.Equal(a.Figures, b.Figures) {
			return fmt.Errorf("the rows of the lines %d and %d have the figures %q and %q", a.Line, b.Line, a.Figures, b.Figures)
		}
		if a.Cells != b.Cells || len(other) > 0 {
			return fmt.Errorf("the rows of the lines %d and %d have %d and %d cells, and only one has %q", a.Line, b.Line, a.Cells, b.Cells, other)
		}
	}
	return nil
}

// difference is what only the first of two lists has.
func difference(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(word string) bool { return slices.Contains(b, word) })
}

func TestSameRows(t *testing.T) {
	english := "| field | meaning |\n|---|---|\n| `a` | one, as `b` |\n| `c` | within 5 s |\n"
	for name, test := range map[string]struct{ chinese, want string }{
		"only the text is another":        {"| 字段 | 含义 |\n|---|---|\n| `a` | 一，同 `b` |\n| `c` | 5 秒之内 |\n", ""},
		"a row is missing":                {"| 字段 | 含义 |\n|---|---|\n| `a` | 一，同 `b` |\n", "the tables have 4 and 3 rows"},
		"a row is too many":               {"| 字段 | 含义 |\n|---|---|\n| `a` | 一，同 `b` |\n| `c` | 5 秒之内 |\n| | |\n", "the tables have 4 and 5 rows"},
		"a word is missing":               {"| 字段 | 含义 |\n|---|---|\n| `a` | 一 |\n| `c` | 5 秒之内 |\n", "only one has [\"`b`\"]"},
		"a word is too many":              {"| 字段 | 含义 |\n|---|---|\n| `a` | 一，同 `b` |\n| `c` | `d`，5 秒之内 |\n", "only one has [\"`d`\"]"},
		"a cell is missing":               {"| 字段 | 含义 |\n|---|---|\n| `a` | 一，同 `b` |\n| `c`，5 秒之内 |\n", "have 2 and 1 cells"},
		"the rows stand in another order": {"| 字段 | 含义 |\n|---|---|\n| `c` | 5 秒之内 |\n| `a` | 一，同 `b` |\n", "the rows of the lines 3 and 3"},
		"a figure is another":             {"| 字段 | 含义 |\n|---|---|\n| `a` | 一，同 `b` |\n| `c` | 50 秒之内 |\n", "have the figures [\"5\"] and [\"50\"]"},
		"a word stands in another row":    {"| 字段 | 含义 |\n|---|---|\n| `a` | 一 |\n| `c` | 5 秒之内，`b` |\n", "the rows of the lines 3 and 3"},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := Parse(english)
			if err != nil {
				t.Fatal(err)
			}
			b, err := Parse(test.chinese)
			if err != nil {
				t.Fatal(err)
			}
			got := sameRows(a, b)
			if test.want == "" && got != nil || test.want != "" && (got == nil || !strings.Contains(got.Error(), test.want)) {
				t.Errorf("it says %v, want %q", got, test.want)
			}
		})
	}
}

var comment = regexp.MustCompile(`(?m)(^|[ \t]+)(#|//).*$`)
