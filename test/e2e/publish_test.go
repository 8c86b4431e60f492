//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/docs"
	"github.com/wechatendpoint/wechatendpoint/test/ports"
)

// released is the version of the release of this checkout that the Makefile makes before the tests.
const released = docs.Version + "-dev"

// Where the project publishes.
const (
	source    = "https://github.com/wechatendpoint/wechatendpoint"
	downloads = source + "/releases/download/v"
	charts    = "oci://ghcr.io/wechatendpoint/charts/wechat-endpoint"
)

// upstream is the folder of the registry that stands for the project's own.
const upstream = "upstream"

// publication is a release, and servers from which readers download it.
type publication struct {
	folder    string // of its files
	files     string // the URL of a server that has them
	registry  string // host and port
	authority string // the file of the one that has signed the registry's certificate
}

// publish serves what `make release` has made of this checkout: its files, and its images and chart in a registry, which the node trusts.
func publish(t *testing.T) publication {
	t.Helper()
	folder := checkout(t) + "/dist/e2e"
	if _, err := os.Stat(filepath.Join(folder, "SHA256SUMS")); err != nil {
		t.Fatalf("make e2e makes a release first: %v", err)
	}
	p := publication{folder: folder}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := os.ReadFile(filepath.Join(folder, filepath.Base(r.URL.Path)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/wechat.yaml") { // krew downloads what it names
			content = bytes.ReplaceAll(content, []byte(downloads+released), []byte(p.files))
		}
		_, _ = w.Write(content)
	}))
	t.Cleanup(server.Close)
	p.files = server.URL
	p.runRegistry(t)
	trusting := []string{"SSL_CERT_FILE=" + p.authority}
	if _, err := callIn(t.Context(), trusting, "make", "-C", root, "push-bundle", "BUNDLE="+folder, "REGISTRY="+p.registry+"/"+upstream); err != nil {
		t.Fatal(err)
	}
	return p
}

// registryConfig is that of Docker's own registry.
const registryConfig = `version: 0.1
log: {accesslog: {disabled: true}, level: error}
storage: {filesystem: {rootdirectory: %[1]s/content}}
http:
  addr: 0.0.0.0:%[2]s
  tls: {certificate: %[1]s/cert.pem, key: %[1]s/key.pem}
`

// runRegistry runs a registry with TLS at an address of the node.
func (p *publication) runRegistry(t *testing.T) {
	t.Helper()
	node, _, err := net.SplitHostPort(kube.ingressAddress)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ports.Free())
	p.registry = net.JoinHostPort(node, port)
	folder := t.TempDir()
	p.authority = filepath.Join(folder, "cert.pem")
	certificate, key := selfSigned(t, node)
	write(t, p.authority, string(certificate))
	write(t, filepath.Join(folder, "key.pem"), string(key))
	write(t, filepath.Join(folder, "config.yml"), fmt.Sprintf(registryConfig, folder, port))
	var log bytes.Buffer
	server := exec.CommandContext(t.Context(), "docker-registry", "serve", filepath.Join(folder, "config.yml"))
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatalf("tools/unpack fetches docker-registry: %v", err)
	}
	t.Cleanup(func() {
		_ = server.Wait() // the end of the context has killed it
		if t.Failed() {
			t.Logf("the registry: %s", &log)
		}
	})
	eventually(t, patience, "the registry", func(ctx context.Context) error {
		connection, err := new(net.Dialer).DialContext(ctx, "tcp", p.registry)
		if err == nil {
			err = connection.Close()
		}
		return err
	})
	runsCluster(t, "trust", p.registry, p.authority)
}

// runsCluster runs the program of the local cluster.
func runsCluster(t *testing.T, arguments ...string) {
	t.Helper()
	if _, err := call(t.Context(), root+"/test/cluster/cluster", arguments...); err != nil {
		t.Fatal(err)
	}
}

func (p publication) bundle() string {
	return filepath.Join(p.folder, "wechatendpoint-"+released+"-images.tar")
}

// isOnTheNode gives the node the images that it would pull from where the project publishes.
func (p publication) isOnTheNode(t *testing.T) {
	t.Helper()
	runsCluster(t, "ctr", "--", "-n", "k8s.io", "images", "import", p.bundle())
}

// isMirrored wants the images in the mirror to have the digests of the release.
func (p publication) isMirrored(t *testing.T) {
	t.Helper()
	list, err := os.ReadFile(filepath.Join(p.folder, "wechatendpoint-"+released+"-images.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range strings.Fields(string(list)) {
		name, digest, _ := strings.Cut(path.Base(image), "@")
		got, err := callIn(t.Context(), []string{"SSL_CERT_FILE=" + p.authority}, kube.crane, "digest", p.registry+"/mirror/"+name)
		if err != nil || strings.TrimSpace(got) != digest {
			t.Errorf("%s has the digest %s (%v), and %s in the release", name, got, err, digest)
		}
	}
}

// isInstalledByManifest applies the manifest of the release, as the page says, and removes it.
func (p publication) isInstalledByManifest(t *testing.T) {
	const page = "docs/install.md"
	pages := pagesOf(t, "TestInstallationPages/without_helm")
	wantPages(t, pages, []string{page})
	r := newReader(t, newEmptyStage(t, "page", "baseline"))
	r.installsFrom(t, p)
	r.reads(t, page, pages[page])
	for _, step := range [][]string{
		{"-n", operatorNamespace, "rollout", "status", "deployment/" + operatorName, "--timeout", "2m"},
		{"-n", operatorNamespace, "delete", "deployment", operatorName, "--cascade=foreground"}, // a namespace with pods goes half a minute later
		{"delete", "--ignore-not-found", "--wait", "--timeout", "2m", "-f", filepath.Join(p.folder, "install.yaml")},
	} {
		if said, err := call(t.Context(), kube.kubectl, step...); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
	}
}

// Scripts of a reader who installs.
const (
	sudoScript = "#!/bin/sh\nexec \"$@\"\n"
	ctrScript  = "#!/bin/sh\nexec '%s/test/cluster/cluster' ctr -- \"$@\"\n"
)

// installsFrom gives the reader what whoever installs has: the release and where to download it, a registry of his own that he logged in to, a
// shell on the node, krew, and the checkout.
func (r *reader) installsFrom(t *testing.T, p publication) {
	t.Helper()
	if kube.krew == "" || kube.crane == "" {
		t.Fatal("KREW and CRANE must name the programs")
	}
	write(t, filepath.Join(r.home, "bin/sudo"), sudoScript)
	write(t, filepath.Join(r.home, "bin/ctr"), fmt.Sprintf(ctrScript, checkout(t)))
	r.links(t, kube.krew, "bin/kubectl-krew")
	r.links(t, kube.crane, "bin/crane")
	r.links(t, p.folder, "Downloads")
	if _, err := call(t.Context(), "cp", p.bundle(), r.folder); err != nil { // as if it were the node
		t.Fatal(err)
	}

	// Everything else in .curlrc is for other hosts.
	curlrc, err := os.ReadFile(filepath.Join(r.home, ".curlrc"))
	if err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(p.files, "http://")
	write(t, filepath.Join(r.home, ".curlrc"), fmt.Sprintf("connect-to = \"%s:%[1]s\"\n%s", host, curlrc))
	r.environment = []string{r.clones(t), "SSL_CERT_FILE=" + p.authority, "WXE_CACHE=" + cacheFolder()}
	chart := filepath.Join(p.folder, "wechat-endpoint-"+released+".tgz")
	r.replaces = []string{
		charts + " --version " + docs.Version, chart,
		charts, chart,
		downloads + docs.Version, p.files,
		"${image%%:*}", p.registry + "/" + upstream + "/${name%%:*}",
		"registry.example.com/mirror", p.registry + "/mirror",
		"make push-bundle", "make -C '" + checkout(t) + "' push-bundle",
		docs.Version, released,
	}
}

// cacheFolder is that of tools/install, which a reader's home has none of.
func cacheFolder() string {
	if folder := os.Getenv("WXE_CACHE"); folder != "" {
		return folder
	}
	folder, _ := os.UserCacheDir()
	return filepath.Join(folder, "wechatendpoint")
}

// clones lets git find here what is published elsewhere: the project with its tag, and an index of krew's. It returns git's configuration.
func (r *reader) clones(t *testing.T) string {
	t.Helper()
	config := ""
	for url, script := range map[string]string{
		source: "cp -r \"$3/config\" \"$1\"",
		"https://github.com/kubernetes-sigs/krew-index": "mkdir \"$1/plugins\" && touch \"$1/plugins/none\"",
	} {
		folder := filepath.Join(t.TempDir(), "origin.git")
		const commit = ` && cd "$1" && git init -q && git add . && git -c user.name=reader -c user.email=reader@example.com commit -qm all && git tag "$2"`
		if _, err := call(t.Context(), "sh", "-ec", "mkdir \"$1\" && "+script+commit, "sh", folder, "v"+docs.Version, checkout(t)); err != nil {
			t.Fatal(err)
		}
		config += fmt.Sprintf("[url \"file://%s\"]\n\tinsteadOf = %s\n", strings.TrimSuffix(folder, ".git"), url)
	}
	file := filepath.Join(r.home, "gitconfig")
	write(t, file, config)
	return "GIT_CONFIG_GLOBAL=" + file
}
