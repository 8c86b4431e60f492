// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// firstPatience ends the tests of the true sources if they hang.
const firstPatience = 20 * time.Minute

// patienceAfter is how long the tests may take with a mutation, when without one they took so long: a test that hangs because
// of a mutation counts as one that noticed it. Two mutations are tried at once, and the machine may become slower.
func patienceAfter(took time.Duration) time.Duration { return 2*time.Minute + 4*took }

// result is what became of a mutation.
type result string

const (
	killed   result = "killed"   // a test failed
	survived result = "survived" // no test failed
	stale    result = "stale"    // its text is no longer in its file
	broken   result = "broken"   // it does not compile
)

// verdict is a result, and the test or the cause.
type verdict struct {
	result result
	by     string
}

// try runs the tests of one mutation, at most for so long. Base names the files that it may write.
func try(ctx context.Context, m mutation, base string, patience time.Duration) verdict {
	overlay, err := writeOverlay(m, base)
	if err != nil {
		return verdict{stale, err.Error()}
	}
	return test(ctx, overlay, m.packages, patience)
}

// writeOverlay writes the mutated source and the file that puts it in the place of the true one.
func writeOverlay(m mutation, base string) (string, error) {
	path, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	mutated, err := m.apply(string(source))
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: base + ".go"}})
	if err != nil {
		return "", err
	}
	return base + ".json", errors.Join(os.WriteFile(base+".go", []byte(mutated), 0o600), os.WriteFile(base+".json", overlay, 0o600))
}

// test runs the tests of packages, at most for so long, of the true sources if overlay is empty. Vet is off: what it says is no test's word.
func test(ctx context.Context, overlay string, packages []string, patience time.Duration) verdict {
	arguments := []string{"test", "-json", "-short", "-failfast", "-vet=off", "-count=1", "-timeout=" + patience.String()}
	if overlay != "" {
		arguments = append(arguments, "-overlay="+overlay)
	}
	command := exec.CommandContext(ctx, "go", append(arguments, packages...)...)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 5 * time.Second
	var problem bytes.Buffer
	command.Stderr = &problem
	events, err := command.Output()
	v := judge(bytes.NewReader(events))
	if err != nil && v.result == survived {
		return verdict{broken, strings.TrimSpace(err.Error() + " " + problem.String())}
	}
	return v
}

// event is a line of go test -json.
type event struct{ Action, Package, Test, Output string }

// judge reads what go test -json wrote. A test that failed counts only where everything was built.
func judge(events io.Reader) verdict {
	v := verdict{survived, "every test passed"}
	var build strings.Builder
	hung := false
	for decoder := json.NewDecoder(events); ; {
		var e event
		if err := decoder.Decode(&e); err != nil {
			break
		}
		switch e.Action {
		case "build-output":
			build.WriteString(e.Output)
		case "build-fail":
			return verdict{broken, "does not compile: " + strings.TrimSpace(build.String())}
		case "output":
			hung = hung || strings.HasPrefix(e.Output, "panic: test timed out")
		case "fail":
			if v.result == survived {
				v = verdict{killed, "by " + e.Package[strings.LastIndex(e.Package, "/")+1:]}
				if e.Test != "" {
					v.by = "by " + e.Test
				}
			}
		}
	}
	if hung && v.result == killed {
		v.by += ", which hung"
	}
	return v
}
