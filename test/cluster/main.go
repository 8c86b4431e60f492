// Command cluster runs a real Kubernetes of one node on this machine: its programs are built from Go modules or come
// from Debian, and all of it runs in namespaces of its own, with no way out and, but for two loopback ports, no way in.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
)

const help = `cluster runs a real Kubernetes of one node on this machine.

  up                build what is not built, start the cluster, wait until it works
  down              stop it and remove all it left (what was built stays in the cache)
  status            say whether it runs
  exec -- COMMAND   run a command in the cluster's network
  load FILE…        give the node the images of archives
  ctr -- ARGUMENT…  run containerd's own client
  trust HOST FILE   let the node pull images from a registry whose certificate an authority in FILE has signed
  assets            build etcd, kube-apiserver and kubectl; print their folder, for KUBEBUILDER_ASSETS
  assets oldest     likewise, with the kube-apiserver of the oldest Kubernetes that is supported, and no kubectl
  kubeconfig        print the path of the admin's kubeconfig
  logs              print the folder of the components' logs
  audit             print the path of the audit log: what the operator asked of the apiserver
`

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		args = []string{"help"}
	}
	switch command, rest := args[0], args[1:]; command {
	case "up":
		return up(ctx)
	case "down":
		return lockedDown()
	case "status":
		return status(ctx)
	case "exec":
		return execute(rest)
	case "load":
		return loadAll(ctx, rest)
	case "ctr":
		return executeCtr(rest)
	case "trust":
		return trust(rest)
	case "assets":
		return assets(ctx, rest)
	case "kubeconfig":
		return printPath(adminConfig)
	case "logs":
		return printPath(logs)
	case "audit":
		return printPath(auditLog)
	case "supervise": // by up
		return supervise()
	case "init": // by supervise
		return runInit()
	case "help", "-h", "--help":
		fmt.Print(help)
		return nil
	default:
		return fmt.Errorf("there is no command %q\n\n%s", command, help)
	}
}

var errNotRunning = errors.New("the cluster is not running: test/cluster/cluster up starts it")

func lockedDown() error {
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	return down()
}

func status(ctx context.Context) error {
	switch {
	case supervisorPID() == 0:
		return errNotRunning
	case !exists(readyFile):
		return errors.New("the cluster is starting, or its start was interrupted: test/cluster/cluster up goes on with it")
	}
	if err := apiReady(ctx); err != nil {
		return fmt.Errorf("the cluster runs but its apiserver does not answer: %w", err)
	}
	fmt.Println("the cluster is running")
	return usage(os.Stdout)
}

// execute becomes a command in the cluster's network namespace. Everything else, files above all, stays the host's.
func execute(args []string) error {
	args = withoutDashes(args)
	if len(args) == 0 {
		return errors.New("exec needs a command")
	}
	pid := initPID()
	if pid == 0 {
		return errNotRunning
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return err
	}
	arguments := append([]string{"nsenter", "-t", strconv.Itoa(pid), "-n", "--"}, args...)
	return syscall.Exec(nsenter, arguments, os.Environ())
}

func withoutDashes(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		return args[1:]
	}
	return args
}

// executeCtr becomes containerd's client, of the cluster's containerd.
func executeCtr(args []string) error {
	if initPID() == 0 {
		return errNotRunning
	}
	arguments := append([]string{"ctr"}, withoutDashes(args)...)
	return syscall.Exec(containerd.path("ctr"), arguments, append(os.Environ(), "CONTAINERD_ADDRESS="+containerdSock))
}

// trust tells containerd how to know a registry.
func trust(args []string) error {
	if initPID() == 0 {
		return errNotRunning
	}
	if len(args) != 2 {
		return errors.New("trust needs a host, with its port, and the file of an authority")
	}
	authority, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	folder := filepath.Join(registriesFolder, args[0])
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	ca := filepath.Join(folder, "ca.pem")
	hosts := fmt.Sprintf("server = %q\nca = %q\n", "https://"+args[0], ca)
	return errors.Join(os.WriteFile(ca, authority, 0o644), os.WriteFile(filepath.Join(folder, "hosts.toml"), []byte(hosts), 0o644))
}

func loadAll(ctx context.Context, archives []string) error {
	if initPID() == 0 {
		return errNotRunning
	}
	for _, archive := range archives {
		if err := load(ctx, archive, os.Stdout); err != nil {
			return err
		}
	}
	return nil
}

func printPath(path string) error {
	if !exists(path) {
		return errNotRunning
	}
	fmt.Println(path)
	return nil
}
