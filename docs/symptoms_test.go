// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

var (
	codeWord = regexp.MustCompile("`([a-z]+(?:_[a-z0-9]+)+)`")
	verdict  = regexp.MustCompile("`([A-Z][a-z]+[A-Z][A-Za-z]+)`")
)

// TestSymptomsAreSeenAsThePageSays: what the page says that a command shows is a cause of kubectl wechat doctor, a refusal of the sidecar or a
// metric; or a condition or a reason of the status.
func TestSymptomsAreSeenAsThePageSays(t *testing.T) {
	causes, status, checked := contents(t, "plugin.md")+contents(t, "metrics.md"), contents(t, "status.md"), 0
	for number, line := range strings.Split(contents(t, "symptoms.md"), "\n") {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) != 3 {
			continue
		}
		for _, word := range codeWord.FindAllStringSubmatch(cells[1], -1) {
			if checked++; !strings.Contains(causes, word[0]) && !slices.Contains(wechat.Reasons, wechat.Reason(word[1])) {
				t.Errorf("symptoms.md:%d: nothing calls a cause %s", number+1, word[0])
			}
		}
		for _, word := range verdict.FindAllStringSubmatch(cells[1], -1) {
			if checked++; !strings.Contains(status, word[0]) {
				t.Errorf("symptoms.md:%d: status.md has no %s", number+1, word[0])
			}
		}
	}
	if checked < 30 {
		t.Errorf("only %d words were looked for", checked)
	}
}
