// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"
)

// shell is the language of the blocks that hold commands.
const shell = "sh"

// TestEachCommandIsRun: the remark in the line before a block of commands names what runs it: a test that reads pages, or a script of CI.
func TestEachCommandIsRun(t *testing.T) {
	for test, file := range readers {
		test, _, _ = strings.Cut(test, "/")
		if !strings.Contains(contents(t, "../"+file), "func "+test+"(") {
			t.Errorf("%s has no %s", file, test)
		}
	}
	all, run := pages(t), 0
	for _, name := range names(all) {
		for _, block := range all[name].Blocks {
			by := block.RunBy()
			switch {
			case block.Language == "" && prompt.MatchString(block.Text):
				t.Errorf("%s:%d looks like commands: write ```sh, without a prompt, and what they print into a block of its own", name, block.Line)
			case block.Language != shell:
				continue
			case readers[by] != "":
			case scripts[by] != nil:
				for command := range strings.Lines(block.Text) {
					if err := scripts[by](contents(t, "../"+by), strings.Replace(name, Chinese, ".md", 1), command); err != nil {
						t.Errorf("%s:%d: %v", name, block.Line, err)
					}
				}
			default:
				t.Errorf("%s:%d: nothing runs these commands: write <!-- %sTestPages --> into the line before, and the page into that test; the line says %q", name, block.Line, runBy, block.Remark)
			}
			run++
		}
	}
	if run < 150 {
		t.Errorf("only %d blocks are run", run)
	}
}

// readers are the tests that run the commands of pages, and their files. Each fails if a page names it which it does not know.
var readers = map[string]string{
	"TestPages":                          "test/e2e/documents_test.go",
	"TestInstallationPages":              "test/e2e/documents_test.go",
	"TestInstallationPages/without_helm": "test/e2e/documents_test.go",
	"TestInstallation":                   "test/e2e/installation_test.go",
	"TestCommands":                       "test/commands/commands_test.go",
}

// scripts of CI run commands of pages. Each says whether it runs one, as it stands on a page.
var scripts = map[string]func(script, page, command string) error{
	".ci/run": func(script, _, command string) error {
		command, _, _ = strings.Cut(command, "#")
		if command = strings.TrimSpace(command); !slices.Contains(strings.Split(script, "\n"), command) {
			return fmt.Errorf("it has no line %q", command)
		}
		return nil
	},
	".github/workflows/release.yaml": func(script, page, _ string) error {
		if !strings.Contains(script, "go run ./hack/page "+page) {
			return fmt.Errorf("it does not run the commands of %s", page)
		}
		return nil
	},
}

var prompt = regexp.MustCompile(`(?m)^(\$ .*|(kubectl|helm|make|curl|go|docker) [^=]*)$`)

// TestEachCommandIsWellFormed: the shell can parse it, and each program knows what it is asked for. So for those in the text, between backticks.
func TestEachCommandIsWellFormed(t *testing.T) {
	known := readKnown(t)
	all, inText := pages(t), 0
	for _, name := range names(all) {
		for _, code := range all[name].Code {
			if !likeCommand.MatchString(code) {
				continue
			}
			inText++
			if _, err := known.checkAll(strings.Trim(code, "`"), nil); err != nil {
				t.Errorf("%s: %s: %v", name, code, err)
			}
		}
		var functions []string // of the page so far
		for _, block := range all[name].Blocks {
			if block.Language != shell {
				continue
			}
			var err error
			if functions, err = known.checkAll(block.Text, functions); err != nil {
				t.Errorf("%s:%d: %v", name, block.Line, err)
			}
		}
	}
	if inText < 300 {
		t.Errorf("only %d commands are in the text", inText)
	}
}

var likeCommand = regexp.MustCompile("^`(kubectl|helm|make|go) ")

// checkAll says what of a text is not known, and returns the functions that there are after it.
func (k known) checkAll(text string, functions []string) ([]string, error) {
	script, err := parseShell(text)
	if err != nil {
		return functions, err
	}
	functions = append(functions, script.functions...)
	var errs []error
	for _, words := range script.commands {
		if err := k.check(words); err != nil && !slices.Contains(functions, words[0]) {
			errs = append(errs, fmt.Errorf("%s: %w", strings.Join(words, " "), err))
		}
	}
	return functions, errors.Join(errs...)
}

// script is what a block of commands consists of.
type script struct {
	commands  [][]string // each as its words
	documents []string   // that are handed to them
	functions []string   // that it declares
}

func parseShell(text string) (script, error) {
	var s script
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		return s, err
	}
	syntax.Walk(file, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.FuncDecl:
			s.functions = append(s.functions, node.Name.Value)
		case *syntax.CallExpr:
			var words []string
			for _, word := range node.Args {
				words = append(words, source(text, word))
			}
			if len(words) > 0 {
				s.commands = append(s.commands, words)
			}
		case *syntax.Redirect:
			if node.Hdoc != nil {
				s.documents = append(s.documents, node.Hdoc.Lit())
			}
		}
		return true
	})
	return s, nil
}

// source is a word as it is written, without quotes around it.
func source(text string, word *syntax.Word) string {
	return strings.Trim(text[word.Pos().Offset():word.End().Offset()], `"'`)
}

// known is what the programs of the pages know.
type known struct {
	values  any // of the chart
	targets map[string]bool
	make    string
	plugin  string // its help
}

var makeTargets = regexp.MustCompile(`(?m)^([a-z][a-z0-9 -]*):(?:[^=]|$)`)

func readKnown(t *testing.T) known {
	t.Helper()
	k := known{values: readValues(t), targets: map[string]bool{}}
	files, err := filepath.Glob("../hack/*.mk")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../Makefile") {
		k.make += contents(t, file)
	}
	for _, match := range makeTargets.FindAllStringSubmatch(k.make, -1) {
		for target := range strings.FieldsSeq(match[1]) {
			k.targets[target] = true
		}
	}
	k.plugin = contents(t, "../cmd/kubectl-wechat/internal/plugin/testdata/help-en.txt")
	return k
}

func contents(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Words that the pages may use. A new one is added here by whoever has tried it.
var (
	programs = strings.Fields("base64 break cd cosign crane ctr curl cut echo for gh go grep head install mkdir oc openssl perf printf read sed seq sha256sum shasum sleep sort sudo tar tr " +
		"until wc while od rm ls cat xargs date bin/try bin/demo export")
	helmVerbs    = strings.Fields("get history install package pull registry rollback show status template test uninstall upgrade")
	kubectlVerbs = strings.Fields("annotate api-resources apply config create delete describe drain edit explain expose get krew kustomize label logs patch port-forward rollout version wait wechat")
)

// check says what of a command is not known.
func (k known) check(words []string) error {
	program := words[0]
	switch {
	case program == "make":
		return k.checkMake(words[1:])
	case program == "helm":
		return k.checkHelm(words)
	case program == "kubectl":
		return k.checkKubectl(words)
	case strings.HasPrefix(program, "KUBEBUILDER_ASSETS="), slices.Contains(programs, program):
		return nil
	}
	if _, err := os.Stat(filepath.Join("..", program)); err == nil {
		return nil // a script of this repository
	}
	return fmt.Errorf("programs in commands_test.go does not have %s", program)
}

func (k known) checkMake(words []string) error {
	for _, word := range words {
		name, _, assigns := strings.Cut(word, "=")
		if assigns && !regexp.MustCompile(`\b`+name+`\b`).MatchString(k.make) {
			return fmt.Errorf("the Makefile has no variable %s", name)
		}
		if !assigns && !strings.HasPrefix(word, "-") && !k.targets[word] {
			return fmt.Errorf("the Makefile has no target %s", word)
		}
	}
	return nil
}

func (k known) checkHelm(words []string) error {
	if verb := verbOf(words); !slices.Contains(helmVerbs, verb) {
		return fmt.Errorf("helmVerbs has no %q", verb)
	}
	for i, word := range words {
		if word == "--reuse-values" {
			return fmt.Errorf("with it a value that a new chart adds has no default: --reset-then-reuse-values")
		}
		if strings.HasPrefix(word, "--set") && i+1 < len(words) {
			key, _, _ := strings.Cut(strings.Trim(words[i+1], `"'`), "=")
			if err := checkKey(k.values, key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (k known) checkKubectl(words []string) error {
	verb := verbOf(words)
	if !slices.Contains(kubectlVerbs, verb) {
		return fmt.Errorf("kubectlVerbs has no %q", verb)
	}
	at := slices.Index(words, "wechat")
	if verb != "wechat" || at+1 >= len(words) {
		return nil
	}
	if command := words[at+1]; !strings.Contains(k.plugin, "kubectl wechat "+command+" ") {
		return fmt.Errorf("the plugin has no command %s", command)
	}
	for _, word := range words[at+2:] {
		flag, _, _ := strings.Cut(word, "=")
		if strings.HasPrefix(flag, "--") && !regexp.MustCompile(regexp.QuoteMeta(flag)+`\b`).MatchString(k.plugin) {
			return fmt.Errorf("the plugin has no flag %s", flag)
		}
	}
	return nil
}

// verbOf is the first word behind the program that is no flag and no flag's value.
func verbOf(words []string) string {
	for i := 1; i < len(words); i++ {
		switch {
		case words[i] == "-n" || words[i] == "--namespace" || words[i] == "--context" || words[i] == "--kubeconfig":
			i++
		case !strings.HasPrefix(words[i], "-"):
			return words[i]
		}
	}
	return ""
}
