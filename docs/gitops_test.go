// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
	"sigs.k8s.io/yaml"
)

// healthScript is what the page gives to Argo CD. It must be the same for both kinds.
func healthScript(t *testing.T) string {
	t.Helper()
	for _, block := range pages(t)["docs/gitops.md"].Blocks {
		if !strings.Contains(block.Text, "name: argocd-cm") {
			continue
		}
		var config struct{ Data map[string]string }
		if err := yaml.Unmarshal([]byte(block.Text), &config); err != nil {
			t.Fatal(err)
		}
		const key = "resource.customizations.health.wechatendpoint.io_"
		script := config.Data[key+"WeChatEndpoint"]
		if script == "" || script != config.Data[key+"WeChatGateway"] {
			t.Fatal("the scripts of both kinds are not the same")
		}
		return script
	}
	t.Fatal("docs/gitops.md has no ConfigMap argocd-cm")
	return ""
}

func TestHealthInArgoCD(t *testing.T) {
	const (
		current = `{generation = 2}`
		ready   = `{conditions = {{type = "Accepted", status = "True"}, {type = "Ready", status = %s, observedGeneration = %s, message = "says why"}}}`
	)
	condition := func(status, generation string) string {
		return strings.Replace(strings.Replace(ready, "%s", status, 1), "%s", generation, 1)
	}
	script := healthScript(t)
	for name, test := range map[string]struct {
		object, want string
	}{
		"nobody has looked at it":              {`{metadata = ` + current + `, spec = {}}`, "Progressing: waiting for the operator"},
		"its status is empty":                  {`{metadata = ` + current + `, spec = {}, status = {}}`, "Progressing: waiting for the operator"},
		"it is ready":                          {`{metadata = ` + current + `, spec = {}, status = ` + condition(`"True"`, "2") + `}`, "Healthy: says why"},
		"it was ready before the last edit":    {`{metadata = ` + current + `, spec = {}, status = ` + condition(`"True"`, "1") + `}`, "Progressing: waiting for the operator"},
		"somebody must act":                    {`{metadata = ` + current + `, spec = {}, status = ` + condition(`"False", reason = "SecretNotFound"`, "2") + `}`, "Degraded: says why"},
		"its pods start":                       {`{metadata = ` + current + `, spec = {}, status = ` + condition(`"False", reason = "Progressing"`, "2") + `}`, "Progressing: says why"},
		"nothing is known":                     {`{metadata = ` + current + `, spec = {}, status = ` + condition(`"Unknown", reason = "Waiting"`, "2") + `}`, "Progressing: says why"},
		"it is paused, whatever its status is": {`{metadata = ` + current + `, spec = {paused = true}, status = ` + condition(`"True"`, "2") + `}`, "Suspended: spec.paused is true"},
	} {
		t.Run(name, func(t *testing.T) {
			state := lua.NewState()
			defer state.Close()
			if err := state.DoString("obj = " + test.object + "\nhealth = (function()\n" + script + "\nend)()\nsaid = health.status .. ': ' .. health.message"); err != nil {
				t.Fatal(err)
			}
			if got := state.GetGlobal("said").String(); got != test.want {
				t.Errorf("it is %s, want %s", got, test.want)
			}
		})
	}
}
