// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// operator is a running operator.
type operator struct {
	command  *exec.Cmd
	log      string
	profiles string // address of its profiles
	ended    chan struct{}
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
	free, err := freeAddresses(ctx)
	if err != nil {
		return err
	}
	metrics, probes, profiles := free[0], free[1], free[2]
	o := &operator{log: filepath.Join(b.folder, "operator.log"), profiles: profiles, ended: make(chan struct{})}
	log, err := os.Create(o.log)
	if err != nil {
		return err
	}
	defer log.Close()
	o.command = exec.CommandContext(ctx, b.settings.binary, b.arguments(metrics, probes, profiles)...)
	o.command.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(b.folder, "kubeconfig"))
	o.command.Stdout, o.command.Stderr = log, log
	if err := o.command.Start(); err != nil {
		return fmt.Errorf("starting the operator: %w", err)
	}
	go func() { _ = o.command.Wait(); close(o.ended) }() // how it ends is in its log
	b.operator = o
	return await(ctx, "the operator", func() (bool, error) {
		if o.hasEnded() {
			said, err := os.ReadFile(o.log)
			return false, errors.Join(fmt.Errorf("the operator ended at once:\n%s", said), err)
		}
		said, err := os.ReadFile(o.log)
		return bytes.Contains(said, []byte("Starting workers")), err // it has filled its caches; /readyz says less
	})
}

// freeAddresses are different ones on which nobody listens now.
func freeAddresses(ctx context.Context) (addresses [3]string, err error) {
	for i := range addresses {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return addresses, err
		}
		defer listener.Close() // when all are found, so that none is found twice
		addresses[i] = listener.Addr().String()
	}
	return addresses, nil
}

func (o *operator) hasEnded() bool {
	select {
	case <-o.ended:
		return true
	default:
		return false
	}
}

func (o *operator) stop() error {
	if o.hasEnded() {
		return nil
	}
	if err := o.command.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping the operator: %w", err)
	}
	<-o.ended
	return nil
}

// rss is the operator's resident memory. MiB.
func (o *operator) rss() (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", o.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("the kernel tells no VmRSS")
}

// cpu is the operator's CPU time, in user and in kernel mode, since it began.
func (o *operator) cpu() (time.Duration, error) { return cpuOf(o.command.Process.Pid) }

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
