// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
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

// startOperator starts the operator as a process of its own and waits until its caches are filled.
func (b *bench) startOperator(ctx context.Context) error {
	files := map[string]string{"kubeconfig": string(b.environment.KubeConfig), "config.yaml": "sidecarImage: example.com/sidecar:1\n"}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(b.folder, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	health, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	profiles, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	o := &operator{log: filepath.Join(b.folder, "operator.log"), profiles: profiles, ended: make(chan struct{})}
	log, err := os.Create(o.log)
	if err != nil {
		return err
	}
	defer log.Close()
	o.command = exec.Command(b.settings.binary,
		"--config="+filepath.Join(b.folder, "config.yaml"),
		"--metrics-bind-address=0", "--health-probe-bind-address="+health, "--pprof-bind-address="+profiles,
		"--concurrency="+strconv.Itoa(b.settings.concurrency))
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
		response, err := http.Get("http://" + health + "/readyz")
		if err != nil {
			return false, nil
		}
		return response.StatusCode == http.StatusOK, response.Body.Close()
	})
}

// freeAddress is one on which nobody listens now.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
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
