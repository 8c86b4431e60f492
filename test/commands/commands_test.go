//go:build commands

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/docs"
)

// quick are the pages whose commands take seconds.
var quick = []string{"README.md", "test/interop/README.md"}

// prepare are what the commands of a page find already.
var prepare = map[string]string{
	"docs/performance.md":    "make bin/sidecar && cp bin/sidecar /tmp/sidecar\n",
	"test/interop/README.md": "ln -s \"$ORIGIN/test/interop/node_modules\" test/interop/node_modules\n", // which its setup has filled
}

// prints are what the commands of a page must print.
var prints = map[string]string{
	"README.md":              "try: 9 passed, 0 failed",
	"CONTRIBUTING.md":        "--- PASS: TestScenes",
	"test/interop/README.md": "--- PASS: TestAsTheApp/silenceper/wechat/OfficialAccount_Encrypted_XML",
}

// TestCommands runs the blocks that say so, page by page. The files of /tmp are the test's own, and trials are short.
func TestCommands(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := docs.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	checkout, run := copyOf(t, root), 0
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		blocks := slices.DeleteFunc(pages[name].Blocks, func(b docs.Block) bool { return b.RunBy() != "TestCommands" })
		if len(blocks) == 0 || strings.HasSuffix(name, docs.Chinese) {
			continue
		}
		run++
		t.Run(name, func(t *testing.T) {
			if testing.Short() && !slices.Contains(quick, name) {
				t.Skip("it takes long: make commands runs it")
			}
			own := strings.NewReplacer("/tmp/", t.TempDir()+"/")
			script := "set -ex -o pipefail\n" + own.Replace(prepare[name])
			for _, block := range blocks {
				script += fmt.Sprintf("cd %s\n: line %d\n%s", checkout, block.Line, own.Replace(brief(block.Text)))
			}
			began := time.Now()
			command := exec.CommandContext(t.Context(), "bash", "-c", script)
			command.Dir, command.Env = checkout, append(os.Environ(), "ORIGIN="+root)
			said, err := command.CombinedOutput()
			if err != nil {
				t.Errorf("%s does not work (%v); the lines that begin with + say which command:\n%s", name, err, said)
			} else if !strings.Contains(string(said), prints[name]) {
				t.Errorf("%s does not print %q:\n%s", name, prints[name], said)
			}
			t.Logf("pages: %s: %d blocks in %v", name, len(blocks), time.Since(began).Round(time.Second))
		})
	}
	if run == 0 {
		t.Error("no page says that this test runs it")
	}
}

// copyOf commits what there is of the checkout in a copy of it: a release is made of what is committed.
func copyOf(t *testing.T, root string) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "checkout")
	const script = `mkdir "$2"
cd "$1"
git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -cf - -T - 2>/dev/null | tar -xf - -C "$2"
cd "$2"
git init -q
git add -A
git -c user.name=test -c user.email=test@example.com commit -qm "what is here"`
	if said, err := exec.CommandContext(t.Context(), "bash", "-ec", script, "copy", root, folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return folder
}
