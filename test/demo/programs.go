// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/test/story"
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
	d.Show("$ kubectl -n %s %s", namespace, story.Quoted(arguments))
	said, err := d.kubectlRun(ctx, arguments...)
	d.Show("%s", said)
	return said, err
}

// apply shows manifests and applies them.
func (d *demo) apply(ctx context.Context, content string) error {
	content = d.values.Replace(content)
	d.Show("$ kubectl -n %s apply -f - <<'YAML'", namespace)
	d.Show("%s\nYAML", strings.TrimSpace(content))
	said, err := call(ctx, content, d.kubectl, "-n", namespace, "apply", "-f", "-")
	d.Show("%s", said)
	return err
}
