//go:build prometheus

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"path/filepath"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/test/prometheus"
)

func TestPromtoolTakesTheRules(t *testing.T) {
	if out, err := prometheus.Promtool(t, "", "check", "rules", "--lint=all", "--lint-fatal", rules); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
}

// TestStories: each alert fires in its story, and none in those where nothing is wrong.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("stories/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := prometheus.Promtool(t, "", append([]string{"test", "rules"}, files...)...); err != nil {
		t.Errorf("promtool test rules: %v\n%s", err, out)
	}
}
