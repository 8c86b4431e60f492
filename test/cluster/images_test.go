package main

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestArchiveReadsBack(t *testing.T) {
	dir := t.TempDir()
	binary, archive := filepath.Join(dir, "program"), filepath.Join(dir, "image.tar")
	write(t, binary, "binary")
	file, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := writeImage(file, "cluster.invalid/program:1", binary); err != nil {
		t.Fatal(err)
	}
	names, digest, err := readArchive(archive)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(names, []string{"cluster.invalid/program:1"}) || digest == "" {
		t.Errorf("read back %v, digest %q", names, digest)
	}
}

func TestArchivesOfOthersAreRead(t *testing.T) {
	const (
		docker = `[{"RepoTags": ["thing:1", "ghcr.io/a/thing:1"]}]`
		layout = `{"manifests": [
			{"annotations": {"io.containerd.image.name": "ghcr.io/a/thing:1"}},
			{"annotations": {"io.containerd.image.name": "ghcr.io/a/thing@sha256:00"}},
			{"annotations": {"io.containerd.manifest.subject": "sha256:00"}},
			{"annotations": {"io.containerd.image.name": "ghcr.io/a/other:1"}}, {}]}`
	)
	for name, test := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"docker save of old":   {map[string]string{"manifest.json": docker}, []string{"docker.io/library/thing:1", "ghcr.io/a/thing:1"}},
		"a release's bundle":   {map[string]string{"index.json": layout, "oci-layout": "{}"}, []string{"ghcr.io/a/other:1", "ghcr.io/a/thing:1"}},
		"docker save of today": {map[string]string{"index.json": layout, "manifest.json": docker}, []string{"docker.io/library/thing:1", "ghcr.io/a/other:1", "ghcr.io/a/thing:1"}},
		"no image's archive":   {map[string]string{"a": "b"}, nil},
		"broken":               {map[string]string{"index.json": "{"}, nil},
		"a layout of no names": {map[string]string{"index.json": `{"manifests": [{}]}`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var content bytes.Buffer
			archive := tar.NewWriter(&content)
			for file, text := range test.files {
				if err := addFile(archive, file, 0o644, []byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			archive.Close()
			path := filepath.Join(t.TempDir(), "images.tar")
			write(t, path, content.String())
			if names, _, err := readArchive(path); !slices.Equal(names, test.want) || (err == nil) != (test.want != nil) {
				t.Errorf("read %v, %v, want %v", names, err, test.want)
			}
		})
	}
}

func TestFullName(t *testing.T) {
	for short, want := range map[string]string{
		"busybox:1":               "docker.io/library/busybox:1",
		"someone/thing:1":         "docker.io/someone/thing:1",
		"ghcr.io/someone/thing:1": "ghcr.io/someone/thing:1",
		"localhost/thing:1":       "localhost/thing:1",
		"localhost:5000/thing:1":  "localhost:5000/thing:1",
	} {
		if got := fullName(short); got != want {
			t.Errorf("%s is %s, want %s", short, got, want)
		}
	}
}
