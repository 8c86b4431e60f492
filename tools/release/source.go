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
	"time"
)

// readCommit reads what is checked out. A final release is made of a commit and nothing else.
func (r *release) readCommit(ctx context.Context) error {
	commit, err := r.run(ctx, nil, "git", "rev-parse", "HEAD")
	if err != nil {
		return fmt.Errorf("a release is made of a commit in git: %w", err)
	}
	seconds, err := r.run(ctx, nil, "git", "show", "--no-patch", "--format=%ct", "HEAD")
	if err != nil {
		return err
	}
	changed, err := r.run(ctx, nil, "git", "status", "--porcelain")
	if err != nil {
		return err
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("reading the time of commit %s: %w", commit, err)
	}
	r.date = time.Unix(unix, 0).UTC()
	r.commit, err = nameCommit(commit, changed, r.version)
	return err
}

// nameCommit is how a release calls its commit, given the files that differ from it. Only a pre-release may have such.
func nameCommit(commit, changed, version string) (string, error) {
	switch {
	case changed == "":
		return commit, nil
	case strings.Contains(version, "-"):
		return commit + "-dirty", nil
	}
	first, _, _ := strings.Cut(changed, "\n")
	return "", fmt.Errorf("the checkout differs from its commit (%s): commit or remove that, or call it a pre-release, such as %s-dev",
		strings.TrimSpace(first), version)
}

// linked is the package whose variables the linker writes.
const linked = "github.com/wechatendpoint/wechatendpoint/sidecar/version"

// build compiles a program. Nothing of this machine gets into it: no path, no time, no setting of the environment but the version of Go.
func (r release) build(ctx context.Context, p program, target platform) (string, error) {
	binary := filepath.Join(r.work, target.os+"-"+target.arch, p.name)
	if target.os == "windows" {
		binary += ".exe"
	}
	environment := []string{
		"CGO_ENABLED=0", "GOOS=" + target.os, "GOARCH=" + target.arch, "GOAMD64=v1", "GOARM64=v8.0",
		"GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=", "GODEBUG=", "GOFIPS140=off",
	}
	flags := fmt.Sprintf("-s -w -X %[1]s.release=%[2]s -X %[1]s.commit=%[3]s", linked, r.version, r.commit)
	// What Go reads from git itself depends on the tags that a clone has.
	_, err := r.run(ctx, environment, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", binary, p.source)
	return binary, err
}

// tool returns the path of a tool of this repository, built where it is not yet.
func (r release) tool(ctx context.Context, name string) (string, error) {
	return r.run(ctx, nil, filepath.Join(r.root, "tools/install"), name)
}

// run runs a command in the checkout, and returns what it says.
func (r release) run(ctx context.Context, environment []string, command string, arguments ...string) (string, error) {
	process := exec.CommandContext(ctx, command, arguments...)
	process.Dir, process.Env = r.root, append(os.Environ(), environment...)
	var stdout, stderr bytes.Buffer
	process.Stdout, process.Stderr = &stdout, &stderr
	if err := process.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w", filepath.Base(command), arguments[0], errors.Join(err, errors.New(strings.TrimSpace(stderr.String()))))
	}
	return strings.TrimRight(stdout.String(), "\n"), nil
}
