// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// modules are the Go libraries, by the names that they go by here.
var modules = map[string]string{
	"silenceper/wechat": "github.com/silenceper/wechat/v2",
	"go-workwx":         "github.com/xen0n/go-workwx",
	"wechatpay-go":      "github.com/wechatpay-apiv3/wechatpay-go",
}

// noLibrary is the app that needs none.
const noLibrary = "net/http, no WeChat code"

// pinned is the name of a library with the version that package.json or go.mod pins. What follows the name, as the part
// of the library that is meant, stays behind it.
func pinned(library string) string {
	name, part, _ := strings.Cut(library, " ")
	version, found := versions()[name]
	if !found {
		return library
	}
	return strings.TrimSpace(name + " " + version + " " + part)
}

// versions are those of the direct dependencies. A file that cannot be read leaves them out, which TestVersions notices.
var versions = sync.OnceValue(func() map[string]string {
	var manifest struct {
		Dependencies map[string]string `json:"dependencies"`
	}
	text, _ := os.ReadFile("package.json")
	_ = json.Unmarshal(text, &manifest)
	all := map[string]string{}
	for name, version := range manifest.Dependencies {
		all[name] = version
	}
	text, _ = os.ReadFile("go.mod")
	for name, module := range modules {
		if found := regexp.MustCompile(`(?m)^\t` + regexp.QuoteMeta(module) + ` (v\S+)$`).FindSubmatch(text); found != nil {
			all[name] = string(found[1])
		}
	}
	return all
})

// TestVersions holds that every library is pinned to one version, that npm installed it, and that README.md names it.
func TestVersions(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"silenceper/wechat", "go-workwx", "wechatpay-go", "@wecom/crypto", "wechat-crypto", "wechat-encrypt", "co-wechat", "wechat", "node-easywechat"} {
		version := versions()[name]
		if !regexp.MustCompile(`^v?\d+\.\d+\.\d+$`).MatchString(version) {
			t.Errorf("%s is pinned to %q, which is no exact version", name, version)
		}
		if named := fmt.Sprintf("`%s` %s", name, version); !strings.Contains(string(readme), named) {
			t.Errorf("README.md does not name %s", named)
		}
		if modules[name] != "" {
			continue
		}
		var installed struct {
			Version string `json:"version"`
		}
		text, err := os.ReadFile("node_modules/" + name + "/package.json")
		if err != nil || json.Unmarshal(text, &installed) != nil || installed.Version != version {
			t.Errorf("%s %q is installed, not %q (run test/interop/setup): %v", name, installed.Version, version, err)
		}
	}
}
