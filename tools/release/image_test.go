// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// TestImage reads back the tarball that a container runtime would load.
func TestImage(t *testing.T) {
	dir := t.TempDir()
	binary, out := filepath.Join(dir, "sidecar"), filepath.Join(dir, "sidecar.tar")
	if err := os.WriteFile(binary, []byte("a static binary"), 0o600); err != nil {
		t.Fatal(err)
	}
	arguments := []string{"image", "-binary", binary, "-tag", "example.com/sidecar:1", "-out", out}
	if err := run(t.Context(), arguments, io.Discard); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("example.com/sidecar:1")
	if err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(out, &tag)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != nonroot || len(config.Config.Entrypoint) != 1 || config.Config.Entrypoint[0] != "/sidecar" {
		t.Errorf("runs %v as %q, want [/sidecar] as %s", config.Config.Entrypoint, config.Config.User, nonroot)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v; want 1", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(content)
	header, err := archive.Next()
	if err != nil || header.Name != "sidecar" || header.Mode != 0o555 || header.Uid != 0 {
		t.Errorf("first file %+v, %v; want sidecar, read-only, of root", header, err)
	}
	if _, err := archive.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("there is more than one file in the image: %v", err)
	}
}

// TestPush pushes to a real registry, as the image of CLUSTER=current is.
func TestPush(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	binary := filepath.Join(t.TempDir(), "sidecar")
	if err := os.WriteFile(binary, []byte("a static binary"), 0o600); err != nil {
		t.Fatal(err)
	}
	tag := strings.TrimPrefix(server.URL, "http://") + "/wechatendpoint/sidecar:1"
	var said bytes.Buffer
	if err := run(t.Context(), []string{"image", "-binary", binary, "-tag", tag, "-push"}, &said); err != nil {
		t.Fatal(err)
	}
	reference, err := name.ParseReference(tag)
	if err != nil {
		t.Fatal(err)
	}
	descriptor, err := remote.Head(reference)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(said.String(), "@"+descriptor.Digest.String()+"\n") {
		t.Errorf("said %q, and the registry has %s", said.String(), descriptor.Digest)
	}
}

// TestReproducible holds the promise that the same binary gives the same digest.
func TestReproducible(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "sidecar")
	if err := os.WriteFile(binary, []byte("a static binary"), 0o600); err != nil {
		t.Fatal(err)
	}
	var digests [2]string
	for i := range digests {
		image, err := makeImage(binary, "/sidecar", "amd64", map[string]string{"b": "1", "a": "2"}, time.Unix(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests[i] = digest.String()
	}
	if digests[0] != digests[1] {
		t.Errorf("two builds differ: %s and %s", digests[0], digests[1])
	}
}
