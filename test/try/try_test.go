// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/wechatendpoint/wechatendpoint/sidecar" // whose change runs these tests again
)

// binaries is the folder of the programs, built as `make try` does.
var binaries string

func TestMain(m *testing.M) {
	var err error
	if binaries, err = os.MkdirTemp("", "try-binaries-"); err != nil {
		panic(err)
	}
	for name, source := range map[string]string{"sidecar": "../../cmd/sidecar", "example-app": "../apps/example", "try": "."} {
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(binaries, name), source)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			panic(fmt.Sprintf("building %s: %v\n%s", name, err, out))
		}
	}
	status := m.Run()
	os.RemoveAll(binaries)
	os.Exit(status)
}

// newRoot is a folder with these programs in bin/, and with a tmp/, where what is left behind would be found.
func newRoot(t *testing.T, names ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, folder := range []string{"bin", "tmp"} {
		if err := os.Mkdir(filepath.Join(root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		if err := os.Link(filepath.Join(binaries, name), filepath.Join(root, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// command is a run of bin/try in root.
func command(t *testing.T, root string, args ...string) *exec.Cmd {
	c := exec.CommandContext(t.Context(), "bin/try", args...)
	c.Path = filepath.Join(root, "bin", "try")
	c.Err = nil // there is no bin/try here
	c.Dir = root
	c.Env = []string{"TMPDIR=" + filepath.Join(root, "tmp"), "PATH=" + os.Getenv("PATH")}
	return c
}

// wantNothingLeft looks for processes that listen where the output says, and for files.
func wantNothingLeft(t *testing.T, root, output string) {
	t.Helper()
	addresses := regexp.MustCompile(`listen (127\.0\.0\.1:\d+)`).FindAllStringSubmatch(output, -1)
	if len(addresses) == 0 {
		t.Error("the output has no address that a program listened on")
	}
	for _, address := range addresses {
		if response, err := http.Get("http://" + address[1]); err == nil {
			response.Body.Close()
			t.Errorf("something still listens on %s", address[1])
		}
	}
	if left, err := os.ReadDir(filepath.Join(root, "tmp")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestTryAndItsCommands runs what `make try` runs, and then the commands that it ends with.
func TestTryAndItsCommands(t *testing.T) {
	root := newRoot(t, "sidecar", "example-app", "try")
	out, err := command(t, root).CombinedOutput()
	const end = "try: 9 passed, 0 failed"
	if err != nil || !strings.HasSuffix(string(out), "\n"+end+"\n") {
		t.Fatalf("%v\n%s", err, out)
	}
	wantInReadmes(t, end)
	for _, want := range []string{"you said: 你好", `"reason":"bad_signature"`, `"reason":"replayed"`, `"reason":"stale"`, "← 404 Not Found"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the output does not say %s:\n%s", want, out)
		}
	}
	wantNothingLeft(t, root, string(out))

	_, next, _ := strings.Cut(string(out), "Go on, in this folder:")
	commands := regexp.MustCompile(`(?m)^  (\S.*?)    # \S`).FindAllStringSubmatch(next, -1)
	if len(commands) != 3 {
		t.Fatalf("there are %d commands to go on with, want 3:\n%s", len(commands), next)
	}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); r.URL.Path != "/weixin" || !bytes.Contains(body, []byte("你好")) {
			t.Errorf("the app was called at %s with %s", r.URL, body)
		}
		fmt.Fprint(w, "success")
	}))
	defer app.Close()
	for _, c := range commands {
		wantInReadmes(t, c[1])
		words := strings.Fields(strings.ReplaceAll(c[1], "http://127.0.0.1:3000", app.URL)) // an app of the reader's
		if words[0] == "make" {
			if out, err := exec.CommandContext(t.Context(), "make", append([]string{"-n", "-C", "../.."}, words[1:]...)...).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", c[1], err, out)
			}
			continue
		}
		out, err := command(t, root, words[1:]...).CombinedOutput()
		if words[0] != "bin/try" || err != nil || !regexp.MustCompile(`\ntry: [5-9] passed, 0 failed\n$`).Match(out) {
			t.Errorf("%s: %v\n%s", c[1], err, out)
		}
		wantNothingLeft(t, root, string(out))
	}
}

// wantInReadmes: they name the commands, and how the first one ends.
func wantInReadmes(t *testing.T, what string) {
	t.Helper()
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		if text, err := os.ReadFile(filepath.Join("..", "..", name)); err != nil || !strings.Contains(string(text), what) {
			t.Errorf("%s does not say %q, %v", name, what, err)
		}
	}
}

// TestWhatIsWrong: each mistake is named, with what to do.
func TestWhatIsWrong(t *testing.T) {
	root := newRoot(t, "sidecar", "example-app", "try")
	nobody := httptest.NewServer(nil)
	nobody.Close() // nothing listens there any more
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) }))
	defer broken.Close()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"an app that does not run":    {[]string{"-app", nobody.URL + "/weixin"}, "FAIL  the app could not be called: it refuses connections"},
		"an app that fails":           {[]string{"-app", broken.URL + "/weixin"}, "FAIL  the app answered with status 500"},
		"an app by HTTPS":             {[]string{"-app", "https://127.0.0.1:3000/"}, "must be http://HOST:PORT/PATH"},
		"an app without a port":       {[]string{"-app", "http://127.0.0.1/"}, "must be http://HOST:PORT/PATH"},
		"an app with a query":         {[]string{"-app", "http://127.0.0.1:3000/?a=b"}, "without a user, a query or a fragment"},
		"a path that no app can have": {[]string{"-app", "http://127.0.0.1:3000/a%20b"}, `the app's URL: backend.path "/a%20b" must be like /weixin`},
		"an unknown flag":             {[]string{"-encripted"}, "-encripted\n\ntry runs the sidecar"},
		"an argument":                 {[]string{"encrypted"}, `"encrypted" is no flag`},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := command(t, root, test.args...).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), test.want) {
				t.Errorf("%v, want exit status 1 and %q:\n%s", err, test.want, out)
			}
			if left, err := os.ReadDir(filepath.Join(root, "tmp")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestAProgramIsMissing(t *testing.T) {
	root := newRoot(t, "sidecar", "try")
	want := "try: example-app is missing in " + filepath.Join(root, "bin") + ": `make try` builds it\n"
	if out, err := command(t, root).CombinedOutput(); err == nil || string(out) != want {
		t.Errorf("%v, want %q:\n%s", err, want, out)
	}
}

// TestWithoutGo: make says what is missing, before anything else does.
func TestWithoutGo(t *testing.T) {
	programs := t.TempDir()
	for _, name := range []string{"make", "env", "bash"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(programs, name)); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.CommandContext(t.Context(), "make", "-C", "../..", "try")
	c.Env = []string{"PATH=" + programs}
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "Go is missing: install the version that go.mod names") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestInterrupted: Ctrl-C ends the processes too.
func TestInterrupted(t *testing.T) {
	root := newRoot(t, "sidecar", "example-app", "try")
	waiting, release := make(chan struct{}), make(chan struct{})
	app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(waiting); <-release }))
	defer app.Close()
	defer close(release)
	run := command(t, root, "-app", app.URL+"/weixin")
	var out bytes.Buffer
	run.Stdout, run.Stderr = &out, &out
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-waiting:
	case <-time.After(time.Minute):
		t.Error("the app was not called")
	}
	if err := run.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := run.Wait(); err == nil || !strings.HasSuffix(out.String(), "try: interrupted\n") {
		t.Errorf("%v\n%s", err, &out)
	}
	wantNothingLeft(t, root, out.String())
}
