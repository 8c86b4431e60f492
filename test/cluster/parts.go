package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A part is what one step of up builds: one or more programs of a Go module.
type part struct {
	name     string
	module   string // the folder of the module
	programs []program
	work     time.Duration // of a first build on two cores: what is left to do is told from it
}

// A program is built from one package. Its names are those of its file: a program of several names does what it is called by.
type program struct {
	pkg   string
	names []string
}

// All of the cluster is one Go module, so that what the programs have in common is compiled once.
const (
	clusterModule = "parts"
	oldestModule  = "oldest"
)

var (
	etcd = part{"etcd", clusterModule, []program{{"go.etcd.io/etcd/server/v3", []string{"etcd"}}}, 30 * time.Second}

	// kubernetes has kubectl apart: it starts often, and several times as fast as with all the others in it.
	kubernetes = part{"kubernetes", clusterModule, []program{
		{"./kubernetes", []string{"kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet"}},
		{"k8s.io/kubernetes/cmd/kubectl", []string{"kubectl"}},
	}, 200 * time.Second}

	containerd = part{"containerd", clusterModule, []program{
		{"github.com/containerd/containerd/v2/cmd/containerd", []string{"containerd"}},
		{"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", []string{"containerd-shim-runc-v2"}},
		{"github.com/containerd/containerd/v2/cmd/ctr", []string{"ctr"}},
	}, 15 * time.Second}

	pause   = part{"pause", clusterModule, []program{{"./pause", []string{"pause"}}}, time.Second}
	netpol  = part{"netpol", clusterModule, []program{{"./netpol", []string{"netpol"}}}, 5 * time.Second}
	coredns = part{"coredns", clusterModule, []program{{"./coredns", []string{"coredns"}}}, 10 * time.Second}
	traefik = part{"traefik", clusterModule, []program{{"github.com/traefik/traefik/v3/cmd/traefik", []string{"traefik"}}}, 50 * time.Second}

	// allParts are those of the cluster, in the order of building: what the control plane needs comes first.
	allParts = []part{etcd, kubernetes, containerd, pause, netpol, coredns, traefik}

	// oldestKubernetes is the oldest release that the chart installs on. The cluster has no use for it; assets does.
	oldestKubernetes = part{"oldest-kubernetes", oldestModule, []program{
		{"k8s.io/kubernetes/cmd/kube-apiserver", []string{"kube-apiserver"}},
	}, 150 * time.Second}
)

var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// built is the file name that go build gives the program.
func (p program) built() string {
	if base := path.Base(p.pkg); !majorVersion.MatchString(base) {
		return base
	}
	return path.Base(path.Dir(p.pkg))
}

// source is the folder of the part's module.
func (p part) source() string { return filepath.Join(sourceRoot(), p.module) }

// folder is where the part's programs are once built.
func (p part) folder() string { return filepath.Join(cacheRoot(), p.name+"-"+p.key()) }

// path is the full path of one of the part's programs.
func (p part) path(name string) string { return filepath.Join(p.folder(), name) }

// key identifies what the part's programs are built from, and how: another version, flag or source file of the module is another key.
func (p part) key() string {
	hash := sha256.New()
	fmt.Fprintln(hash, p.flags())
	root := os.DirFS(p.source())
	_ = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !isSource(name) {
			return nil // the build will say better what cannot be read
		}
		if content, err := fs.ReadFile(root, name); err == nil {
			fmt.Fprintf(hash, "%s %d\n%s", name, len(content), content)
		}
		return nil
	})
	return hex.EncodeToString(hash.Sum(nil))[:12]
}

// isSource tells the files of a module that go build reads.
func isSource(name string) bool {
	base := path.Base(name)
	return base == "go.mod" || base == "go.sum" || strings.HasSuffix(base, ".go")
}

// missing are the programs of which a file is not there.
func (p part) missing() []program {
	var missing []program
	for _, program := range p.programs {
		if slices.ContainsFunc(program.names, func(name string) bool { return !exists(p.path(name)) }) {
			missing = append(missing, program)
		}
	}
	return missing
}

func packages(programs []program) []string {
	var packages []string
	for _, program := range programs {
		packages = append(packages, program.pkg)
	}
	return packages
}

// download fetches the modules that the programs need. It is go list, not go mod download: that fetches every module
// of go.mod, also those that only tests of dependencies need.
func (p part) download(ctx context.Context, programs []program, log io.Writer) error {
	return p.run(ctx, log, nil, append([]string{"list", "-deps"}, packages(programs)...)...)
}

// build makes the programs. Each is linked into the part's folder when done, so that whoever finds one there finds a whole one.
func (p part) build(ctx context.Context, programs []program, log io.Writer) error {
	if err := os.MkdirAll(p.folder(), 0o755); err != nil {
		return err
	}
	temporary, err := os.MkdirTemp(cacheRoot(), ".building-"+p.name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	arguments := slices.Concat([]string{"build"}, p.flags(), []string{"-o", temporary + "/"}, packages(programs))
	if err := p.run(ctx, log, compilerEnvironment(), arguments...); err != nil {
		return err
	}
	return p.collect(temporary, programs)
}

// collect gives the programs that go build left in folder from their names in the part's folder.
func (p part) collect(from string, programs []program) error {
	for _, program := range programs {
		for _, name := range program.names {
			// One name may be there already, where another one of the same program was missing.
			if err := os.Remove(p.path(name)); err != nil && !os.IsNotExist(err) {
				return err
			}
			if err := os.Link(filepath.Join(from, program.built()), p.path(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// flags are those of go build. Nobody debugs these programs: without what debuggers read, they compile and link faster. Those of
// Kubernetes learn their version, which they compare with each other.
func (p part) flags() []string {
	flags := []string{"-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", "-ldflags", "-s -w"}
	if gomod, err := os.ReadFile(filepath.Join(p.source(), "go.mod")); err == nil { // the build will say better what cannot be read
		flags[len(flags)-1] += kubernetesVersion(string(gomod))
	}
	return flags
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

// compilerEnvironment lets the compiler and the linker collect no garbage before they need much memory: most of their runs end before that.
func compilerEnvironment() []string {
	var machine syscall.Sysinfo_t
	if syscall.Sysinfo(&machine) != nil {
		return nil // they collect as they would
	}
	limit := compilerMemory(machine.Totalram*uint64(machine.Unit), runtime.NumCPU())
	return []string{"GOGC=off", fmt.Sprintf("GOMEMLIMIT=%d", limit)}
}

// compilerMemory is how many bytes one process of a build may take before it collects garbage, on a machine of that much memory: as many
// of them run as there are processors, and together they take half of it.
func compilerMemory(total uint64, processors int) uint64 {
	const most = 2 << 30 // the largest program takes less
	return min(total/2/uint64(processors), most)
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
func (p part) run(ctx context.Context, log io.Writer, environment []string, arguments ...string) error {
	fmt.Fprintf(log, "go %s\n", strings.Join(arguments, " "))
	command := p.command(ctx, log, arguments...)
	command.Env = append(command.Env, environment...)
	if err := command.Run(); err != nil {
		return fmt.Errorf("go %s of %s: %w", arguments[0], p.name, err)
	}
	return nil
}
