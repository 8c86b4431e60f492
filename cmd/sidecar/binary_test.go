// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// maxSize is 15 MiB: the sidecar runs beside every app, and its image is this one file.
const maxSize = 15 << 20

// TestBinary builds the sidecar as `make build` does: it must be static, because there is nothing else in its image, small, and know
// its version.
func TestBinary(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sidecar")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w -X github.com/wechatendpoint/wechatendpoint/sidecar/version.release=1.2.3", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > maxSize {
		t.Errorf("the binary has %d bytes, at most %d", info.Size(), maxSize)
	}
	if said, err := exec.CommandContext(t.Context(), path, "--version").Output(); err != nil || !strings.HasPrefix(string(said), "sidecar 1.2.3 (commit ") {
		t.Errorf("--version says %q, %v", said, err)
	}
	binary, err := elf.Open(path)
	if err != nil {
		t.Skipf("no ELF binary on this system: %v", err)
	}
	defer binary.Close()
	if libraries, err := binary.ImportedLibraries(); err == nil && len(libraries) > 0 {
		t.Errorf("the binary needs libraries that its image does not hold: %v", libraries)
	}
	for _, program := range binary.Progs {
		if program.Type == elf.PT_INTERP {
			t.Error("the binary needs a dynamic loader, which its image does not hold")
		}
	}
}
