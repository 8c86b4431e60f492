package main

import (
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
