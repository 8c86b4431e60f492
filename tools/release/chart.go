// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// makeChart packs the chart with the release's version. Without a tag in its values it takes the images of its appVersion; no digest is
// pinned in it, which would win over a tag that somebody sets.
func (r release) makeChart(ctx context.Context) error {
	helm, err := r.tool(ctx, "helm")
	if err != nil {
		return err
	}
	staged := filepath.Join(r.work, "wechat-endpoint")
	if err := os.CopyFS(staged, os.DirFS(filepath.Join(r.root, "charts/wechat-endpoint"))); err != nil {
		return err
	}
	if err := r.nameRegistry(staged); err != nil {
		return err
	}
	if err := r.setTimes(staged); err != nil { // helm writes the files' own into the package
		return err
	}
	_, err = r.run(ctx, nil, helm, "package", staged, "--version", r.version, "--app-version", r.version, "--destination", r.out)
	return err
}

// nameRegistry lets a chart name the release's registry wherever it names the project's own.
func (r release) nameRegistry(chart string) error {
	named := false
	err := filepath.WalkDir(chart, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(content, []byte(defaultRegistry)) {
			return err
		}
		named = named || entry.Name() == "values.yaml"
		return os.WriteFile(path, bytes.ReplaceAll(content, []byte(defaultRegistry), []byte(r.registry)), 0o644)
	})
	if err == nil && !named {
		return fmt.Errorf("the chart's values.yaml does not name %s", defaultRegistry)
	}
	return err
}

// setTimes gives all files in a folder the time of the release's commit.
func (r release) setTimes(folder string) error {
	return filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, r.date, r.date)
	})
}
