// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/wechatendpoint/wechatendpoint/test/ports"
)

// running is a process of its own.
type running struct {
	command *exec.Cmd
	log     string
	ended   chan struct{}
}

// begin starts a process, whose log goes to a file.
func begin(command *exec.Cmd, log string) (*running, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r := &running{command: command, log: log, ended: make(chan struct{})}
	command.Stdout, command.Stderr = file, file
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", command.Path, err)
	}
	go func() { _ = command.Wait(); close(r.ended) }() // how it ends is in its log
	return r, nil
}

// operator is a running operator.
type operator struct {
	*running
	profiles string // address of its profiles
}

// operatorNamespace is where the operator would run: its Lease is there, and each NetworkPolicy names it.
const operatorNamespace = "wechatendpoint-system"

// configuration is what the chart makes of its defaults, as far as it costs something: which annotations are allowed does not,
// and of the rollout they are the operator's own.
const configuration = `sidecarImage: example.com/sidecar:1
operatorNamespace: ` + operatorNamespace + `
networkPolicy:
  enabled: true
`

// arguments are those that the chart gives the operator, but on ports of loopback: those of the chart are the player's, or may be
// anybody's. The metrics are by HTTPS, as by default, and nobody reads them.
func (b *bench) arguments(metrics, probes, profiles string) []string {
	return []string{
		"--config=" + filepath.Join(b.folder, "config.yaml"),
		"--leader-elect", "--leader-election-namespace=" + operatorNamespace,
		"--metrics-bind-address=" + metrics, "--health-probe-bind-address=" + probes, "--pprof-bind-address=" + profiles,
		"--concurrency=" + strconv.Itoa(b.settings.concurrency),
	}
}

// startOperator starts the operator as a process of its own and waits until it leads and its caches are filled.
func (b *bench) startOperator(ctx context.Context) error {
	files := map[string]string{"kubeconfig": string(b.environment.KubeConfig), "config.yaml": configuration}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(b.folder, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	metrics, probes, profiles := ports.Free(), ports.Free(), ports.Free()
	command := exec.CommandContext(ctx, b.settings.binary, b.arguments(metrics, probes, profiles)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(b.folder, "kubeconfig"))
	process, err := begin(command, filepath.Join(b.folder, "operator.log"))
	if err != nil {
		return err
	}
	b.operator = &operator{running: process, profiles: profiles}
	return await(ctx, "the operator", func() (bool, error) {
		if err := process.alive(); err != nil {
			return false, err
		}
		said, err := os.ReadFile(process.log)
		return bytes.Contains(said, []byte("Starting workers")), err // it has filled its caches; /readyz says less
	})
}

func (r *running) hasEnded() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// alive says what a process has logged that has ended.
func (r *running) alive() error {
	if !r.hasEnded() {
		return nil
	}
	said, err := os.ReadFile(r.log)
	return errors.Join(fmt.Errorf("%s ended at once:\n%s", r.command.Path, said), err)
}

func (r *running) stop() error {
	if r.hasEnded() {
		return nil
	}
	if err := r.command.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping %s: %w", r.command.Path, err)
	}
	<-r.ended
	return nil
}

// rss is the process's resident memory, and peak the most that it ever was. MiB.
func (r *running) rss() (float64, error)  { return r.memory("VmRSS:") }
func (r *running) peak() (float64, error) { return r.memory("VmHWM:") }

func (r *running) memory(field string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, field); found {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("the kernel tells no %s", field)
}

// cpu is the process's CPU time, in user and in kernel mode, since it began.
func (r *running) cpu() (time.Duration, error) { return cpuOf(r.command.Process.Pid) }

// patience bounds every wait.
const patience = 10 * time.Minute

// await asks until it holds.
func await(ctx context.Context, what string, holds func() (bool, error)) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if ok, err := holds(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("waited %v in vain for %s", patience, what)
}
