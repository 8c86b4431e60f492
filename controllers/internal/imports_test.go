// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package internal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const rooms = "github.com/wechatendpoint/wechatendpoint/controllers/internal/"

// words are the rooms that any decision may use: how it answers, what it judges, what the platform team chose, and what things are
// called.
var words = []string{"verdict", "snapshot", "installation", "render", "status", "gatewayapi"}

// mayImport are the rooms, and which of the others each may know. A decision knows no other one; only plan puts them together.
var mayImport = map[string][]string{
	"verdict":      nil,
	"render":       nil,
	"gatewayapi":   nil,
	"probe":        nil,
	"installation": {"render"},
	"status":       {"render", "verdict"},
	"snapshot":     {"gatewayapi", "probe", "render"}, // what a pod answers

	"acceptance":  words,
	"claims":      words,
	"backends":    words,
	"credentials": append(words, "probe"),
	"exposure":    append(words, "probe"),
	"moves":       words,
	"pods":        append(words, "probe"),
	"rollout":     append(words, "pods"), // a rollout ends by its pods
	"shards":      words,
	"plan":        append(words, "acceptance", "backends", "claims", "credentials", "exposure", "moves", "pods", "probe", "rollout", "shards"),

	"metrics": append(words, "credentials"),

	"children": {"gatewayapi", "render"},
	"kept":     {"children", "credentials", "gatewayapi", "installation", "pods", "render"},
	"world":    append(words, "backends", "children", "credentials", "kept", "pods", "probe"),
	"hands":    append(words, "children", "plan", "pods", "rollout"),
}

// pure are the rooms that decide.
var pure = []string{"verdict", "snapshot", "installation", "render", "status", "acceptance", "claims", "backends", "credentials", "exposure", "moves", "pods", "rollout", "shards", "plan", "metrics"}

// impure is what no decision may use.
var impure = []string{"context", "net/http", "sync", "math/rand", "crypto/rand", "sigs.k8s.io/controller-runtime/pkg/client", "k8s.io/client-go/tools/events"}

// TestRooms keeps the directions between the rooms.
func TestRooms(t *testing.T) {
	found := map[string]bool{}
	eachFile(t, func(room string, file *ast.File) {
		found[room] = true
		allowed, known := mayImport[room]
		if !known {
			t.Errorf("%s is a new room: say above what it may know", room)
		}
		for _, path := range importsOf(file) {
			if other, ours := strings.CutPrefix(path, rooms); ours && !slices.Contains(allowed, other) {
				t.Errorf("%s imports %s", room, other)
			}
		}
	})
	for room := range mayImport {
		if !found[room] {
			t.Errorf("there is no room %s", room)
		}
	}
}

// TestDecisionsArePure holds that what decides has no client, no context and no clock of its own.
func TestDecisionsArePure(t *testing.T) {
	eachFile(t, func(room string, file *ast.File) {
		if !slices.Contains(pure, room) {
			return
		}
		for _, path := range importsOf(file) {
			if slices.Contains(impure, path) {
				t.Errorf("%s imports %s", room, path)
			}
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if selector, ok := node.(*ast.SelectorExpr); ok {
				if name, ok := selector.X.(*ast.Ident); ok && name.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep"}, selector.Sel.Name) {
					t.Errorf("%s uses time.%s: the clock is an argument", room, selector.Sel.Name)
				}
			}
			return true
		})
	})
}

// eachFile walks the rooms' files that are no tests.
func eachFile(t *testing.T, visit func(room string, file *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil {
			visit(filepath.Dir(path), file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func importsOf(file *ast.File) []string {
	var paths []string
	for _, spec := range file.Imports {
		if path, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}
