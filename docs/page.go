// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package docs reads the pages of the documentation, for the tests of what they say: that each link leads somewhere, that both languages
// say the same, and that each command works.
package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Page is a file in Markdown.
type Page struct {
	Headings []Heading
	Links    []Link
	Blocks   []Block
	Rows     []Row
	Items    int      // of all lists
	Code     []string // what stands between backticks, outside of blocks, in the order of the text
	Figures  []string // the numbers beside these, of the lines in their order; not those that count the items of a list
}

// Row is a line of a table. The line below the head of a table is one, too.
type Row struct {
	Line    int
	Cells   int
	Code    []string // what stands between backticks
	Figures []string // numbers beside these, sorted; not the digits of a word such as APIv3
}

// Heading is one of a page's.
type Heading struct {
	Level  int
	Text   string
	Anchor string // by which a link names it, as GitHub makes it of the text
}

// Link is what stands in the brackets behind a text.
type Link struct {
	Line   int
	Target string
}

// Block is text between two fences.
type Block struct {
	Line     int    // of the first fence, from 1
	Language string // as the first fence says: sh, yaml; empty for what a program says
	Text     string
	Remark   string // of the HTML comment in the line before; readers do not see it
}

// Version is the release that the pages name. The chart has the same version.
const Version = "0.1.0"

// Chinese ends the name of a page in Chinese, beside the one in English, whose name ends with .md alone.
const Chinese = ".zh-CN.md"

// What the remark of a block may begin with.
const (
	runBy  = "run: "  // what runs it
	isFile = "file: " // the name of the file in which the commands find the block
)

// RunBy is the name of the test, or the path of the script of CI, that runs the block; empty if it does not say.
func (b Block) RunBy() string { return b.after(runBy) }

// File is the name under which the test of the page finds the block in its folder; empty if it is none.
func (b Block) File() string { return b.after(isFile) }

func (b Block) after(prefix string) string {
	if rest, found := strings.CutPrefix(b.Remark, prefix); found {
		return rest
	}
	return ""
}

// Read returns the pages below a folder, by their paths from there.
func Read(root string) (map[string]Page, error) {
	pages := map[string]Page{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git" || entry.Name() == "bin" || entry.Name() == "dist"):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".md":
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		page, err := Parse(string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", relative, err)
		}
		pages[filepath.ToSlash(relative)] = page
		return nil
	})
	return pages, err
}

var (
	headingLine = regexp.MustCompile(`^(#{1,6}) +(.+?) *$`)
	fenceLine   = regexp.MustCompile("^( *)```([a-z]*) *$")
	remarkLine  = regexp.MustCompile(`^ *<!-- (.+) -->$`)
	linkText    = regexp.MustCompile(`\]\(([^()\s]+(?:\([^()\s]*\)[^()\s]*)*)\)`)
	linkUsed    = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	inlineCode  = regexp.MustCompile("`[^`]*`")
	itemLine    = regexp.MustCompile(`^ *(?:-|\d+\.) `)
	figure      = regexp.MustCompile(`\b\d[\d.,]*`)
)

// Parse reads a page. It knows as much of Markdown as the pages here use: headings with #, fences of three backticks, links with their target
// in the text.
func Parse(text string) (Page, error) {
	var page Page
	anchors := map[string]int{}
	remark, inside := "", false
	indent := ""
	for i, line := range strings.Split(text, "\n") {
		fence := fenceLine.FindStringSubmatch(line)
		switch {
		case fence != nil && !inside:
			inside, indent = true, fence[1]
			page.Blocks = append(page.Blocks, Block{Line: i + 1, Language: fence[2], Remark: remark})
		case fence != nil && fence[2] == "":
			inside = false
		case inside:
			block := &page.Blocks[len(page.Blocks)-1]
			block.Text += strings.TrimPrefix(line, indent) + "\n"
		default:
			if found := headingLine.FindStringSubmatch(line); found != nil {
				heading := Heading{Level: len(found[1]), Text: found[2], Anchor: anchor(found[2])}
				if n := anchors[heading.Anchor]; n > 0 {
					heading.Anchor += "-" + strconv.Itoa(n)
				}
				anchors[anchor(found[2])]++
				page.Headings = append(page.Headings, heading)
			}
			for _, found := range linkText.FindAllStringSubmatch(inlineCode.ReplaceAllString(line, ""), -1) {
				page.Links = append(page.Links, Link{i + 1, found[1]})
			}
			code, numbers := inlineCode.FindAllString(line, -1), figures(itemLine.ReplaceAllString(line, ""))
			page.Code, page.Figures = append(page.Code, code...), append(page.Figures, numbers...)
			if cells := strings.Count(line, "|") - strings.Count(line, `\|`) - 1; strings.HasPrefix(line, "|") {
				page.Rows = append(page.Rows, Row{Line: i + 1, Cells: cells, Code: code, Figures: numbers})
			}
			if itemLine.MatchString(line) {
				page.Items++
			}
		}
		remark = ""
		if found := remarkLine.FindStringSubmatch(line); found != nil && !inside {
			remark = found[1]
		}
	}
	if inside {
		return page, fmt.Errorf("the fence in line %d is never closed", page.Blocks[len(page.Blocks)-1].Line)
	}
	return page, nil
}

// figures are the numbers of a line, but for numbers in code and in addresses.
func figures(line string) []string {
	found := figure.FindAllString(linkText.ReplaceAllString(inlineCode.ReplaceAllString(line, ""), "]"), -1)
	for i := range found {
		found[i] = strings.TrimRight(found[i], ".,")
	}
	slices.Sort(found)
	return found
}

// anchor is what GitHub makes of a heading: letters and digits of every script in lower case, hyphens for spaces, and nothing else.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, linkUsed.ReplaceAllString(heading, "$1"))
}
