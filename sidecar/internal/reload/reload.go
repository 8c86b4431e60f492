// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package reload keeps the sidecar's configuration in step with its files, without a restart.
//
// The kubelet swaps the projected volume as a whole, but the ConfigMap and the Secret in it may be of different ages. A
// pair of files is taken only when both are valid and carry the same generation; until then, and if the files break, the
// last good pair goes on serving, and the problem is told on /status and in a metric.
package reload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Interval is how often the files are read. Two files of under a kilobyte cost about 30 µs; a notification from the
// kernel would save that and bring the traps of watching through symbolic links.
const Interval = 250 * time.Millisecond

// Files watches the two files of a folder.
type Files struct {
	dir  string
	take func(config.Config, config.Credentials)
	log  *slog.Logger

	seen   [2][]byte // the bytes of the last attempt
	tried  bool
	status atomic.Pointer[Status]
}

// Status is what the sidecar says about its configuration.
type Status struct {
	// Generation is the one that is served, empty before the first.
	Generation string `json:"generation"`
	// Problem says why newer files are not served, empty if there is nothing to say.
	Problem string `json:"problem,omitempty"`
}

// New returns a Files that gives each good pair to take, in the order in which they appear.
func New(dir string, take func(config.Config, config.Credentials), log *slog.Logger) *Files {
	f := &Files{dir: dir, take: take, log: log}
	f.status.Store(&Status{})
	return f
}

// Status returns what is served and what is wrong. It is safe for concurrent use.
func (f *Files) Status() Status { return *f.status.Load() }

// Watch reads the files at every interval until ctx is done.
func (f *Files) Watch(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f.Load()
		}
	}
}

// Load reads the files once. It does nothing if they are as they were. It is not safe for concurrent use.
func (f *Files) Load() {
	configBytes, configErr := readFile(filepath.Join(f.dir, config.File))
	credentialBytes, credentialErr := readFile(filepath.Join(f.dir, config.CredentialsFile))
	if err := errors.Join(configErr, credentialErr); err != nil {
		f.tried = false
		f.report(err)
		return
	}
	if f.tried && bytes.Equal(f.seen[0], configBytes) && bytes.Equal(f.seen[1], credentialBytes) {
		return
	}
	f.seen, f.tried = [2][]byte{configBytes, credentialBytes}, true
	c, credentials, err := parse(configBytes, credentialBytes)
	if err != nil {
		f.report(err)
		return
	}
	f.take(c, credentials)
	f.status.Store(&Status{Generation: c.Generation})
	f.log.Info("serving configuration", "generation", c.Generation)
}

// report stores a problem beside the generation that goes on serving, and logs it once.
func (f *Files) report(err error) {
	before := f.Status()
	if before.Problem == err.Error() {
		return
	}
	f.status.Store(&Status{Generation: before.Generation, Problem: err.Error()})
	f.log.Error("keeping the last good configuration", "serving", before.Generation, "problem", err.Error())
}

func parse(configBytes, credentialBytes []byte) (config.Config, config.Credentials, error) {
	c, configErr := config.Parse(configBytes)
	credentials, credentialErr := config.ParseCredentials(credentialBytes)
	if err := errors.Join(configErr, credentialErr); err != nil {
		return config.Config{}, config.Credentials{}, err
	}
	if c.Generation != credentials.Generation {
		return config.Config{}, config.Credentials{}, fmt.Errorf("%s is of generation %s and %s of %s: waiting for the other half of the update",
			config.File, c.Generation, config.CredentialsFile, credentials.Generation)
	}
	if err := credentials.ValidateFor(c); err != nil {
		return config.Config{}, config.Credentials{}, fmt.Errorf("%s: %w", config.CredentialsFile, err)
	}
	return c, credentials, nil
}

// readFile reads at most what config accepts, and one byte more, which config then refuses.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the configuration: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, config.MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return data, nil
}
