// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// constants are the values of the string constants with that prefix in a file.
func constants(t *testing.T, file, prefix string) (values []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
		declared, ok := node.(*ast.ValueSpec)
		if !ok || len(declared.Values) != len(declared.Names) {
			return true
		}
		for i, name := range declared.Names {
			if literal, is := declared.Values[i].(*ast.BasicLit); is && strings.HasPrefix(name.Name, prefix) {
				value, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, value)
			}
		}
		return true
	})
	if len(values) < 5 {
		t.Fatalf("only %d constants %s… in %s", len(values), prefix, file)
	}
	return values
}

// TestEachCodeOfARefusalIsExplained: one that is new in package diagnose needs words in Chinese.
func TestEachCodeOfARefusalIsExplained(t *testing.T) {
	folder := "../../../../sidecar/wechat/diagnose/"
	for _, code := range append(constants(t, folder+"refusal.go", "Code"), string(diagnose.CodeNotTaken), string(diagnose.CodeUnverified), string(diagnose.CodeSealed)) {
		if words[diagnose.Code(code)] == [2]string{} {
			t.Errorf("%s has no words", code)
		}
	}
	cause, remedy := Explain(&diagnose.Refusal{Code: "newer", Cause: "c", Remedy: "r"})
	if cause.String() != "c" || remedy.String() != "r" {
		t.Errorf("a code that is not known: %q, %q", cause, remedy)
	}
}

// fine are reasons with which nothing is to be done, and those of events alone.
var fine = []string{
	v1alpha1.ReasonAccepted, v1alpha1.ReasonCredentialsResolved, v1alpha1.ReasonRotationEnding, v1alpha1.ReasonBackendResolved, v1alpha1.ReasonBackendAvailable,
	v1alpha1.ReasonSidecarAvailable, v1alpha1.ReasonSidecarCurrent, v1alpha1.ReasonRouteProgrammed, v1alpha1.ReasonNotPublished, v1alpha1.ReasonVerified,
	v1alpha1.ReasonReachable, v1alpha1.ReasonReady, v1alpha1.ReasonChildRecreated, v1alpha1.ReasonChildRestored,
}

func TestEachReasonHasARemedyOrNeedsNone(t *testing.T) {
	for _, reason := range constants(t, "../../../../api/v1alpha1/conditions.go", "Reason") {
		none := false
		for _, one := range fine {
			none = none || one == reason
		}
		if _, remedy := Reason(reason); remedy.IsZero() != none {
			t.Errorf("%s: remedy %q", reason, remedy)
		}
	}
}

func TestWhatHolds(t *testing.T) {
	for _, test := range []struct {
		name   string
		status metav1.ConditionStatus
		want   bool
	}{
		{v1alpha1.ConditionReady, metav1.ConditionTrue, true},
		{v1alpha1.ConditionReady, metav1.ConditionFalse, false},
		{v1alpha1.ConditionReady, metav1.ConditionUnknown, false},
		{v1alpha1.ConditionBackendExposed, metav1.ConditionTrue, false},
		{v1alpha1.ConditionBackendExposed, metav1.ConditionFalse, true},
	} {
		if got := Holds(metav1.Condition{Type: test.name, Status: test.status}); got != test.want {
			t.Errorf("%s %s: %v", test.name, test.status, got)
		}
	}
}
