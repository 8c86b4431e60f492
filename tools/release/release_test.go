//go:build release

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const (
	root    = "../.."
	checked = "0.0.0-check"
)

// TestRelease makes a release of what is committed, twice, and tries what is in it. PLATFORMS chooses for which.
func TestRelease(t *testing.T) {
	platforms, err := parsePlatforms(os.Getenv("PLATFORMS"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("MAKEFLAGS", "") // nothing else of who calls it
	if changed := output(t, "git", "-C", root, "status", "--porcelain"); changed != "" {
		t.Logf("not tried, because it is not committed:\n%s", changed)
	}
	began := time.Now()
	first := makeRelease(t, filepath.Join(t.TempDir(), "a"))
	t.Logf("a release took %.0f s", time.Since(began).Seconds())

	t.Run("two builds are the same", func(t *testing.T) {
		t.Setenv("GOCACHE", t.TempDir()) // nothing of the first is used again
		t.Setenv("TZ", "Asia/Shanghai")
		t.Setenv("LC_ALL", "C.UTF-8")
		t.Setenv("GOFLAGS", "-tags=other")
		t.Setenv("GOAMD64", "v3")
		second := makeRelease(t, filepath.Join(t.TempDir(), "another/and/longer folder"))
		if diff := cmp.Diff(read(t, filepath.Join(first, sumsFile)), read(t, filepath.Join(second, sumsFile))); diff != "" {
			t.Errorf("they differ (-first +second):\n%s", diff)
		}
	})
	t.Run("all files are there", func(t *testing.T) { checkFiles(t, first, platforms) })
	t.Run("each program knows its release", func(t *testing.T) { checkPrograms(t, first, platforms) })
	t.Run("the sidecar for arm64 answers a URL check", func(t *testing.T) {
		if !slices.Contains(platforms, platform{"linux", "arm64"}) || !slices.Contains(platforms, platform{"linux", runtime.GOARCH}) {
			t.Skip("it was not made, or no plugin for this machine")
		}
		checkArm64(t, first)
	})
	t.Run("the bundle comes into a registry as it is", func(t *testing.T) { checkPush(t, first, release{platforms: platforms}.architectures()) })
	t.Run("install.yaml pins the images", func(t *testing.T) { checkManifest(t, first) })
	t.Run("krew takes the manifest", func(t *testing.T) {
		validate := output(t, root+"/tools/install", "validate-krew-manifest")
		output(t, validate, "-manifest", filepath.Join(first, krewFile), "-skip-install")
	})
}

// makeRelease clones what is committed into a folder and calls make release there, as a person does.
func makeRelease(t *testing.T, clone string) string {
	t.Helper()
	output(t, "git", "clone", "--quiet", "--no-local", root, clone)
	output(t, "make", "-C", clone, "release", "VERSION="+checked, "REGISTRY="+defaultRegistry)
	return filepath.Join(clone, "dist", checked)
}

func checkFiles(t *testing.T, folder string, platforms []platform) {
	want := []string{sumsFile, installFile, krewFile, named(chartFile), named(bundleFile), named(imagesFile)}
	for _, on := range platforms {
		want = append(want, archiveOf(plugin, on))
		if on.os != "linux" {
			continue
		}
		for _, p := range images {
			want = append(want, archiveOf(p, on), named(p.name+"-%s-linux-"+on.arch+".cdx.json"))
		}
	}
	slices.Sort(want)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	check := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "--quiet", sumsFile)
	check.Dir = folder
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("the checksums: %v: %s", err, out)
	}
}

func named(format string) string { return fmt.Sprintf(format, checked) }

func archiveOf(p program, on platform) string {
	suffix := ".tar.gz"
	if on.os == "windows" {
		suffix = ".zip"
	}
	return release{version: checked}.named(p, on) + suffix
}

// unpackProgram unpacks an archive and returns the path of its binary.
func unpackProgram(t *testing.T, archive, binary string) string {
	t.Helper()
	folder := t.TempDir()
	if strings.HasSuffix(archive, ".zip") {
		output(t, "python3", "-m", "zipfile", "-e", archive, folder)
	} else {
		output(t, "tar", "-xzf", archive, "-C", folder)
	}
	return filepath.Join(folder, binary)
}

// checkPrograms reads each binary, and runs those for this machine.
func checkPrograms(t *testing.T, folder string, platforms []platform) {
	head := output(t, "git", "-C", root, "rev-parse", "HEAD")
	for _, on := range platforms {
		programs := []program{plugin}
		if on.os == "linux" {
			programs = append(programs, images...)
		}
		for _, p := range programs {
			checkProgram(t, folder, p, on, head)
		}
	}
}

func checkProgram(t *testing.T, folder string, p program, on platform, head string) {
	t.Helper()
	binary, archive := p.name, archiveOf(p, on)
	if on.os == "windows" {
		binary += ".exe"
	}
	path := unpackProgram(t, filepath.Join(folder, archive), binary)
	info, err := buildinfo.ReadFile(path)
	if err != nil || setting(info, "GOOS") != on.os || setting(info, "GOARCH") != on.arch || setting(info, "CGO_ENABLED") != "0" || setting(info, "-tags") != "" {
		t.Errorf("%s is built otherwise: %v, %+v", archive, err, info)
	}
	content := read(t, path)
	for _, own := range []string{os.TempDir() + "/Test", os.Getenv("HOME") + "/"} {
		if strings.Contains(content, own) {
			t.Errorf("%s holds the path %s of this machine", archive, own)
		}
	}
	if on.os != runtime.GOOS || on.arch != runtime.GOARCH || p.name == "example-app" {
		return
	}
	arguments, prefix := []string{"--version"}, p.name
	if p.name == plugin.name {
		arguments, prefix = []string{"version", "--client"}, "client"
	}
	said := strings.Join(strings.Fields(output(t, path, arguments...)), " ")
	if want := fmt.Sprintf("%s %s (commit %s, %s, %s)", prefix, checked, head, runtime.Version(), on); said != want {
		t.Errorf("%s says %q, want %q", archive, said, want)
	}
}

const (
	document = `{"generation": "g-1", "endpoint": "team-a/shop", "platform": "OfficialAccount", "appID": "wx5823bf96d3bd56c7", "messageMode": "Plaintext",
		"host": "wx.example.com", "path": "/weixin", "backend": {"url": "http://127.0.0.1:9"}, "credentials": {"pairs": [{"generation": 1, "token": "q7RkZt0mWc5xVb2n"}]}}`
	rightToken, wrongToken = "q7RkZt0mWc5xVb2n", "another0mWc5xVb2n"
)

// checkArm64 runs the sidecar for arm64, by QEMU where the machine is another one, and lets the plugin play the console.
func checkArm64(t *testing.T, folder string) {
	sidecar := []string{unpackProgram(t, filepath.Join(folder, named("sidecar-%s-linux-arm64.tar.gz")), "sidecar")}
	if runtime.GOARCH != "arm64" {
		sidecar = append([]string{"qemu-aarch64"}, sidecar...)
	}
	if said := output(t, sidecar[0], append(sidecar[1:], "--version")...); !strings.HasPrefix(said, "sidecar "+checked+" ") || !strings.HasSuffix(said, "linux/arm64)") {
		t.Errorf("it says %s", said)
	}
	config := t.TempDir()
	write(t, filepath.Join(config, "endpoint.json"), document)
	const public, ops = "127.9.0.1:18080", "127.9.0.1:18081" // ports that Linux gives to nobody by itself
	// It ends by the cleanup, before which the test's context is cancelled.
	process := exec.CommandContext(context.WithoutCancel(t.Context()), sidecar[0], append(sidecar[1:], "--config-dir", config, "--listen", public, "--ops-listen", ops, "--drain-delay", "0s")...)
	var log bytes.Buffer
	process.Stderr = &log
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process.Process.Signal(os.Interrupt)
		if err := process.Wait(); err != nil {
			t.Errorf("the sidecar ended with %v and logged\n%s", err, log.String())
		}
	})
	awaitReady(t, "http://"+ops+"/readyz")

	kubectlWechat := unpackProgram(t, filepath.Join(folder, named("kubectl-wechat-%s-linux-"+runtime.GOARCH+".tar.gz")), plugin.name)
	for token, want := range map[string]int{rightToken: 0, wrongToken: 1} {
		verify := exec.CommandContext(t.Context(), kubectlWechat, "verify", "--url", "http://wx.example.com/weixin", "--address", public, "--token-file", "-")
		verify.Stdin = strings.NewReader(token)
		out, err := verify.CombinedOutput()
		if got := verify.ProcessState.ExitCode(); got != want {
			t.Errorf("exit status %d, want %d, %v:\n%s", got, want, err, out)
		}
	}
}

func awaitReady(t *testing.T, url string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if response, err := http.Get(url); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
	}
	t.Fatal("the sidecar is not ready after a minute")
}

// checkPush pushes the bundle and the chart to a real registry, as a person does, and installs from there as far as that goes without a cluster.
func checkPush(t *testing.T, folder string, architectures []string) {
	host := runRegistry(t, registry.WithReferrersSupport(true))
	output(t, "make", "-C", root, "push-bundle", "BUNDLE="+folder, "REGISTRY="+host+"/mirror", "PLAIN_HTTP=true")
	for _, line := range strings.Fields(read(t, filepath.Join(folder, named(imagesFile)))) {
		image, digest, _ := strings.Cut(strings.TrimPrefix(line, defaultRegistry+"/"), "@")
		tag, err := parseTag(host + "/mirror/" + image)
		if err != nil {
			t.Fatal(err)
		}
		index, err := remote.Index(tag)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := index.Digest(); err != nil || got.String() != digest {
			t.Errorf("%s has the digest %s there, %v, and %s in the bundle", image, got, err, digest)
		}
		manifest, err := index.IndexManifest()
		if err != nil || len(manifest.Manifests) != len(architectures) {
			t.Fatalf("%s is %+v, %v", image, manifest, err)
		}
		program, _, _ := strings.Cut(image, ":")
		for i, arch := range architectures {
			sbom := readReferrer(t, tag.Context().Digest(manifest.Manifests[i].Digest.String()))
			if sbom != read(t, filepath.Join(folder, named(program+"-%s-linux-"+arch+".cdx.json"))) {
				t.Errorf("%s for %s has another bill of materials there", program, arch)
			}
		}
	}

	helm, pulled := output(t, root+"/tools/install", "helm"), t.TempDir()
	output(t, helm, "pull", "oci://"+host+"/mirror/charts/wechat-endpoint", "--version", checked, "--plain-http", "--destination", pulled)
	chart := filepath.Join(pulled, named(chartFile))
	if sha256.Sum256([]byte(read(t, chart))) != sha256.Sum256([]byte(read(t, filepath.Join(folder, named(chartFile))))) {
		t.Error("the chart is another one there")
	}
	rendered := strings.ReplaceAll(output(t, helm, "template", chart), `"`, "")
	for _, want := range []string{"image: ghcr.io/wechatendpoint/operator:" + checked, "sidecarImage: ghcr.io/wechatendpoint/sidecar:" + checked, "helm.sh/chart: wechat-endpoint-" + checked} {
		if !strings.Contains(rendered, want) {
			t.Errorf("the chart does not render %s", want)
		}
	}
}

func checkManifest(t *testing.T, folder string) {
	manifest := strings.ReplaceAll(read(t, filepath.Join(folder, installFile)), `"`, "")
	pins := strings.Fields(read(t, filepath.Join(folder, named(imagesFile))))
	if want := "image: " + pins[0] + "\n"; strings.Count(manifest, want) != 1 {
		t.Errorf("there is no %s", want)
	}
	if want := "sidecarImage: " + pins[1] + "\n"; strings.Count(manifest, want) != 1 {
		t.Errorf("there is no %s", want)
	}
	if n := strings.Count(manifest, pins[1]); n < 4 { // the policies and the template of pods know it too
		t.Errorf("the sidecar's image stands there %d times", n)
	}
}

// output runs a command and returns what it says.
func output(t *testing.T, command string, arguments ...string) string {
	t.Helper()
	process := exec.CommandContext(t.Context(), command, arguments...)
	var stderr bytes.Buffer
	process.Stderr = &stderr
	out, err := process.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", command, strings.Join(arguments, " "), err, out, stderr.String())
	}
	return strings.TrimSpace(string(out))
}
