// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/wechatendpoint/wechatendpoint/"

// TestTheSidecarKnowsNoKubernetes keeps the program that reads hostile input free of the client that could act on a cluster.
func TestTheSidecarKnowsNoKubernetes(t *testing.T) {
	readSources(t)
	for _, path := range closure(t, "../cmd/sidecar") {
		if forbidden(path) {
			t.Errorf("the sidecar imports %s", path)
		}
	}
}

// TestAPlantedImportIsFound plants one, deep in the sidecar, and expects the check above to see it.
func TestAPlantedImportIsFound(t *testing.T) {
	planted, err := filepath.Abs("internal/gate/planted.go")
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(t.TempDir(), "planted.go")
	text := "package gate\n\nimport _ \"k8s.io/apimachinery/pkg/types\"\n"
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(t.TempDir(), "overlay.json")
	content, err := json.Marshal(map[string]any{"Replace": map[string]string{planted: source}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range closure(t, "-overlay", overlay, "../cmd/sidecar") {
		if forbidden(path) {
			return
		}
	}
	t.Error("a planted import of k8s.io was not found")
}

// TestRooms keeps the sidecar's packages apart: the protocol and the contract are leaves, and the rooms know nothing of each
// other. They share how to share, and how lines of HTTP are read.
func TestRooms(t *testing.T) {
	readSources(t)
	for _, name := range []string{"wechat", "config"} {
		for _, path := range closure(t, "./"+name) {
			host, _, _ := strings.Cut(path, "/") // the standard library has none
			if strings.Contains(host, ".") && path != module+"sidecar/"+name {
				t.Errorf("sidecar/%s imports %s, and is to be a leaf", name, path)
			}
			if name == "wechat" && (path == "net/http" || path == "log" || path == "log/slog") {
				t.Errorf("sidecar/wechat imports %s: the protocol knows no server and logs nothing", path)
			}
		}
	}
	common := []string{module + "sidecar/internal/fair", module + "sidecar/internal/syntax"}
	rooms, err := os.ReadDir("internal")
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range rooms {
		own := module + "sidecar/internal/" + room.Name()
		for _, path := range closure(t, "./internal/"+room.Name()) {
			if strings.HasPrefix(path, module+"sidecar/internal/") && path != own && !slices.Contains(common, path) {
				t.Errorf("%s imports %s", own, path)
			}
		}
	}
}

// TestNoProductAttacks: what breaks requests is for tests, and what plays WeChat has no place in the sidecar.
func TestNoProductAttacks(t *testing.T) {
	for program, strange := range map[string][]string{
		"sidecar":        {"wechat/caller", "wechat/diagnose", "wechat/wechattest", "sidecartest"},
		"operator":       {"wechat/wechattest", "sidecartest"},
		"kubectl-wechat": {"wechat/wechattest", "sidecartest"},
	} {
		linked := closure(t, "../cmd/"+program)
		for _, name := range strange {
			if slices.Contains(linked, module+"sidecar/"+name) {
				t.Errorf("%s is linked with sidecar/%s", program, name)
			}
		}
	}
}

// TestOneFileKnowsHTTP: a request is judged and answered by what knows no server. Beside the door there are the clients that call apps,
// other pods and the collector of traces.
func TestOneFileKnowsHTTP(t *testing.T) {
	var got []string
	for _, folder := range []string{".", "internal"} {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && folder == "." && path != ".":
				return fs.SkipDir
			case filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			file, err := parser.ParseFile(gotoken.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"net/http"` }) {
				got = append(got, path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"door.go", "internal/backend/exchange.go", "internal/door/door.go", "internal/peers/client.go", "internal/tracing/client.go"}, got); diff != "" {
		t.Errorf("these import net/http (-want +got):\n%s", diff)
	}
}

func forbidden(path string) bool {
	for _, prefix := range []string{"k8s.io/", "sigs.k8s.io/", module + "api/", module + "controllers"} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

func closure(t *testing.T, arguments ...string) []string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps"}, arguments...)...)
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.Fields(string(out))
}

// readSources reads every file that the import closure depends on, so that go test does not answer from its cache when one
// has changed: it cannot see what go list reads.
func readSources(t *testing.T) {
	t.Helper()
	for _, root := range []string{".", "../cmd/sidecar", "../go.mod", "../go.sum"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			_, err = os.ReadFile(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
