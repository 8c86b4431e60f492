// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	const where = "file: a.go\ntests: ./a ./b\n\n"
	for name, test := range map[string]struct {
		text    string
		want    []mutation
		refused string
	}{
		"one of one line":           {text: where + "all pass\n- if bad {\n+ if false {\n", want: []mutation{{"all pass", "a.go", []string{"./a", "./b"}, "if bad {", "if false {"}}},
		"one of more lines":         {text: where + "all pass\n- \tif bad {\n-\n- }\n+ a\n+ b", want: []mutation{{"all pass", "a.go", []string{"./a", "./b"}, "\tif bad {\n\n}", "a\nb"}}},
		"one that only takes away":  {text: where + "all pass\n- bad ||\n", want: []mutation{{"all pass", "a.go", []string{"./a", "./b"}, "bad ||", ""}}},
		"two, the other elsewhere":  {text: where + "a\n- 1\n\nfile: b.go\n\nb\n- 2\n", want: []mutation{{"a", "a.go", []string{"./a", "./b"}, "1", ""}, {"b", "b.go", []string{"./a", "./b"}, "2", ""}}},
		"comments":                  {text: "# Why.\n\n" + where + "# More.\na\n- 1\n", want: []mutation{{"a", "a.go", []string{"./a", "./b"}, "1", ""}}},
		"one without a name":        {text: where + "- 1\n+ 2\n", refused: "has no name"},
		"one without a place":       {text: "a\n- 1\n", refused: "no file: or no tests:"},
		"one without a text":        {text: where + "a\n+ 1\n", refused: "no line with -"},
		"one that changes nothing":  {text: where + "a\n- 1\n+ 1\n", refused: "changes nothing"},
		"one that stands twice":     {text: where + "a\n- 1\n\na\n- 2\n", refused: "stands twice"},
		"two that are not apart":    {text: where + "a\n- 1\nb\n- 2\n", refused: "two names"},
		"a name without mutation":   {text: where + "a\n", refused: "no line with -"},
		"nothing but an empty line": {text: "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(test.text)
			if (err == nil) != (test.refused == "") || err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Fatalf("error %v, want %q", err, test.refused)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(mutation{})); diff != "" {
				t.Errorf("read otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

func TestApplyWantsItsTextOnce(t *testing.T) {
	m := mutation{file: "a.go", before: "bad", after: "false"}
	for source, want := range map[string]string{"if bad {": "if false {", "if good {": "", "bad, bad": ""} {
		if got, err := m.apply(source); got != want || (err == nil) != (want != "") {
			t.Errorf("%q became %q, error %v", source, got, err)
		}
	}
}

// TestMutationsOfThisRepositoryAreRead also holds that none of them is of yesterday's sources.
func TestMutationsOfThisRepositoryAreRead(t *testing.T) {
	t.Chdir("../..")
	mutations, err := read("test/mutation/*.txt", "")
	if err != nil || len(mutations) < 40 {
		t.Fatalf("%d mutations, error %v", len(mutations), err)
	}
	for _, m := range mutations {
		if _, err := writeOverlay(m, t.TempDir()+"/m"); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

func TestJudge(t *testing.T) {
	const passed, failed = `{"Action":"pass","Package":"m/a","Test":"TestA"}` + "\n", `{"Action":"fail","Package":"m/a","Test":"TestA/b"}` + "\n"
	const whole = `{"Action":"fail","Package":"m/a"}` + "\n"
	for name, test := range map[string]struct {
		events string
		want   verdict
	}{
		"every test passed":         {passed + `{"Action":"pass","Package":"m/a"}`, verdict{survived, "every test passed"}},
		"a test failed":             {passed + failed + `{"Action":"fail","Package":"m/a","Test":"TestA"}` + whole, verdict{killed, "by TestA/b"}},
		"the program ended":         {passed + whole, verdict{killed, "by a"}},
		"a test hung":               {`{"Action":"output","Package":"m/a","Test":"TestA/b","Output":"panic: test timed out after 2m0s\n"}` + failed + whole, verdict{killed, "by TestA/b, which hung"}},
		"the package was not built": {`{"ImportPath":"m/a","Action":"build-output","Output":"a.go:1: no\n"}` + `{"ImportPath":"m/a","Action":"build-fail"}` + whole, verdict{broken, "does not compile: a.go:1: no"}},
		"another was not built":     {failed + `{"ImportPath":"m/b","Action":"build-fail"}`, verdict{broken, "does not compile: "}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := judge(strings.NewReader(test.events)); got != test.want {
				t.Errorf("got %q", got)
			}
		})
	}
}
