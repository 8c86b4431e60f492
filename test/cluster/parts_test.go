package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// partIn makes a part whose source is a fresh folder with these files.
func partIn(t *testing.T, files map[string]string) part {
	t.Helper()
	root := t.TempDir()
	t.Setenv("WXE_CLUSTER_SOURCE", root)
	t.Setenv("WXE_CACHE", filepath.Join(root, "cache"))
	p := part{name: "thing", packages: []string{"example.org/cmd/one", "example.org/cmd/two"}}
	if err := os.MkdirAll(p.source(), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		write(t, filepath.Join(p.source(), name), content)
	}
	return p
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestKeyFollowsSources(t *testing.T) {
	p := partIn(t, map[string]string{"go.mod": "module a", "go.sum": "x"})
	before := p.key()
	for _, file := range []string{"go.mod", "go.sum", "main.go"} {
		write(t, filepath.Join(p.source(), file), "changed")
		after := p.key()
		if after == before {
			t.Errorf("the key stays %s after %s changed", after, file)
		}
		before = after
	}
	write(t, filepath.Join(p.source(), "README.md"), "changed")
	if after := p.key(); after != before {
		t.Error("the key changes with a file that nothing is built from")
	}
}

func TestKeyTellsFilesApart(t *testing.T) {
	one := partIn(t, map[string]string{"go.mod": "ab", "go.sum": "c"}).key()
	two := partIn(t, map[string]string{"go.mod": "a", "go.sum": "bc"}).key()
	if one == two {
		t.Error("a byte moved from one file to the next leaves the key as it was")
	}
}

func TestMissing(t *testing.T) {
	p := partIn(t, map[string]string{"go.mod": "module a"})
	if got := p.missing(p.packages); !slices.Equal(got, p.packages) {
		t.Errorf("of a part never built misses %v, want all", got)
	}
	write(t, p.path("one"), "binary")
	if got, want := p.missing(p.packages), []string{"example.org/cmd/two"}; !slices.Equal(got, want) {
		t.Errorf("after one is built misses %v, want %v", got, want)
	}
}

func TestKubernetesVersion(t *testing.T) {
	const want = " -X k8s.io/component-base/version.gitVersion=v1.36.3" +
		" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
	if got := kubernetesVersion("require k8s.io/kubernetes v1.36.3\n"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := kubernetesVersion("require k8s.io/api v0.36.3\n"); got != "" {
		t.Errorf("without a version: %s", got)
	}
}
