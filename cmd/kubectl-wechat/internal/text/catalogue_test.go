// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package text

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// speakers are the functions that take a message, with the places of the messages among their arguments.
var speakers = map[string][]int{
	"New": {0}, "Errorf": {0}, "Sprintf": {0}, "say": {0}, "line": {0, 1}, "ok": {0}, "found": {0}, "skipped": {0}, "failed": {1}, "note": {0}, "wrong": {0}, "StringArrayVar": {3},
	"StringVar": {3}, "BoolVar": {3}, "DurationVar": {3}, "IntVar": {3}, "Uint16Var": {3}, "BoolVarP": {4}, "StringVarP": {4}, "String": {2}, "BoolP": {3},
}

// messages are what the plugin says, each with a place where it does.
type messages struct {
	at     map[string]token.Position
	consts map[string]ast.Expr
	files  *token.FileSet
}

// readMessages reads the plugin's own source, and the flags that it has from kubectl.
func readMessages(t *testing.T) messages {
	t.Helper()
	m := messages{at: map[string]token.Position{}, consts: map[string]ast.Expr{}, files: token.NewFileSet()}
	var parsed []*ast.File
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(filepath.Base(path), "chinese") {
			return err
		}
		file, err := parser.ParseFile(m.files, path, nil, 0)
		parsed = append(parsed, file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range parsed {
		ast.Inspect(file, m.readConst)
	}
	for _, file := range parsed {
		ast.Inspect(file, m.read)
	}
	for name, value := range m.consts {
		if strings.HasPrefix(name, "mark") {
			m.take(value)
		}
	}
	inherited := pflag.NewFlagSet("", pflag.ContinueOnError)
	genericclioptions.NewConfigFlags(false).AddFlags(inherited)
	for _, name := range []string{"kubeconfig", "context", "namespace", "cluster", "user", "as", "as-uid", "as-group", "request-timeout"} {
		m.at[inherited.Lookup(name).Usage] = token.Position{Filename: "kubectl's flag " + name}
	}
	return m
}

func (m messages) readConst(node ast.Node) bool {
	if declared, ok := node.(*ast.ValueSpec); ok {
		for i, name := range declared.Names {
			if i < len(declared.Values) {
				m.consts[name.Name] = declared.Values[i]
			}
		}
	}
	return true
}

func (m *messages) read(node ast.Node) bool {
	switch node := node.(type) {
	case *ast.CallExpr:
		m.readCall(node)
	case *ast.CompositeLit:
		m.readLiteral(node)
	}
	return true
}

func (m *messages) readCall(call *ast.CallExpr) {
	name := ""
	switch function := call.Fun.(type) {
	case *ast.Ident:
		name = function.Name
	case *ast.SelectorExpr:
		name = function.Sel.Name
		if from, ok := function.X.(*ast.Ident); ok && from.Name == "fmt" || name == "New" && !isIdent(function.X, "text") {
			return
		}
	}
	for _, place := range speakers[name] {
		if place < len(call.Args) {
			m.take(call.Args[place])
		}
	}
}

func isIdent(x ast.Expr, name string) bool {
	known, ok := x.(*ast.Ident)
	return ok && known.Name == name
}

// readLiteral reads the tables that hold messages: manuals, the names of steps, and maps of pairs.
func (m *messages) readLiteral(literal *ast.CompositeLit) {
	switch kind := literal.Type.(type) {
	case *ast.Ident:
		if kind.Name == "manual" {
			m.readManual(literal)
		}
		if kind.Name == "step" {
			m.take(literal.Elts[0])
		}
		if kind.Name == "consoleStep" {
			m.readConsoleStep(literal)
		}
	case *ast.ArrayType:
		if isIdent(kind.Elt, "consoleStep") {
			for _, element := range literal.Elts {
				m.readConsoleStep(element.(*ast.CompositeLit))
			}
		}
		if isIdent(kind.Elt, "step") {
			for _, element := range literal.Elts {
				m.take(element.(*ast.CompositeLit).Elts[0])
			}
		}
	case *ast.MapType:
		if pair, ok := kind.Value.(*ast.ArrayType); ok && pair.Len != nil {
			for _, element := range literal.Elts {
				for _, one := range element.(*ast.KeyValueExpr).Value.(*ast.CompositeLit).Elts {
					m.take(one)
				}
			}
		}
	}
}

// readConsoleStep reads what to do: the fields of the console have Chinese names in every language.
func (m *messages) readConsoleStep(literal *ast.CompositeLit) {
	for _, element := range literal.Elts {
		if field := element.(*ast.KeyValueExpr); isIdent(field.Key, "label") {
			m.take(field.Value)
		}
	}
}

func (m *messages) readManual(literal *ast.CompositeLit) {
	for _, element := range literal.Elts {
		field := element.(*ast.KeyValueExpr)
		list, isList := field.Value.(*ast.CompositeLit)
		switch {
		case !isList:
			m.take(field.Value)
		case isIdent(field.Key, "exits"):
			for _, one := range list.Elts {
				m.take(one)
			}
		default:
			for _, one := range list.Elts {
				m.take(one.(*ast.CompositeLit).Elts[0])
			}
		}
	}
}

func (m *messages) take(x ast.Expr) {
	said, ok := m.fold(x)
	if !ok {
		return // a variable: who made its value has taken it
	}
	if strings.IndexFunc(verb.ReplaceAllString(said, ""), unicode.IsLetter) >= 0 {
		m.at[said] = m.files.Position(x.Pos())
	}
}

// fold is the value of a constant string.
func (m *messages) fold(x ast.Expr) (string, bool) {
	switch x := x.(type) {
	case *ast.BasicLit:
		said, err := strconv.Unquote(x.Value)
		return said, err == nil && x.Kind == token.STRING
	case *ast.BinaryExpr:
		left, ok := m.fold(x.X)
		right, okToo := m.fold(x.Y)
		return left + right, ok && okToo && x.Op == token.ADD
	case *ast.Ident:
		if value, ok := m.consts[x.Name]; ok {
			return m.fold(value)
		}
	}
	return "", false
}

// verb is one of fmt, with the number of its value where it has one.
var verb = regexp.MustCompile(`%[-+# 0]*(?:\[(\d+)\])?[0-9.]*([a-zA-Z%])`)

// verbs are those of a format, by the number of the value.
func verbs(format string) map[int]string {
	found, next := map[int]string{}, 1
	for _, match := range verb.FindAllStringSubmatch(format, -1) {
		if match[2] == "%" {
			continue
		}
		if match[1] != "" {
			next, _ = strconv.Atoi(match[1])
		}
		found[next] = match[2]
		next++
	}
	return found
}

// TestEachMessageIsThereInBothLanguages: with the same values, which may stand in another order.
func TestEachMessageIsThereInBothLanguages(t *testing.T) {
	said := readMessages(t)
	if len(said.at) < 250 {
		t.Errorf("only %d messages are found", len(said.at))
	}
	var missing []string
	for message := range said.at {
		if chinese[message] == "" {
			missing = append(missing, said.at[message].String()+": "+strconv.Quote(message))
		}
	}
	slices.Sort(missing)
	for _, line := range missing {
		t.Errorf("there is no Chinese for %s", line)
	}
	for message, translated := range chinese {
		if _, used := said.at[message]; !used {
			t.Errorf("nobody says %q", message)
		}
		if diff := cmp.Diff(verbs(message), verbs(translated)); diff != "" {
			t.Errorf("%q and %q have not the same values:\n%s", message, translated, diff)
		}
		if strings.IndexFunc(translated, func(c rune) bool { return unicode.Is(unicode.Han, c) }) < 0 && !sameInBoth[message] {
			t.Errorf("%q is not Chinese: %q", message, translated)
		}
	}
}

// sameInBoth hold names alone, and no other words.
var sameInBoth = map[string]bool{
	"the %s in %s %w": true, "%s (WeChatGateway %s)": true, "the EncodingAESKey of %s %v": true, "endpoint": true, "base64": true, "the token": true,
	"echostr": true, "timestamp, nonce, %s": true, "secret": true, "Secret %s": true, "pod": true,
	"URL": true, "Endpoints": true, "hello": true, "Pods": true,
}
