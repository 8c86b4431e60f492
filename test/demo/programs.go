// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// call runs a program and returns what it wrote to standard output. Its error quotes what it wrote to standard error.
func call(ctx context.Context, input, program string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, program, arguments...)
	command.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(arguments, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// kubectlRun runs kubectl in the demo's namespace without a word.
func (d *demo) kubectlRun(ctx context.Context, arguments ...string) (string, error) {
	return call(ctx, "", d.kubectl, append([]string{"-n", namespace}, arguments...)...)
}

// kubectlShow runs kubectl in the demo's namespace as a reader would, and shows what it says.
func (d *demo) kubectlShow(ctx context.Context, arguments ...string) (string, error) {
	d.show("$ kubectl -n %s %s", namespace, quoted(arguments))
	said, err := d.kubectlRun(ctx, arguments...)
	d.show("%s", said)
	return said, err
}

// quoted writes a command's words such that they can be copied into a shell.
func quoted(words []string) string {
	written := make([]string, len(words))
	for i, word := range words {
		if written[i] = word; strings.ContainsAny(word, ` "'\$*?[]{}<>&|;`) {
			written[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return strings.Join(written, " ")
}

// apply shows manifests and applies them.
func (d *demo) apply(ctx context.Context, content string) error {
	d.show("$ kubectl -n %s apply -f - <<'YAML'", namespace)
	d.show("%s\nYAML", strings.TrimSpace(content))
	said, err := call(ctx, content, d.kubectl, "-n", namespace, "apply", "-f", "-")
	d.show("%s", said)
	return err
}

// until asks again, twice a second, until there is no error or patience is at its end; then the error is the last one.
func until(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("waited in vain for %v", patience), err)
		case <-tick.C:
		}
	}
}
