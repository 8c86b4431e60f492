//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/test/bench/dataplane/process"
	"github.com/wechatendpoint/wechatendpoint/test/ports"
)

// memoryLimit is a pod's by default. Bytes.
const memoryLimit = 64 << 20

// core is the one that the sidecar has.
const core = 0

// sidecar is one that runs.
type sidecar struct {
	group       *process.Group
	public, ops string // addresses
	client      http.Client
}

// startSidecar starts the program on one core, with the memory of a pod, and waits until it is ready.
func startSidecar(ctx context.Context, binary, folder string, documents map[string]config.Document) (*sidecar, error) {
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
	public, ops := ports.Free(), ports.Free()
	program, err := filepath.Abs(binary) // the group has the folder as its working directory
	if err != nil {
		return nil, err
	}
	group, err := process.Start(ctx, core, folder, process.Program{Path: program, Arguments: []string{
		"-config-dir", entries, "-listen", public, "-ops-listen", ops, "-memory", strconv.Itoa(memoryLimit), "-drain-delay", "0s",
	}})
	if err != nil {
		return nil, err
	}
	p := &sidecar{group: group, public: public, ops: ops, client: http.Client{Timeout: 30 * time.Second}} // a flood may take all of its core
	if err := p.awaitReady(ctx); err != nil {
		return nil, errors.Join(err, p.group.Stop())
	}
	return p, group.Find()
}

func (p *sidecar) awaitReady(ctx context.Context) error {
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); {
		if err := p.alive(); err != nil {
			return err
		}
		if _, err := p.get("/readyz"); err == nil {
			return nil
		}
		if !wait(ctx, 20*time.Millisecond) {
			return ctx.Err()
		}
	}
	return errors.New("the sidecar does not get ready")
}

// alive is an error if it has ended, with what it has logged.
func (p *sidecar) alive() error {
	if p.group.Ended() {
		return fmt.Errorf("the sidecar has ended:\n%s", p.group.Log())
	}
	return nil
}

// get asks the second port.
func (p *sidecar) get(path string) (body []byte, err error) {
	response, err := p.client.Get("http://" + p.ops + path) //nolint:noctx // the client has a timeout
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s is answered with %s", path, response.Status)
	}
	return io.ReadAll(response.Body)
}

// look takes a sample.
func (p *sidecar) look() (values [len(measures)]float64, err error) {
	if err := p.alive(); err != nil {
		return values, err
	}
	memory, _, err := p.group.Memory()
	if err != nil {
		return values, err
	}
	goroutines, err := p.metric("go_goroutines")
	if err != nil {
		return values, err
	}
	descriptors, err := os.ReadDir(p.proc("fd"))
	return [len(measures)]float64{mebi(memory), goroutines, float64(len(descriptors))}, err
}

func mebi(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func (p *sidecar) proc(file string) string {
	return filepath.Join("/proc", strconv.Itoa(p.group.PID()), file)
}

// forgetPeak lets the kernel begin anew with the most memory that the process has had.
func (p *sidecar) forgetPeak() error { return os.WriteFile(p.proc("clear_refs"), []byte("5"), 0) }

// metric is the sum of the series of a name.
func (p *sidecar) metric(name string) (sum float64, err error) {
	page, err := p.get("/metrics")
	if err != nil {
		return 0, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		return 0, fmt.Errorf("reading the sidecar's metrics: %w", err)
	}
	family := families[name]
	if family == nil {
		return 0, fmt.Errorf("the sidecar has no metric %s", name)
	}
	for _, series := range family.GetMetric() {
		sum += series.GetGauge().GetValue() + series.GetCounter().GetValue()
	}
	return sum, nil
}
