// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

func TestWhatARepositoryAndAVersionMayBeCalled(t *testing.T) {
	for name, test := range map[string]struct{ version, registry, refused string }{
		"a version":                              {"0.2.0", defaultRegistry, ""},
		"a pre-release":                          {"0.2.0-rc.1", defaultRegistry, ""},
		"a registry of one's own":                {"0.2.0", "registry.example.com:5000/you/wechat", ""},
		"what the Makefile says without VERSION": {"dev", defaultRegistry, `VERSION is "dev"`},
		"a tag of git":                           {"v0.2.0", defaultRegistry, "without v"},
		"two numbers":                            {"0.2", defaultRegistry, "VERSION"},
		"build metadata, which no image's tag can have": {"0.2.0+a", defaultRegistry, "without +"},
		"an option":               {"-x", defaultRegistry, "VERSION"},
		"no version":              {"", defaultRegistry, "VERSION"},
		"upper case in the name":  {"0.2.0", "ghcr.io/WeChatEndpoint", "REGISTRY"},
		"a URL":                   {"0.2.0", "https://registry.example.com/you", "REGISTRY"},
		"a name without registry": {"0.2.0", "you", "REGISTRY"},
	} {
		t.Run(name, func(t *testing.T) {
			r := release{version: test.version, registry: test.registry}
			err := r.check()
			if (err == nil) != (test.refused == "") || err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Errorf("got %v, want %q", err, test.refused)
			}
		})
	}
}

func TestWhichPlatformsAReleaseIsFor(t *testing.T) {
	for list, want := range map[string]string{
		"":                          "[linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64]",
		"linux/arm64":               "[linux/arm64]",
		"windows/amd64,linux/amd64": "[windows/amd64 linux/amd64]",
		"linux/riscv64":             `PLATFORMS has "linux/riscv64": choose from [linux/amd64`,
		"linux/amd64, linux/arm64":  `PLATFORMS has " linux/arm64"`,
		"linux/amd64,":              `PLATFORMS has ""`,
		"linux/amd64,linux/amd64":   "PLATFORMS has linux/amd64 twice",
		"darwin/arm64":              "PLATFORMS has none of Linux",
	} {
		platforms, err := parsePlatforms(list)
		if got := fmt.Sprint(platforms); err == nil && got != want || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %s, %v, want %s", list, got, err, want)
		}
	}
}

func TestAReleaseIsMadeOfACommitAndNothingElse(t *testing.T) {
	for name, test := range map[string]struct{ changed, version, want, refused string }{
		"a commit as it is":                         {"", "0.2.0", commit, ""},
		"a pre-release may have changes, and tells": {" M README.md", "0.2.0-dev", commit + "-dirty", ""},
		"a release may not":                         {" M README.md", "0.2.0", "", "M README.md"},
		"nor a file that git does not know":         {"?? charts/x.yaml\n?? y", "0.2.0", "", "?? charts/x.yaml)"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := nameCommit(commit, test.changed, test.version)
			if got != test.want || (err == nil) != (test.refused == "") || err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// TestTheCommitIsRead from a real checkout.
func TestTheCommitIsRead(t *testing.T) {
	folder := t.TempDir()
	commitAll(t, folder)
	r := release{version: "0.2.0", root: folder}
	if err := r.readCommit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := r.date.Format(time.RFC3339), "2026-01-01T19:04:05Z"; got != want || len(r.commit) != 40 {
		t.Errorf("read commit %q of %s, want %s", r.commit, got, want)
	}
	if err := (&release{version: "0.2.0", root: t.TempDir()}).readCommit(t.Context()); err == nil || !strings.Contains(err.Error(), "a commit in git") {
		t.Errorf("a folder without git: %v", err)
	}
}

func TestAManifestGetsTheReleasesImages(t *testing.T) {
	pinned := []string{"registry.example.com/you/operator:0.2.0@sha256:aa", "registry.example.com/you/sidecar:0.2.0@sha256:bb", "registry.example.com/you/example-app:0.2.0@sha256:cc"}
	const manifest = "image: ghcr.io/wechatendpoint/operator:dev\nsidecarImage: ghcr.io/wechatendpoint/sidecar:dev\nexpression: dyn(\"ghcr.io/wechatendpoint/sidecar:dev\")\n"
	got, err := pin(manifest, "registry.example.com/you", pinned)
	const want = "image: registry.example.com/you/operator:0.2.0@sha256:aa\nsidecarImage: registry.example.com/you/sidecar:0.2.0@sha256:bb\n" +
		"expression: dyn(\"registry.example.com/you/sidecar:0.2.0@sha256:bb\")\n"
	if err != nil || got != want {
		t.Errorf("got %v\n%s", err, got)
	}
	for name, wrong := range map[string]string{
		"without the sidecar":           "image: ghcr.io/wechatendpoint/operator:dev\n",
		"with an image of another name": manifest + "image: ghcr.io/wechatendpoint/helper:dev\n",
	} {
		if _, err := pin(wrong, "registry.example.com/you", pinned); err == nil {
			t.Errorf("a manifest %s passes", name)
		}
	}
	if _, err := pin(manifest, "registry.example.com/you", pinned[:1]); err == nil {
		t.Error("a release without the sidecar's image passes")
	}
}

func TestAChartNamesTheReleasesRegistry(t *testing.T) {
	chart := t.TempDir()
	write(t, filepath.Join(chart, "values.yaml"), "repository: ghcr.io/wechatendpoint/operator\n")
	write(t, filepath.Join(chart, "README.md"), "helm install oci://ghcr.io/wechatendpoint/charts/wechat-endpoint\n")
	r := release{registry: "registry.example.com/you"}
	if err := r.nameRegistry(chart); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, filepath.Join(chart, "values.yaml")), "repository: registry.example.com/you/operator\n"; got != want {
		t.Errorf("values.yaml: %s", got)
	}
	if got, want := read(t, filepath.Join(chart, "README.md")), "helm install oci://registry.example.com/you/charts/wechat-endpoint\n"; got != want {
		t.Errorf("README.md: %s", got)
	}
	if err := r.nameRegistry(chart); err == nil {
		t.Error("values that name no image of the project pass")
	}
}

// TestABillOfMaterials is of a real binary: this test's own.
func TestABillOfMaterials(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := release{version: "0.2.0", commit: commit, date: time.Unix(1, 0).UTC()}
	text, err := r.makeSBOM(self, program{name: "tests", description: "tests"})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.makeSBOM(self, program{name: "tests", description: "tests"}); err != nil || !bytes.Equal(text, again) {
		t.Errorf("a second one differs, %v", err)
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(text), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if bom.Metadata.Timestamp != "1970-01-01T00:00:01Z" || bom.Metadata.Component.Version != "v0.2.0" {
		t.Errorf("it tells of %s %s", bom.Metadata.Component.Version, bom.Metadata.Timestamp)
	}
	info, err := buildinfo.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	hashes := map[string]string{}
	for _, c := range *bom.Components {
		hashes[c.PackageURL] = ""
		if c.Hashes != nil {
			hashes[c.PackageURL] = (*c.Hashes)[0].Value
		}
	}
	if len(hashes) != len(info.Deps)+1 {
		t.Errorf("%d components, want the %d modules and the standard library", len(hashes), len(info.Deps))
	}
	if _, ok := hashes["pkg:golang/std@"+strings.TrimPrefix(info.GoVersion, "go")]; !ok {
		t.Error("the standard library is missing")
	}
	for _, m := range info.Deps {
		if hash, ok := hashes["pkg:golang/"+m.Path+"@"+m.Version]; !ok || len(hash) != 64 {
			t.Errorf("module %s has the hash %q", m.Path, hash)
		}
	}
	if needs := (*bom.Dependencies)[0].Dependencies; len(*needs) != len(hashes) {
		t.Errorf("the program needs %d of %d components", len(*needs), len(hashes))
	}
}

func TestWhatIsNoGoBinaryHasNoBillOfMaterials(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "binary")
	write(t, binary, "text")
	if _, err := new(release).makeSBOM(binary, program{}); err == nil {
		t.Error("it has one")
	}
}

func TestArchives(t *testing.T) {
	root, out := t.TempDir(), t.TempDir()
	write(t, filepath.Join(root, "LICENSE"), "the license")
	r := release{version: "0.2.0", root: root, out: out, date: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)}
	for _, test := range []struct {
		binary string
		target platform
		want   string
		unpack func(*testing.T, []byte) string
	}{
		{"program", platform{"linux", "arm64"}, "program-0.2.0-linux-arm64.tar.gz", untar},
		{"program.exe", platform{"windows", "amd64"}, "program-0.2.0-windows-amd64.zip", unzip},
	} {
		binary := filepath.Join(root, test.binary)
		write(t, binary, "binary")
		name, sum, err := r.archive(program{name: "program"}, test.target, binary)
		if err != nil || name != test.want {
			t.Fatalf("it is called %s, %v", name, err)
		}
		first := read(t, filepath.Join(out, name))
		if _, again, err := r.archive(program{name: "program"}, test.target, binary); err != nil || again != sum || read(t, filepath.Join(out, name)) != first {
			t.Errorf("%s is another one the second time: %s, %s, %v", name, sum, again, err)
		}
		want := "LICENSE -rw-r--r-- 2026-01-02T03:04:06Z the license\n" + test.binary + " -rwxr-xr-x 2026-01-02T03:04:06Z binary\n"
		if text := test.unpack(t, []byte(first)); text != want {
			t.Errorf("%s holds\n%s, want\n%s", name, text, want)
		}
	}
}

func untar(t *testing.T, content []byte) string {
	t.Helper()
	plain, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return text.String()
		}
		if err != nil || header.Uid != 0 || header.Uname != "" {
			t.Fatalf("%v, %+v", err, header)
		}
		text.WriteString(line(t, header.FileInfo(), archive))
	}
}

func unzip(t *testing.T, content []byte) string {
	t.Helper()
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, f := range archive.File {
		file, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(line(t, f.FileInfo(), file))
	}
	return text.String()
}

func line(t *testing.T, info os.FileInfo, content io.Reader) string {
	t.Helper()
	all, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	return info.Name() + " " + info.Mode().String() + " " + info.ModTime().UTC().Format(time.RFC3339) + " " + string(all) + "\n"
}

func TestLabelsTellWhereAnImageComesFrom(t *testing.T) {
	r := release{version: "0.2.0", commit: commit, date: time.Unix(1, 0).UTC()}
	got, err := json.MarshalIndent(r.labels(program{name: "sidecar", description: "verifies"}), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "org.opencontainers.image.created": "1970-01-01T00:00:01Z",
  "org.opencontainers.image.description": "verifies",
  "org.opencontainers.image.documentation": "https://github.com/wechatendpoint/wechatendpoint/tree/v0.2.0/docs",
  "org.opencontainers.image.licenses": "Apache-2.0",
  "org.opencontainers.image.revision": "0123456789abcdef0123456789abcdef01234567",
  "org.opencontainers.image.source": "https://github.com/wechatendpoint/wechatendpoint",
  "org.opencontainers.image.title": "sidecar",
  "org.opencontainers.image.url": "https://github.com/wechatendpoint/wechatendpoint",
  "org.opencontainers.image.vendor": "The WeChatEndpoint Authors",
  "org.opencontainers.image.version": "0.2.0"
}`
	if string(got) != want {
		t.Errorf("got %s", got)
	}
}

func TestASumOfEachFile(t *testing.T) {
	r := release{out: t.TempDir(), date: time.Unix(1, 0)}
	write(t, filepath.Join(r.out, "b"), "b")
	write(t, filepath.Join(r.out, "a"), "a")
	if err := r.makeSums(t.Context()); err != nil {
		t.Fatal(err)
	}
	const want = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a\n3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d  b\n"
	if got := read(t, filepath.Join(r.out, sumsFile)); got != want {
		t.Errorf("got\n%s", got)
	}
	if info, err := os.Stat(filepath.Join(r.out, "a")); err != nil || !info.ModTime().Equal(r.date) {
		t.Errorf("a file is of another time: %v, %v", info, err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
