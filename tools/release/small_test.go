// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

var update = flag.Bool("update", false, "write the goldens anew")

// TestASmallRelease makes a release of a checkout whose programs do nothing but tell their version, for this machine's architecture alone, and
// otherwise as a real one is made. It makes it twice, in other folders and with other settings. TestRelease does that with the real programs.
func TestASmallRelease(t *testing.T) {
	first, err := makeSmall(t, t.TempDir(), "0.2.0")
	if err != nil {
		t.Fatal(err)
	}
	got, golden := list(t, first), filepath.Join("testdata", "release.txt")
	if *update {
		write(t, golden, got)
	}
	if diff := cmp.Diff(read(t, golden), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", golden, diff)
	}

	pushSmall(t, first)

	t.Setenv("TZ", "Asia/Shanghai")
	t.Setenv("LC_ALL", "C.UTF-8")
	t.Setenv("GOFLAGS", "-tags=other")
	t.Setenv("GOAMD64", "v3")
	longer := filepath.Join(t.TempDir(), "another", "longer folder")
	second, err := makeSmall(t, longer, "0.2.0")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(read(t, filepath.Join(first, sumsFile)), read(t, filepath.Join(second, sumsFile))); diff != "" {
		t.Errorf("two releases differ (-first +second):\n%s", diff)
	}

	write(t, filepath.Join(longer, "cmd/operator/main.go"), "package main\n\nfunc main() { undefined() }\n")
	if _, err := makeSmall(t, longer, "0.2.1"); err == nil || !strings.Contains(err.Error(), "making the images") {
		t.Errorf("programs that do not compile: %v", err)
	}
	entries, err := os.ReadDir(filepath.Dir(second))
	if err != nil || len(entries) != 1 || read(t, filepath.Join(second, sumsFile)) == "" {
		t.Errorf("beside the first release is %v, %v: nothing should be left of one that fails", entries, err)
	}
}

const smallProgram = `package main

import "github.com/wechatendpoint/wechatendpoint/sidecar/version"

func main() { println(version.Get().String()) }
`

// makeSmall commits a checkout in that folder, with all that a release reads, and makes a release of it.
func makeSmall(t *testing.T, folder, version string) (string, error) {
	t.Helper()
	const root = "../.."
	if _, err := os.Stat(folder + "/.git"); err != nil {
		for _, part := range []string{"sidecar/version", "charts", "config"} {
			if err := os.CopyFS(filepath.Join(folder, part), os.DirFS(filepath.Join(root, part))); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range append(slices.Clone(images), plugin) {
			if err := os.MkdirAll(filepath.Join(folder, p.source), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(folder, p.source, "main.go"), smallProgram)
		}
		write(t, filepath.Join(folder, "go.mod"), "module github.com/wechatendpoint/wechatendpoint\n\ngo 1.26.0\n")
		write(t, filepath.Join(folder, "LICENSE"), "the license\n")
		tools, err := filepath.Abs("..")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(tools, filepath.Join(folder, "tools")); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, ".gitignore"), "/dist/\n/tools\n")
	}
	commitAll(t, folder)
	out := filepath.Join(folder, "dist", version)
	return out, run(t.Context(), []string{"make", "-version", version, "-source", folder, "-platforms", "linux/" + runtime.GOARCH, "-out", out}, io.Discard)
}

// commitAll makes a commit of a folder's files, with a hash that depends on these alone.
func commitAll(t *testing.T, folder string) {
	t.Helper()
	for _, arguments := range [][]string{{"init", "-q"}, {"add", "."}, {"commit", "-q", "--allow-empty", "-m", "a commit"}} {
		git := exec.CommandContext(t.Context(), "git", arguments...)
		git.Dir = folder
		git.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com",
			"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2026-01-02T03:04:05+0800", "GIT_COMMITTER_DATE=2026-01-02T03:04:05+0800")
		if out, err := git.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}

// pushSmall pushes a release to a registry, and looks there for each line of what is said.
func pushSmall(t *testing.T, folder string) {
	t.Helper()
	install := exec.CommandContext(t.Context(), "../install", "helm")
	helm, err := install.Output()
	if err != nil {
		t.Fatal(err)
	}
	host := runRegistry(t)
	var said bytes.Buffer
	arguments := []string{"push", "-from", folder, "-registry", host + "/mirror", "-plain-http", "-helm", strings.TrimSpace(string(helm))}
	if err := run(t.Context(), arguments, &said); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, pushed := range strings.Fields(said.String()) {
		named, digest, _ := strings.Cut(pushed, "@")
		tag, err := parseTag(named)
		if err != nil {
			t.Fatal(err)
		}
		there, err := remote.Head(tag)
		if err != nil || there.Digest.String() != digest {
			t.Errorf("%s is %v there, %v, and it says %s", named, there, err, digest)
		}
		got = append(got, strings.TrimPrefix(named, host+"/mirror/"))
	}
	if diff := cmp.Diff([]string{"operator:0.2.0", "sidecar:0.2.0", "example-app:0.2.0", "charts/wechat-endpoint:0.2.0"}, got); diff != "" {
		t.Errorf("pushed are (-want +got):\n%s", diff)
	}
	arguments[len(arguments)-1] = "/bin/false"
	if err := run(t.Context(), arguments, io.Discard); err == nil || !strings.HasPrefix(err.Error(), "helm push: ") {
		t.Errorf("a chart that is not pushed: %v", err)
	}
}

var digits = regexp.MustCompile(`[0-9a-f]{64}`)

// list tells what is in a release: its files, what is in archives and in the bundle, and the images that install.yaml names. Digests, which
// depend on the version of Go, are left out, and so is the architecture.
func list(t *testing.T, folder string) string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, entry := range entries {
		name := entry.Name()
		content := read(t, filepath.Join(folder, name))
		fmt.Fprintln(&text, name)
		switch {
		case strings.HasSuffix(name, ".tar.gz"):
			plain, err := gzip.NewReader(strings.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			for _, member := range headers(t, plain) {
				fmt.Fprintln(&text, "   ", member.Name, member.FileInfo().Mode(), member.ModTime.UTC().Format(time.RFC3339))
			}
		case strings.HasSuffix(name, "-images.tar"):
			listBundle(t, filepath.Join(folder, name), &text)
		case name == installFile:
			for line := range strings.Lines(content) {
				if strings.Contains(line, "mage: ") {
					fmt.Fprintln(&text, "   ", strings.TrimSpace(line))
				}
			}
		case name == krewFile || name == sumsFile || strings.HasSuffix(name, "-images.txt"):
			for line := range strings.Lines(content) {
				fmt.Fprint(&text, "    ", line)
			}
		}
	}
	return strings.ReplaceAll(digits.ReplaceAllString(text.String(), "DIGEST"), runtime.GOARCH, "ARCH")
}

func listBundle(t *testing.T, file string, text io.Writer) {
	t.Helper()
	bundle, err := openBundle(file, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root, err := bundle.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	listIndex(t, root, "    ", text)
	blobs := 0
	for _, member := range headers(t, strings.NewReader(read(t, file))) {
		if strings.HasPrefix(member.Name, "blobs/sha256/") {
			blobs++
		} else {
			fmt.Fprintln(text, "   ", member.Name)
		}
	}
	fmt.Fprintf(text, "    blobs/sha256: %d files\n", blobs)
}

// headers are those of the files of an archive.
func headers(t *testing.T, content io.Reader) []*tar.Header {
	t.Helper()
	var all []*tar.Header
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, header)
	}
}

func listIndex(t *testing.T, index v1.ImageIndex, indent string, text io.Writer) {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range manifest.Manifests {
		what := d.Annotations[imageName]
		switch subject := d.Annotations[subjectName]; {
		case subject != "":
			what = "the bill of materials of " + subject
		case d.Platform != nil:
			what = d.Platform.String()
		}
		fmt.Fprintf(text, "%s%s: %s\n", indent, what, d.MediaType)
		if d.MediaType.IsIndex() {
			child, err := index.ImageIndex(d.Digest)
			if err != nil {
				t.Fatal(err)
			}
			listIndex(t, child, indent+"    ", text)
		}
	}
}
