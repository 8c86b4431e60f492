// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest = regexp.MustCompile("`((?:Test|Fuzz)[A-Z][A-Za-z]+)`")
	testFunc  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
)

// read returns the files of the repository whose names end so, by path from here.
func read(t *testing.T, suffix string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git" || entry.Name() == "bin") {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, suffix) {
			return nil
		}
		content, err := os.ReadFile(path)
		files[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestNamedTestsExist(t *testing.T) {
	exist := map[string]bool{}
	for _, source := range read(t, "_test.go") {
		for _, match := range testFunc.FindAllStringSubmatch(source, -1) {
			exist[match[1]] = true
		}
	}
	named := 0
	for path, text := range read(t, ".md") {
		for _, match := range namedTest.FindAllStringSubmatch(text, -1) {
			if named++; !exist[match[1]] {
				t.Errorf("%s names %s, and there is no such test", path, match[1])
			}
		}
	}
	if named == 0 {
		t.Error("no document names a test")
	}
}

var reasonConstant = regexp.MustCompile(`(?m)^\t(Reason\w+)\s+= "(\w+)"`)

// TestEveryReasonIsDocumentedAndTested: a reason that a user may meet stands in status.md with what to do, and in a row of the
// operator's tests, which produces it, with a part of the message that leads there.
func TestEveryReasonIsDocumentedAndTested(t *testing.T) {
	constants, err := os.ReadFile("../api/v1alpha1/conditions.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for path, source := range read(t, "_test.go") {
		if strings.HasPrefix(path, "../controllers/") {
			tests.WriteString(source)
		}
	}
	reasons := reasonConstant.FindAllSubmatch(constants, -1)
	for _, reason := range reasons {
		for _, page := range []string{"status.md", "status" + Chinese} {
			if !strings.Contains(contents(t, page), "`"+string(reason[2])+"`") {
				t.Errorf("%s does not say what reason %s means and what to do", page, reason[2])
			}
		}
		if !regexp.MustCompile(`v1alpha1\.` + string(reason[1]) + `, (?:message: )?"[^"]`).MatchString(tests.String()) {
			t.Errorf("no row of the operator's tests has reason %s and a part of its message", reason[2])
		}
	}
	if len(reasons) < 20 {
		t.Errorf("only %d reasons were found", len(reasons))
	}
}
