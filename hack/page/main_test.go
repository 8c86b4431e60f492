// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

// TestCommandsOf reads what the workflow of a release reads.
func TestCommandsOf(t *testing.T) {
	const page, workflow = "../../docs/release.md", ".github/workflows/release.yaml"
	commands, err := commandsOf(page, workflow, "7.6.5-rc.4")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"refs/tags/v7.6.5-rc.4\n", "cosign verify ghcr.io/wechatendpoint/operator:7.6.5-rc.4 ", "gh attestation verify install.yaml "} {
		if !strings.Contains(commands, want) {
			t.Errorf("it does not say %q:\n%s", want, commands)
		}
	}
	if strings.Contains(commands, "make release") {
		t.Errorf("it says what others run:\n%s", commands)
	}
	if _, err := commandsOf(page, "nobody", "1.0.0"); err == nil {
		t.Error("commands that nobody runs are no error")
	}
}
