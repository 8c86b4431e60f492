package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

//go:embed manifests/coredns.yaml
var corednsManifest string

//go:embed manifests/netpol.yaml
var netpolManifest string

//go:embed manifests/traefik.yaml
var traefikManifest string

// startLimit is how long a cluster whose parts are all built may take to answer. It takes some 20 seconds on two cores;
// the rest is for machines that do something else besides.
const startLimit = 5 * time.Minute

// up starts the cluster and builds what it needs for that. A running one is left as it is.
func up(ctx context.Context) error {
	if supervisorPID() != 0 && exists(readyFile) && apiReady(ctx) == nil {
		if starter, err := os.ReadFile(readyFile); err != nil || string(starter) != thisProgram() {
			return errors.Join(errors.New("the cluster that runs was started by another version of this program, and may lack what the tests need: run make cluster-down first"), err)
		}
		fmt.Println("the cluster is running")
		return usage(os.Stdout)
	}
	if os.Geteuid() != 0 {
		return errors.New("the cluster needs root: it makes namespaces, cgroups and mounts")
	}
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()

	u := &upper{progress: newProgress(os.Stdout, len(allParts)+5, notBuilt(allParts))}
	if err := u.run(ctx); err != nil {
		return explain(err, u.log)
	}
	u.progress.say("the cluster is ready")
	return usage(os.Stdout)
}

// thisProgram is its path, in which ./cluster has a digest of its sources.
func thisProgram() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	return path
}

// lock makes the commands that change the cluster wait for each other.
func lock() (unlock func(), err error) {
	if err := os.MkdirAll(cacheRoot(), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(cacheRoot(), "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	descriptor := int(file.Fd())
	if err := syscall.Flock(descriptor, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		fmt.Fprintln(os.Stderr, "another cluster command is at work: waiting for it")
		if err := syscall.Flock(descriptor, syscall.LOCK_EX); err != nil {
			return nil, err
		}
	}
	return func() { _ = file.Close() }, nil
}

// upper is one run of up.
type upper struct {
	progress *progress
	log      string // of the build under way or failed, for the explanation
}

// run is up's table of contents. The control plane starts as soon as its own parts are built; the others follow.
func (u *upper) run(ctx context.Context) error {
	downloads := downloadAll(ctx)
	if err := u.install(ctx); err != nil {
		return err
	}
	for _, p := range []part{etcd, kubernetes} {
		if err := u.build(ctx, p, downloads[p.name]); err != nil {
			return err
		}
	}
	if err := u.progress.step("starting the control plane", u.start); err != nil {
		return err
	}
	for _, p := range []part{containerd, pause, netpol, coredns, traefik} {
		if err := u.build(ctx, p, downloads[p.name]); err != nil {
			return err
		}
		if err := checkProcesses(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	return u.finish(ctx)
}

func (u *upper) install(ctx context.Context) error {
	missing := missingPackages()
	what := "Debian packages"
	if len(missing) > 0 {
		what = "installing Debian packages " + strings.Join(missing, " ")
	}
	return u.progress.step(what, func() error {
		return u.logged("packages", func(log io.Writer) error { return installPackages(ctx, missing, log) })
	})
}

// A download is the fetching of a part's modules, under way or done.
type download struct {
	done chan struct{}
	log  string
	err  error
}

// downloadAll starts to fetch the modules of all parts that are not built: the network is busy while the processors
// still build the first part.
func downloadAll(ctx context.Context) map[string]*download {
	downloads := map[string]*download{}
	for _, p := range allParts {
		missing := p.missing()
		if len(missing) == 0 {
			continue
		}
		d := &download{done: make(chan struct{}), log: logOf("download-" + p.name)}
		downloads[p.name] = d
		go func() {
			defer close(d.done)
			d.err = withLog(d.log, func(log io.Writer) error { return p.download(ctx, missing, log) })
		}()
	}
	return downloads
}

// notBuilt are the parts of which a program misses.
func notBuilt(parts []part) []part {
	return slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return len(p.missing()) == 0 })
}

// build builds what misses of a part, after its download if there is one.
func (u *upper) build(ctx context.Context, p part, modules *download) error {
	missing := p.missing()
	if len(missing) == 0 {
		return u.progress.step(p.name+" is built", func() error { return nil })
	}
	return u.progress.step("building "+p.name+", once per version", func() error {
		if modules != nil {
			<-modules.done
			if modules.err != nil {
				u.log = modules.log
				return modules.err
			}
		}
		return u.progress.build(p.work, func() error {
			return u.logged("build-"+p.name, func(log io.Writer) error { return p.build(ctx, missing, log) })
		})
	})
}

// start clears what an earlier cluster left and starts the new one's processes. One that an interrupted up has started
// already is taken on.
func (u *upper) start() error {
	if supervisorPID() != 0 && !exists(failedFile) {
		return nil
	}
	if err := down(); err != nil {
		return err
	}
	for _, dir := range []string{logs, pki, etc, node} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := writePKI(); err != nil {
		return err
	}
	if err := writeConfig(); err != nil {
		return err
	}
	return spawnSupervisor()
}

// finish waits for the processes and fills the cluster with what belongs to it.
func (u *upper) finish(ctx context.Context) error {
	steps := []struct {
		what string
		do   func(context.Context) error
	}{
		{"waiting for the control plane", func(ctx context.Context) error { return waitFor(ctx, "the apiserver", apiReady) }},
		{"loading images", u.loadImages},
		{"starting the node, DNS and the ingress controller", u.deploy},
	}
	for _, s := range steps {
		if err := u.progress.step(s.what, func() error { return s.do(ctx) }); err != nil {
			return err
		}
	}
	return os.WriteFile(readyFile, []byte(thisProgram()), 0o644)
}

func (u *upper) loadImages(ctx context.Context) error {
	err := waitFor(ctx, "containerd", func(ctx context.Context) error {
		return ctr(ctx, nil, io.Discard, "version")
	})
	if err != nil {
		return err
	}
	return u.logged("images", func(log io.Writer) error {
		var group sync.WaitGroup
		parts := []part{pause, coredns, traefik}
		errs := make([]error, len(parts))
		for i, p := range parts {
			group.Go(func() { errs[i] = importBinary(ctx, p, log) })
		}
		group.Wait()
		return errors.Join(errs...)
	})
}

// deploy applies the manifests and waits until all they describe works.
func (u *upper) deploy(ctx context.Context) error {
	manifests := strings.NewReplacer("${COREDNS_IMAGE}", imageOf(coredns), "${TRAEFIK_IMAGE}", imageOf(traefik)).
		Replace(corednsManifest + "---\n" + netpolManifest + "---\n" + traefikManifest)
	if err := u.applyDefinitions(ctx); err != nil {
		return err
	}
	err := waitFor(ctx, "the manifests", func(ctx context.Context) error {
		return kubectl(ctx, []byte(manifests), "apply", "--server-side", "--force-conflicts", "-f", "-")
	})
	if err != nil {
		return err
	}
	for _, wait := range []struct{ what, command string }{
		{"the node", "wait --for=condition=Ready --timeout=2s node/" + nodeName},
		{"CoreDNS", "rollout status --timeout=2s --namespace=kube-system deployment/coredns"},
		{"Traefik", "rollout status --timeout=2s --namespace=traefik deployment/traefik"},
	} {
		err := waitFor(ctx, wait.what, func(ctx context.Context) error {
			return kubectl(ctx, nil, strings.Fields(wait.command)...)
		})
		if err != nil {
			return err
		}
	}
	return waitFor(ctx, "port 80", ingressReady)
}

// logged runs do with a log of that name and remembers it in case of failure.
func (u *upper) logged(name string, do func(log io.Writer) error) error {
	u.log = logOf(name)
	if err := withLog(u.log, do); err != nil {
		return err
	}
	u.log = ""
	return nil
}

// logOf is the file that a build or another step of up writes to. It is in the cache, since there is no state folder
// before the cluster starts.
func logOf(name string) string { return filepath.Join(cacheRoot(), "logs", name+".log") }

func withLog(path string, do func(log io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return do(file)
}

// explain adds to err the end of the log that says why.
func explain(err error, log string) error {
	var failed failure
	if errors.As(err, &failed) {
		log = filepath.Join(logs, failed.component+".log")
	}
	if log == "" {
		return fmt.Errorf("%w\nlogs: %s and %s", err, logs, filepath.Dir(logOf("")))
	}
	content, readErr := os.ReadFile(log)
	if readErr != nil {
		return err
	}
	return fmt.Errorf("%w\nthe end of %s:\n%s", err, log, lastLines(string(content), 20))
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// usage says how to use the running cluster.
func usage(out io.Writer) error {
	_, err := fmt.Fprintf(out, `
  use it        export KUBECONFIG=%s
  kubectl       %s
  callbacks     http://127.0.0.1:%d  is the node's port 80, on which Ingresses answer
  inside        test/cluster/cluster exec -- COMMAND   (there, the node is %s)
  logs          %s
  stop it       test/cluster/cluster down
`, adminConfig, kubernetes.path("kubectl"), hostHTTPPort, nodeIP, logs)
	return err
}
