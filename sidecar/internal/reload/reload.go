// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package reload keeps what a sidecar serves in step with its document, without a restart.
//
// A document is taken as a whole and only when it is valid; until then, and if it breaks, the last good one goes on serving, and the
// problem is told on /status and in a metric.
package reload

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Interval is how often the document is read. A file of a kilobyte costs about 15 µs; a notification from the kernel would
// save that and bring the traps of watching through symbolic links.
const Interval = 250 * time.Millisecond

// File watches the document of a folder.
type File struct {
	path string
	take func(config.Document)
	log  *slog.Logger

	seen   []byte // the bytes of the last attempt; nil if there were none
	status atomic.Pointer[Status]
}

// Status is what is served and what is wrong.
type Status struct {
	// Generation is the one that is served, empty before the first.
	Generation string
	// Problem says why a newer document is not served, empty if there is nothing to say.
	Problem string
}

// New returns a File that gives each good document to take, in the order in which they appear.
func New(dir string, take func(config.Document), log *slog.Logger) *File {
	f := &File{path: filepath.Join(dir, config.File), take: take, log: log}
	f.status.Store(&Status{})
	return f
}

// Status returns what is served and what is wrong. It is safe for concurrent use.
func (f *File) Status() Status { return *f.status.Load() }

// Watch reads the document at every interval until ctx is done.
func (f *File) Watch(ctx context.Context, interval time.Duration) {
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

// Load reads the document once. It does nothing if it is as it was. It is not safe for concurrent use.
func (f *File) Load() {
	data, err := readFile(f.path)
	if err != nil {
		f.seen = nil
		f.report(err)
		return
	}
	if f.seen != nil && bytes.Equal(f.seen, data) {
		return
	}
	f.seen = data
	document, err := config.Parse(data)
	if err != nil {
		f.report(err)
		return
	}
	f.take(document)
	f.status.Store(&Status{Generation: document.Generation})
	f.log.Info("serving configuration", "generation", document.Generation)
}

// report stores a problem beside the generation that goes on serving, and logs it once.
func (f *File) report(err error) {
	before := f.Status()
	if before.Problem == err.Error() {
		return
	}
	f.status.Store(&Status{Generation: before.Generation, Problem: err.Error()})
	f.log.Error("keeping the last good configuration", "serving", before.Generation, "problem", err.Error())
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
