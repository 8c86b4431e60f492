// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	const fence = "```"
	text := strings.Join([]string{
		"# The `page`, of a [link](a.md)",
		"See [one](b.md#c), `[none](x.md)` and ![two](d.png).",
		"## Same",
		"## Same",
		"### 安装，第 1 步",
		"<!-- run: TestPages -->",
		fence + "sh",
		"# no heading, [no](link.md)",
		"kubectl get wxe",
		fence,
		"- a list",
		"  <!-- file: a.sh -->",
		"  " + fence + "sh",
		"  ctr images ls",
		"  " + fence,
		fence,
		"NAME   READY",
		fence,
		"| a | `b` |",
		"|---|---|",
		"| `c\\|d 1` | 4,096 bytes, 5, APIv3 [10](e.md#11) |",
		"1. another list",
	}, "\n")
	got, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	want := Page{
		Headings: []Heading{
			{1, "The `page`, of a [link](a.md)", "the-page-of-a-link"}, {2, "Same", "same"}, {2, "Same", "same-1"}, {3, "安装，第 1 步", "安装第-1-步"},
		},
		Links: []Link{{1, "a.md"}, {2, "b.md#c"}, {2, "d.png"}, {21, "e.md#11"}},
		Blocks: []Block{
			{Line: 7, Language: "sh", Remark: "run: TestPages", Text: "# no heading, [no](link.md)\nkubectl get wxe\n"},
			{Line: 13, Language: "sh", Remark: "file: a.sh", Text: "ctr images ls\n"},
			{Line: 16, Text: "NAME   READY\n"},
		},
		Rows:    []Row{{Line: 19, Cells: 2, Code: []string{"`b`"}}, {Line: 20, Cells: 2}, {Line: 21, Cells: 2, Code: []string{"`c\\|d 1`"}, Figures: []string{"10", "4,096", "5"}}},
		Items:   2,
		Code:    []string{"`page`", "`[none](x.md)`", "`b`", "`c\\|d 1`"},
		Figures: []string{"1", "10", "4,096", "5"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Blocks[0].RunBy() != "TestPages" || got.Blocks[1].File() != "a.sh" || got.Blocks[2].RunBy()+got.Blocks[2].File() != "" {
		t.Error("a remark is not read as what it is")
	}
	if _, err := Parse(fence + "sh\nls\n"); err == nil || !strings.Contains(err.Error(), "line 1 is never closed") {
		t.Errorf("a fence that is never closed: %v", err)
	}
}

// TestPagesNameTheChartsVersion: who raises the one raises the other, and says in the changelog what is new.
func TestPagesNameTheChartsVersion(t *testing.T) {
	if chart := contents(t, "../charts/wechat-endpoint/Chart.yaml"); !strings.Contains(chart, "\nversion: "+Version+"\n") {
		t.Errorf("the pages name the release %s, and Chart.yaml has another version", Version)
	}
	all := pages(t)
	for _, name := range []string{"CHANGELOG.md", "CHANGELOG" + Chinese} {
		if headings := all[name].Headings; len(headings) < 2 || headings[1].Text != Version {
			t.Errorf("the first version in %s is not %s", name, Version)
		}
	}
	for name, page := range all {
		for _, block := range page.Blocks {
			for _, found := range release.FindAllStringSubmatch(block.Text, -1) {
				if found[1] != Version {
					t.Errorf("%s:%d names the release %s", name, block.Line, found[1])
				}
			}
		}
	}
}

// release is how blocks name one: in what helm is told, in the address of a file, and in its name.
var release = regexp.MustCompile(`(?:--version |/download/v|wechat-endpoint-|wechatendpoint-|kubectl-wechat-|example-app:)(\d+\.\d+\.\d+)`)
