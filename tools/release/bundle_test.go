// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
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
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// architectures are those of a whole release's images.
var architectures = release{platforms: allPlatforms}.architectures()

// makeTestBundle writes a bundle with one image for two architectures, into a folder as of a release, and returns the image's digest.
func makeTestBundle(t *testing.T) (release, string) {
	t.Helper()
	r := release{version: "0.2.0", platforms: allPlatforms, commit: commit, date: time.Unix(1, 0).UTC(), out: t.TempDir(), work: t.TempDir()}
	labels := r.labels(program{name: "sidecar"})
	var parts []part
	for _, arch := range architectures {
		binary := filepath.Join(r.work, arch)
		write(t, binary, "a static binary for "+arch)
		image, err := makeImage(binary, "/sidecar", arch, labels, r.date)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part{arch, image, []byte(`{"arch":"` + arch + `"}`)})
	}
	folder := filepath.Join(r.work, "layout")
	bundle, err := layout.Write(folder, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := addImage(bundle, "example.com/a/sidecar", r.version, parts, labels)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.writeTar(r.file(bundleFile), folder); err != nil {
		t.Fatal(err)
	}
	return r, digest.String()
}

func TestABundleIsReproducible(t *testing.T) {
	first, digest := makeTestBundle(t)
	second, other := makeTestBundle(t)
	if digest != other || read(t, first.file(bundleFile)) != read(t, second.file(bundleFile)) {
		t.Errorf("two bundles differ; the image is %s and %s", digest, other)
	}
}

// TestABundleNamesItsImages as a runtime looks for them: by the tag, and by the digest that a cluster's manifest pins.
func TestABundleNamesItsImages(t *testing.T) {
	r, digest := makeTestBundle(t)
	bundle, err := openBundle(r.file(bundleFile), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	index, err := bundle.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range manifest.Manifests {
		if named := d.Annotations[imageName]; named != "" {
			names = append(names, named)
			if d.Annotations[refName] != named || d.Digest.String() != digest {
				t.Errorf("%s is %s, %v", named, d.Digest, d.Annotations)
			}
		} else if d.Annotations[subjectName] == "" {
			t.Errorf("%s has no name and no subject", d.Digest)
		}
	}
	if got, want := strings.Join(names, " "), "example.com/a/sidecar:0.2.0 example.com/a/sidecar@"+digest; got != want {
		t.Errorf("named are %s, want %s", got, want)
	}
}

// TestPushBundle pushes to a real registry: one that lists what refers to an image by itself, and an older one, where that has a tag.
func TestPushBundle(t *testing.T) {
	for name, lists := range map[string]bool{"one that lists referrers": true, "an older one": false} {
		t.Run(name, func(t *testing.T) {
			host := runRegistry(t, registry.WithReferrersSupport(lists))
			r, digest := makeTestBundle(t)
			var said bytes.Buffer
			if err := run(t.Context(), []string{"push", "-from", r.out, "-registry", host + "/mirror"}, &said); err != nil {
				t.Fatal(err)
			}
			if want := host + "/mirror/sidecar:0.2.0@" + digest + "\n"; said.String() != want {
				t.Errorf("said %q, want %q", said.String(), want)
			}
			tag, err := parseTag(host + "/mirror/sidecar:0.2.0")
			if err != nil {
				t.Fatal(err)
			}
			index, err := remote.Index(tag)
			if err != nil {
				t.Fatal(err)
			}
			checkIndex(t, tag, index)
		})
	}
}

func checkIndex(t *testing.T, tag name.Tag, index v1.ImageIndex) {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != len(architectures) || manifest.Annotations["org.opencontainers.image.version"] != "0.2.0" {
		t.Errorf("the index has %d images and the annotations %v", len(manifest.Manifests), manifest.Annotations)
	}
	for i, arch := range architectures {
		child := manifest.Manifests[i]
		if child.Platform == nil || child.Platform.String() != "linux/"+arch {
			t.Errorf("image %d is for %v", i, child.Platform)
		}
		image, err := index.Image(child.Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Architecture != arch || config.Config.User != nonroot || config.Config.Labels["org.opencontainers.image.revision"] != commit {
			t.Errorf("the image for %s has %+v", arch, config)
		}
		if got, want := readReferrer(t, tag.Context().Digest(child.Digest.String())), `{"arch":"`+arch+`"}`; got != want {
			t.Errorf("its bill of materials is %s, want %s", got, want)
		}
	}
}

// readReferrer returns the one bill of materials that refers to an image.
func readReferrer(t *testing.T, image name.Digest) string {
	t.Helper()
	referrers, err := remote.Referrers(image)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := referrers.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].ArtifactType != string(sbomType) {
		t.Fatalf("to the image refer %+v", manifest.Manifests)
	}
	artifact, err := remote.Image(image.Context().Digest(manifest.Manifests[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := artifact.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	text, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWhatCannotBePushed(t *testing.T) {
	r, _ := makeTestBundle(t)
	two := t.TempDir()
	write(t, filepath.Join(two, "wechatendpoint-0.1.0-images.tar"), "")
	write(t, filepath.Join(two, "wechatendpoint-0.2.0-images.tar"), "")
	broken := t.TempDir()
	write(t, filepath.Join(broken, "wechatendpoint-0.2.0-images.tar"), "this is no archive")
	for name, test := range map[string]struct{ from, registry, want string }{
		"an empty folder":          {t.TempDir(), "example.com/a", "has 0 files wechatendpoint-*-images.tar"},
		"two releases":             {two, "example.com/a", "has 2 files"},
		"a broken bundle":          {broken, "example.com/a", "reading " + filepath.Join(broken, "wechatendpoint-0.2.0-images.tar")},
		"a URL as registry":        {r.out, "https://example.com/a", `REGISTRY is "https://example.com/a"`},
		"a release without target": {r.out, "", "needs -from and -registry"},
	} {
		t.Run(name, func(t *testing.T) {
			err := run(t.Context(), []string{"push", "-from", test.from, "-registry", test.registry}, io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// TestABundleWritesNothingBesideItsFolder: it may come from anywhere.
func TestABundleWritesNothingBesideItsFolder(t *testing.T) {
	for _, evil := range []string{"../evil", "/evil", "blobs/../../evil"} {
		parent := t.TempDir()
		folder, bundle := filepath.Join(parent, "folder"), filepath.Join(parent, "bundle.tar")
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		var archive bytes.Buffer
		writer := tar.NewWriter(&archive)
		if err := addFile(writer, evil, 0o644, []byte("evil"), time.Time{}); err != nil {
			t.Fatal(err)
		}
		writer.Close()
		write(t, bundle, archive.String())
		if _, err := openBundle(bundle, folder); err == nil {
			t.Errorf("%s is unpacked", evil)
		}
		if _, err := os.Stat(filepath.Join(parent, "evil")); err == nil {
			t.Errorf("%s was written", evil)
		}
	}
}

// runRegistry runs a registry until the test ends, and returns its host.
func runRegistry(t *testing.T, options ...registry.Option) string {
	t.Helper()
	server := httptest.NewServer(registry.New(append(options, registry.Logger(log.New(io.Discard, "", 0)))...))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func parseTag(text string) (name.Tag, error) { return name.NewTag(text, name.StrictValidation) }
