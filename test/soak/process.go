// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
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

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// memoryLimit is that of a pod by default. Bytes.
const memoryLimit = 64 << 20

// core is the one that the sidecar has.
const core = "0"

// process is a sidecar of its own.
type process struct {
	command     *exec.Cmd
	public, ops string // addresses
	log         string
	ended       chan struct{}
	client      http.Client
}

// startSidecar starts the program on one core, with the memory of a pod, and waits until it is ready.
func startSidecar(ctx context.Context, binary, folder string, documents map[string]config.Document) (*process, error) {
	entries := filepath.Join(folder, "entries")
	if err := os.Mkdir(entries, 0o700); err != nil {
		return nil, err
	}
	for name, document := range documents {
		text, err := json.Marshal(document)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(entries, name+config.DocumentSuffix), text, 0o600); err != nil {
			return nil, err
		}
	}
	public, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	ops, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{public: public, ops: ops, log: log.Name(), ended: make(chan struct{})}
	p.client = http.Client{Timeout: 30 * time.Second}                                                                      // a flood may take all of its core
	p.command = exec.Command("taskset", "-c", core, binary, "-config-dir", entries, "-listen", public, "-ops-listen", ops, //nolint:noctx // it is stopped below
		"-memory", strconv.Itoa(memoryLimit), "-drain-delay", "0s", "-grace", "10s")
	p.command.Stdout, p.command.Stderr = log, log
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("starting the sidecar by taskset: %w", err)
	}
	go func() { _ = p.command.Wait(); close(p.ended) }() // how it ends is in its log
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		response, err := p.client.Get("http://" + p.ops + "/readyz") //nolint:noctx // the client has a timeout
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return p, nil
			}
		}
		if err := p.alive(); err != nil {
			return nil, err
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return nil, errors.Join(errors.New("the sidecar does not get ready"), p.stop())
		}
	}
}

// freeAddress is one of this computer's that nobody listens on.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// alive says what a process has logged that has ended.
func (p *process) alive() error {
	select {
	case <-p.ended:
		said, err := os.ReadFile(p.log)
		return errors.Join(fmt.Errorf("the sidecar has ended:\n%s", said[max(0, len(said)-2000):]), err)
	default:
		return nil
	}
}

func (p *process) stop() error {
	if err := p.alive(); err != nil {
		return err
	}
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping the sidecar: %w", err)
	}
	<-p.ended
	return nil
}

// look takes a sample.
func (p *process) look() (values [len(measures)]float64, err error) {
	if err := p.alive(); err != nil {
		return values, err
	}
	memory, err := p.memory("VmRSS:")
	if err != nil {
		return values, err
	}
	goroutines, err := p.metric("go_goroutines")
	if err != nil {
		return values, err
	}
	descriptors, err := os.ReadDir(p.proc("fd"))
	return [len(measures)]float64{memory, goroutines, float64(len(descriptors))}, err
}

func (p *process) proc(file string) string {
	return filepath.Join("/proc", strconv.Itoa(p.command.Process.Pid), file)
}

// memory is what the kernel says under a name. MiB.
func (p *process) memory(field string) (float64, error) {
	status, err := os.ReadFile(p.proc("status"))
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

// peak is the most resident memory since forgetPeak. MiB.
func (p *process) peak() (float64, error) { return p.memory("VmHWM:") }

// forgetPeak lets the kernel begin anew with the peak.
func (p *process) forgetPeak() error { return os.WriteFile(p.proc("clear_refs"), []byte("5"), 0) }

// cpu is the time that the process has had so far.
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(p.proc("stat"))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name before it may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("the kernel tells no time of %d", p.command.Process.Pid)
	}
	var ticks int
	for _, field := range fields[11:13] { // in user and in kernel mode
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil // of 1/100 s
}

// metric is the sum of the series of a name.
func (p *process) metric(name string) (sum float64, err error) {
	response, err := p.client.Get("http://" + p.ops + "/metrics") //nolint:noctx // the client has a timeout
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	found, lines := false, bufio.NewScanner(response.Body)
	for lines.Scan() {
		series, value, _ := strings.Cut(lines.Text(), " ")
		if bare, _, _ := strings.Cut(series, "{"); bare != name {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, err
		}
		sum, found = sum+n, true
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	if !found {
		return 0, fmt.Errorf("the sidecar has no metric %s", name)
	}
	return sum, nil
}
