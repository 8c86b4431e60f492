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
	p := part{name: "thing", module: "things", programs: []program{{"example.org/cmd/one", []string{"one", "uno"}}, {"example.org/cmd/two", []string{"two"}}}}
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
	for _, file := range []string{"go.mod", "go.sum", "one/main.go", "standins/other/go.mod", "standins/other/other.go"} {
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

func TestKeyIsThatOfEveryCheckout(t *testing.T) {
	if one, two := partIn(t, nil).key(), partIn(t, nil).key(); one != two {
		t.Errorf("%s and %s in folders with the same content", one, two)
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
	missing := func() []string { return packages(p.missing()) }
	if got, want := missing(), []string{"example.org/cmd/one", "example.org/cmd/two"}; !slices.Equal(got, want) {
		t.Errorf("of a part never built misses %v, want %v", got, want)
	}
	write(t, p.path("one"), "binary")
	if got, want := missing(), []string{"example.org/cmd/one", "example.org/cmd/two"}; !slices.Equal(got, want) {
		t.Errorf("with one of its names the program counts as built: %v misses, want %v", got, want)
	}
	write(t, p.path("uno"), "binary")
	if got, want := missing(), []string{"example.org/cmd/two"}; !slices.Equal(got, want) {
		t.Errorf("after one is built misses %v, want %v", got, want)
	}
}

func TestCollect(t *testing.T) {
	p := partIn(t, nil)
	from := t.TempDir()
	write(t, filepath.Join(from, "one"), "new")
	write(t, filepath.Join(from, "two"), "new")
	write(t, p.path("one"), "old") // of a build that was interrupted
	if err := p.collect(from, p.programs); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "uno", "two"} {
		if content, err := os.ReadFile(p.path(name)); string(content) != "new" {
			t.Errorf("%s is %q, %v", name, content, err)
		}
	}
}

func TestBuiltName(t *testing.T) {
	for pkg, want := range map[string]string{
		"./pause": "pause", "k8s.io/kubernetes/cmd/kubectl": "kubectl", "go.etcd.io/etcd/server/v3": "server", "example.org/vim": "vim",
	} {
		if got := (program{pkg: pkg}).built(); got != want {
			t.Errorf("go build calls %s %s, not %s", pkg, want, got)
		}
	}
}

func TestCompilerMemory(t *testing.T) {
	const gib = 1 << 30
	for name, test := range map[string]struct {
		total      uint64
		processors int
		want       uint64
	}{
		"two cores and 8 GiB":   {8 * gib, 2, 2 * gib},
		"two cores and 64 GiB":  {64 * gib, 2, 2 * gib},
		"eight cores and 8 GiB": {8 * gib, 8, gib / 2},
		"one core and 2 GiB":    {2 * gib, 1, gib},
	} {
		t.Run(name, func(t *testing.T) {
			if got := compilerMemory(test.total, test.processors); got != test.want {
				t.Errorf("%d bytes, want %d", got, test.want)
			}
		})
	}
}

func TestProgramsOfKubernetesLearnTheirVersion(t *testing.T) {
	const gomod = "require k8s.io/kubernetes v1.37.1\n"
	if flags := partIn(t, map[string]string{"go.mod": gomod}).flags(); !slices.Contains(flags, "-s -w"+kubernetesVersion(gomod)) {
		t.Errorf("they are built with %q", flags)
	}
}

func TestKubernetesVersion(t *testing.T) {
	const want = " -X k8s.io/component-base/version.gitVersion=v1.37.1" +
		" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37"
	if got := kubernetesVersion("require k8s.io/kubernetes v1.37.1\n"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := kubernetesVersion("require k8s.io/api v0.37.1\n"); got != "" {
		t.Errorf("without a version: %s", got)
	}
}
