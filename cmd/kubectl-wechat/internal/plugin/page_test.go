// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// TestThePagesNameEverything: each command, each cause of doctor and each field of status.
func TestThePagesNameEverything(t *testing.T) {
	var names []string
	for _, one := range (Plugin{}).table(&options{}) {
		names = append(names, "`kubectl wechat "+one.name+"`")
	}
	for file, prefix := range map[string]string{
		"../doctor/decide.go": "Cause", "../../../../sidecar/wechat/diagnose/refusal.go": "Code",
	} {
		names = append(names, constantsOf(t, file, prefix)...)
	}
	for _, of := range []reflect.Type{reflect.TypeFor[Summary](), reflect.TypeFor[SummaryCondition](), reflect.TypeFor[SummaryPod](), reflect.TypeFor[Diagnosis](), reflect.TypeFor[DiagnosisFinding]()} {
		for i := range of.NumField() {
			if name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ","); name != "" {
				names = append(names, "`"+name+"`")
			}
		}
	}
	if len(names) < 80 {
		t.Errorf("only %d names", len(names))
	}
	for _, page := range []string{"plugin.md", "plugin.zh-CN.md"} {
		content, err := os.ReadFile("../../../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if !strings.Contains(string(content), name) {
				t.Errorf("docs/%s does not have %s", page, name)
			}
		}
	}
}

// constantsOf are the values of the string constants with that prefix, as the pages write them.
func constantsOf(t *testing.T, file, prefix string) (names []string) {
	t.Helper()
	parsed, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
		declared, ok := node.(*ast.ValueSpec)
		if ok && strings.HasPrefix(declared.Names[0].Name, prefix) && len(declared.Values) == 1 {
			if literal, is := declared.Values[0].(*ast.BasicLit); is {
				value, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, "`"+value+"`")
			}
		}
		return true
	})
	return names
}
