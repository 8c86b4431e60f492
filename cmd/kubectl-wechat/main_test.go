// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTheNameOfTheProgramSaysWhatItDoes: a link of the name that kubectl looks for completes.
func TestTheNameOfTheProgramSaysWhatItDoes(t *testing.T) {
	for name, want := range map[string][]string{
		"/usr/bin/kubectl-wechat":          {"verify", ""},
		"/usr/bin/kubectl_complete-wechat": {"__complete", "verify", ""},
		"kubectl_complete-wechat.exe":      {"__complete", "verify", ""},
	} {
		if diff := cmp.Diff(want, arguments([]string{name, "verify", ""})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
