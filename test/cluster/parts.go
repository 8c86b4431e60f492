package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// A part is a Go module of its own below parts/ that pins one of the cluster's programs: their dependency graphs
// conflict with each other.
type part struct {
	name     string
	packages []string // one binary each, named like the package's last element
	estimate string   // of a first build on two cores
}

var (
	etcd = part{"etcd", []string{"go.etcd.io/etcd/server/v3"}, "half a minute"}

	kubernetes = part{"kubernetes", []string{
		"k8s.io/kubernetes/cmd/kube-apiserver",
		"k8s.io/kubernetes/cmd/kube-controller-manager",
		"k8s.io/kubernetes/cmd/kube-proxy",
		"k8s.io/kubernetes/cmd/kube-scheduler",
		"k8s.io/kubernetes/cmd/kubectl",
		"k8s.io/kubernetes/cmd/kubelet",
	}, "4 minutes"}

	// oldestKubernetes is the oldest release that the chart installs on. The cluster has no use for it; assets does.
	oldestKubernetes = part{"kubernetes-1.33", []string{"k8s.io/kubernetes/cmd/kube-apiserver"}, "3 minutes"}

	containerd = part{"containerd", []string{
		"github.com/containerd/containerd/v2/cmd/containerd",
		"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
		"github.com/containerd/containerd/v2/cmd/ctr",
	}, "a minute"}

	pause   = part{"pause", []string{"."}, "seconds"}
	coredns = part{"coredns", []string{"."}, "a minute"}
	netpol  = part{"netpol", []string{"."}, "2 minutes"}
	traefik = part{"traefik", []string{"github.com/traefik/traefik/v3/cmd/traefik"}, "4 minutes"}

	// allParts are those of the cluster, in the order of building: what the control plane needs comes first.
	allParts = []part{etcd, kubernetes, containerd, pause, netpol, coredns, traefik}
)

// binary is the file name of what package pkg builds.
func (p part) binary(pkg string) string {
	if pkg == "." || p.name == "etcd" { // etcd's server is its module's root package, called v3
		return p.name
	}
	return filepath.Base(pkg)
}

func (p part) source() string { return filepath.Join(sourceRoot(), "parts", p.name) }

// folder is where the part's binaries are once built.
func (p part) folder() string { return filepath.Join(cacheRoot(), p.name+"-"+p.key()) }

// path is the full path of one of the part's binaries.
func (p part) path(binary string) string { return filepath.Join(p.folder(), binary) }

// key identifies what the part's binaries are built from: another version, flag or source file is another key.
func (p part) key() string {
	hash := sha256.New()
	for _, pattern := range []string{"go.mod", "go.sum", "*.go"} {
		names, _ := filepath.Glob(filepath.Join(p.source(), pattern)) // the patterns are well-formed
		for _, name := range names {
			content, err := os.ReadFile(name)
			if err != nil {
				continue // the build will say it better
			}
			_, _ = fmt.Fprintf(hash, "%s %d\n%s", filepath.Base(name), len(content), content)
		}
	}
	return hex.EncodeToString(hash.Sum(nil))[:12]
}

// missing are the packages among wanted that have no binary yet.
func (p part) missing(wanted []string) []string {
	var missing []string
	for _, pkg := range wanted {
		if !exists(p.path(p.binary(pkg))) {
			missing = append(missing, pkg)
		}
	}
	return missing
}

// download fetches the modules that the packages need. It is go list, not go mod download: that fetches every module
// of go.mod, also those that only tests of dependencies need.
func (p part) download(ctx context.Context, packages []string, log io.Writer) error {
	return p.run(ctx, log, append([]string{"list", "-deps"}, packages...)...)
}

// build makes the packages' binaries. They are renamed into the part's folder when done, so that whoever finds one there
// finds a whole one.
func (p part) build(ctx context.Context, packages []string, log io.Writer) error {
	if err := os.MkdirAll(p.folder(), 0o755); err != nil {
		return err
	}
	temporary, err := os.MkdirTemp(cacheRoot(), ".building-"+p.name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	arguments := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", p.ldflags(), "-o", temporary + "/"}
	if err := p.run(ctx, log, append(arguments, packages...)...); err != nil {
		return err
	}
	return p.collect(temporary)
}

// collect moves the binaries that go build left in folder from to their place.
func (p part) collect(from string) error {
	built, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, file := range built {
		name := file.Name()
		if len(built) == 1 && len(p.packages) == 1 {
			name = p.binary(p.packages[0]) // whatever go build called it
		}
		if err := os.Rename(filepath.Join(from, file.Name()), p.path(name)); err != nil {
			return err
		}
	}
	return nil
}

// ldflags strip the binaries; those of Kubernetes learn their version, which they compare with each other.
func (p part) ldflags() string {
	const strip = "-s -w"
	if p.name != kubernetes.name && p.name != oldestKubernetes.name {
		return strip
	}
	gomod, err := os.ReadFile(filepath.Join(p.source(), "go.mod"))
	if err != nil {
		return strip // the build will say it better
	}
	return strip + kubernetesVersion(string(gomod))
}

// kubernetesVersion makes the linker flags for the version of k8s.io/kubernetes that gomod requires.
func kubernetesVersion(gomod string) string {
	found := regexp.MustCompile(`k8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)`).FindStringSubmatch(gomod)
	if found == nil {
		return ""
	}
	const variable = " -X k8s.io/component-base/version."
	return variable + "gitVersion=" + found[1] + variable + "gitMajor=" + found[2] + variable + "gitMinor=" + found[3]
}

// command is the go command in the part's module. GOFLAGS and GOWORK of whoever calls must not change what it does.
func (p part) command(ctx context.Context, log io.Writer, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Dir = p.source()
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	command.Stderr = log
	return command
}

// run runs the go command in the part's module.
func (p part) run(ctx context.Context, log io.Writer, arguments ...string) error {
	fmt.Fprintf(log, "go %s\n", strings.Join(arguments, " "))
	if err := p.command(ctx, log, arguments...).Run(); err != nil {
		return fmt.Errorf("go %s of %s: %w", arguments[0], p.name, err)
	}
	return nil
}
