// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gitops tries what Flux, Argo CD and helm make of an endpoint's status.
package gitops

import (
	"os"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestHealth compares what kstatus (Flux, helm --wait) and Argo CD say of an endpoint or a gateway, in the states that it has.
func TestHealth(t *testing.T) {
	const ready = "generation: 2}\nstatus: {observedGeneration: 2, conditions: [{type: Ready, observedGeneration: 2, "
	for name, test := range map[string]struct {
		object   string // what follows metadata: {
		fresh    bool   // with the definition's default for a status
		kstatus  status.Status
		health   string
		contains string // part of Argo CD's message
	}{
		"new":                                  {"generation: 1}", true, status.InProgressStatus, "Progressing", "kubectl get deployments -A"},
		"without any status":                   {"generation: 1}", false, status.CurrentStatus, "Progressing", "waiting for the operator"},
		"ready":                                {ready + `status: "True", reason: Ready, message: serves}]}`, false, status.CurrentStatus, "Healthy", "serves"},
		"with a spec that nobody has seen yet": {strings.ReplaceAll(ready, "observedGeneration: 2", "observedGeneration: 1") + `status: "True", reason: Ready}]}`, false, status.InProgressStatus, "Progressing", "waiting for the operator"},
		"whose pods come":                      {ready + `status: "False", reason: Progressing, message: "0 of 2 pods"}]}`, false, status.InProgressStatus, "Progressing", "0 of 2 pods"},
		"that waits for a condition":           {ready + `status: "Unknown", reason: Waiting, message: later}]}`, false, status.InProgressStatus, "Progressing", "later"},
		"that a person must mend":              {ready + `status: "False", reason: SecretNotFound, message: make the Secret}]}`, false, status.InProgressStatus, "Degraded", "make the Secret"},
		"whose status is refused":              {strings.Replace(ready, "observedGeneration: 2", "observedGeneration: 1", 1) + `status: "False", reason: StatusRefused, message: quota}]}`, false, status.InProgressStatus, "Degraded", "quota"},
		"paused":                               {"generation: 2}\nspec: {paused: true}", true, status.InProgressStatus, "Suspended", "spec.paused"},
	} {
		for _, kind := range []string{"WeChatEndpoint", "WeChatGateway"} {
			t.Run(kind+" "+name, func(t *testing.T) {
				text, err := yaml.YAMLToJSON([]byte("apiVersion: wechatendpoint.io/v1alpha1\nkind: " + kind + "\nmetadata: {name: shop, " + test.object))
				if err != nil {
					t.Fatal(err)
				}
				var object unstructured.Unstructured
				if err := object.UnmarshalJSON(text); err != nil {
					t.Fatal(err)
				}
				if test.fresh {
					object.Object["status"] = fresh(t, strings.ToLower(kind)+"s")
				}
				result, err := status.Compute(&object)
				if err != nil {
					t.Fatal(err)
				}
				if result.Status != test.kstatus {
					t.Errorf("kstatus says %s (%s), want %s", result.Status, result.Message, test.kstatus)
				}
				if health, message := argo(t, kind, object.Object); health != test.health || !strings.Contains(message, test.contains) {
					t.Errorf("Argo CD says %s, %q; want %s with %q", health, message, test.health, test.contains)
				}
			})
		}
	}
}

// TestThePagesShowTheScript, each of them the one that is tried.
func TestThePagesShowTheScript(t *testing.T) {
	text, err := os.ReadFile("../../config/argocd/argocd-cm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, script, _ := strings.Cut(string(text), "\n") // the first line says what it is
	for _, page := range []string{"gitops.md", "gitops.zh-CN.md"} {
		shown, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(shown), script) {
			t.Errorf("%s shows another script", page)
		}
	}
}

// fresh is the status that the definition gives to what no operator has seen.
func fresh(t *testing.T, plural string) any {
	t.Helper()
	var definition struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema struct {
						Properties map[string]struct{ Default any } `json:"properties"`
					} `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	read(t, "../../config/crd/bases/wechatendpoint.io_"+plural+".yaml", &definition)
	written := definition.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"].Default
	if written == nil {
		t.Fatalf("%s have no default for their status", plural)
	}
	return written
}

// argo runs the health script for a kind as Argo CD does: obj is the object, and what is returned a table with status and message.
func argo(t *testing.T, kind string, object map[string]any) (health, message string) {
	t.Helper()
	var configMap struct{ Data map[string]string }
	read(t, "../../config/argocd/argocd-cm.yaml", &configMap)
	script := configMap.Data["resource.customizations.health.wechatendpoint.io_"+kind]
	if script == "" {
		t.Fatalf("there is no script for %s", kind)
	}
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, open := range []lua.LGFunction{lua.OpenBase, lua.OpenTable, lua.OpenString} { // Argo CD opens no more
		state.Push(state.NewFunction(open))
		state.Call(0, 0)
	}
	state.SetGlobal("obj", value(state, object))
	if err := state.DoString(script); err != nil {
		t.Fatal(err)
	}
	answer, is := state.Get(-1).(*lua.LTable)
	if !is {
		t.Fatalf("the script returns %s", state.Get(-1))
	}
	return answer.RawGetString("status").String(), answer.RawGetString("message").String()
}

// value is what Lua sees of a value.
func value(state *lua.LState, of any) lua.LValue {
	switch of := of.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, one := range of {
			table.RawSetString(key, value(state, one))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, one := range of {
			table.Append(value(state, one))
		}
		return table
	case string:
		return lua.LString(of)
	case bool:
		return lua.LBool(of)
	case int64:
		return lua.LNumber(of)
	default:
		return lua.LNil
	}
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}
