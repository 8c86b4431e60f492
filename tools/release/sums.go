// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const sumsFile = "SHA256SUMS"

// makeSums writes the checksum of each file, as sha256sum --check reads it.
func (r release) makeSums(context.Context) error {
	entries, err := os.ReadDir(r.out) // in the order of names
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(r.out, entry.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), entry.Name())
	}
	if err := os.WriteFile(filepath.Join(r.out, sumsFile), []byte(sums.String()), 0o644); err != nil {
		return err
	}
	return r.setTimes(r.out) // the time of a chart's file gets into what helm pushes
}
