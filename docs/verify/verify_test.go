// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/docs/verify"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/sidecartest"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

const (
	token           = "a-fine-token"
	signatureHeader = "X-Wechat-Gateway-Signature"
)

var key = []byte("\x00a key of raw bytes,32 of\xff\n them")

// request is what a verifier is told, in the form that the drivers in testdata read.
type request struct {
	Key     []byte      `json:"key"`
	Method  string      `json:"method"`
	Target  string      `json:"target"`
	Headers [][2]string `json:"headers"`
	Body    []byte      `json:"body"`
	Now     int64       `json:"now"`
}

func (r *request) header(name string) *[2]string {
	return &r.Headers[slices.IndexFunc(r.Headers, func(h [2]string) bool { return h[0] == name })]
}

func (r *request) add(name, value string) { r.Headers = append(r.Headers, [2]string{name, value}) }

func (r *request) remove(name string) {
	r.Headers = slices.DeleteFunc(r.Headers, func(h [2]string) bool { return h[0] == name })
}

func TestVerifiersAgree(t *testing.T) {
	decrypted, original := capture(t, config.PayloadDecrypted), capture(t, config.PayloadOriginal)
	if !strings.Contains(original.Target, "?signature=") || strings.Contains(decrypted.Target, "?") {
		t.Fatalf("the targets are %q and %q", decrypted.Target, original.Target)
	}
	rows := map[string]struct {
		from    request
		change  func(*request)
		genuine bool
	}{
		"genuine":                        {decrypted, func(*request) {}, true},
		"the original with its query":    {original, func(*request) {}, true},
		"other headers are nobody's":     {decrypted, func(r *request) { r.add("X-Request-Id", "1"); r.add("X-Request-Id", "2") }, true},
		"names in another case":          {decrypted, func(r *request) { r.header("X-Wechat-Open-Id")[0] = "X-WECHAT-open-ID" }, true},
		"another order":                  {decrypted, func(r *request) { slices.Reverse(r.Headers) }, true},
		"as old as allowed":              {decrypted, func(r *request) { r.Now += 300 }, true},
		"as early as allowed":            {decrypted, func(r *request) { r.Now -= 300 }, true},
		"too old":                        {decrypted, func(r *request) { r.Now += 301 }, false},
		"from the future":                {decrypted, func(r *request) { r.Now -= 301 }, false},
		"a byte of the body changed":     {decrypted, func(r *request) { r.Body[len(r.Body)/2] ^= 1 }, false},
		"a byte of the body lost":        {decrypted, func(r *request) { r.Body = r.Body[:len(r.Body)-1] }, false},
		"a header changed":               {decrypted, func(r *request) { r.header("X-Wechat-Open-Id")[1] = "oOther" }, false},
		"a header added":                 {decrypted, func(r *request) { r.add("X-WeChat-Foo", "1") }, false},
		"a header removed":               {decrypted, func(r *request) { r.remove("X-Wechat-Open-Id") }, false},
		"a header twice":                 {decrypted, func(r *request) { r.add("X-Wechat-Open-Id", "oUser") }, false},
		"a header twice, cases differ":   {decrypted, func(r *request) { r.add("x-wechat-open-id", "oUser") }, false},
		"another path":                   {decrypted, func(r *request) { r.Target = "/other" }, false},
		"a query added":                  {decrypted, func(r *request) { r.Target += "?a=b" }, false},
		"the query changed":              {original, func(r *request) { r.Target += "0" }, false},
		"the query lost":                 {original, func(r *request) { r.Target, _, _ = strings.Cut(r.Target, "?") }, false},
		"another method":                 {decrypted, func(r *request) { r.Method = http.MethodPut }, false},
		"another key":                    {decrypted, func(r *request) { r.Key[0] ^= 1 }, false},
		"a longer key that HMAC pads so": {decrypted, func(r *request) { r.Key = append(r.Key, 0) }, false},
		"no key":                         {decrypted, func(r *request) { r.Key = []byte{} }, false},
		"no signature":                   {decrypted, func(r *request) { r.remove(signatureHeader) }, false},
		"two signatures":                 {decrypted, func(r *request) { r.add(signatureHeader, r.header(signatureHeader)[1]) }, false},
		"two signatures in one":          {decrypted, func(r *request) { v := r.header(signatureHeader); v[1] += "," + v[1] }, false},
		"an empty signature":             {decrypted, func(r *request) { r.header(signatureHeader)[1] = "" }, false},
		"a signature without its time":   {decrypted, func(r *request) { v := r.header(signatureHeader); _, v[1], _ = strings.Cut(v[1], ",") }, false},
		"another time in the signature":  {decrypted, func(r *request) { v := r.header(signatureHeader); v[1] = strings.Replace(v[1], "t=", "t=0", 1) }, false},
		"a signature of another version": {decrypted, func(r *request) { v := r.header(signatureHeader); v[1] = strings.Replace(v[1], "v1", "v2", 1) }, false},
		"a shorter signature":            {decrypted, func(r *request) { v := r.header(signatureHeader); v[1] = v[1][:len(v[1])-2] }, false},
		"a signature in capitals": {decrypted, func(r *request) {
			v := r.header(signatureHeader)
			at := len(v[1]) - 64
			v[1] = v[1][:at] + strings.ToUpper(v[1][at:])
		}, false},
		"a time beyond all numbers": {decrypted, func(r *request) {
			v := r.header(signatureHeader)
			v[1] = strings.Replace(v[1], "t=", "t="+strings.Repeat("9", 40), 1)
		}, false},
	}
	for language, verifier := range verifiers() {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			verifies := verifier(t)
			for name, row := range rows {
				t.Run(name, func(t *testing.T) {
					request := row.from
					request.Key, request.Body, request.Headers = bytes.Clone(key), bytes.Clone(request.Body), slices.Clone(request.Headers)
					row.change(&request)
					if got := verifies(t, request); got != row.genuine {
						t.Errorf("said %t of %s %s with %q", got, request.Method, request.Target, request.Headers)
					}
				})
			}
		})
	}
}

// verifiers are made ready in the test of their language, which skips where that is missing.
func verifiers() map[string]func(*testing.T) func(*testing.T, request) bool {
	return map[string]func(*testing.T) func(*testing.T, request) bool{
		"Go": func(*testing.T) func(*testing.T, request) bool { return inGo },
		"Node": func(t *testing.T) func(*testing.T, request) bool {
			return drive(t, copied(t), "node", "testdata/drive.mjs")
		},
		"Python": func(t *testing.T) func(*testing.T, request) bool {
			return drive(t, copied(t), "python3", "testdata/drive.py")
		},
		"Java": func(t *testing.T) func(*testing.T, request) bool {
			dir := copied(t)
			compiler := command(t, dir, "javac", "--release", "17", "-Xlint:all", "-Werror", "-d", "classes", "Verify.java", "testdata/Drive.java")
			if output, err := compiler.CombinedOutput(); err != nil {
				t.Fatalf("javac: %v\n%s", err, output)
			}
			return drive(t, dir, "java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", "classes", "Drive")
		},
	}
}

func inGo(_ *testing.T, r request) bool {
	header := http.Header{}
	for _, h := range r.Headers {
		header[h[0]] = append(header[h[0]], h[1]) // not Add, which would make all names alike
	}
	return verify.Verify(r.Key, r.Method, r.Target, header, r.Body, time.Unix(r.Now, 0))
}

// drive asks a program, which must say and exit the same: a crash is no refusal.
func drive(t *testing.T, dir, name string, args ...string) func(*testing.T, request) bool {
	command(t, dir, name)
	return func(t *testing.T, r request) bool {
		var input, output, complaints bytes.Buffer
		encoder := json.NewEncoder(&input)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(r); err != nil {
			t.Fatal(err)
		}
		program := command(t, dir, name, args...)
		program.Stdin, program.Stdout, program.Stderr = &input, &output, &complaints
		err := program.Run()
		said := strings.TrimSpace(output.String())
		if want, known := map[string]int{"true": 0, "false": 1}[said]; !known || program.ProcessState.ExitCode() != want {
			t.Fatalf("%s: ended with %v and said %q\n%s", name, err, said, &complaints)
		}
		return said == "true"
	}
}

// command runs a program for a minute at most, or skips the test.
func command(t *testing.T, dir, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: %v", name, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	command := exec.CommandContext(ctx, path, args...)
	command.Dir = dir
	return command
}

// copied is a folder with these files, for interpreters and compilers to write into. Reading the files here also lets go test
// know that its cached results depend on them.
func copied(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "verify")
	if err := os.CopyFS(dir, os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// capture sends a message through a real sidecar and returns what its app gets.
func capture(t *testing.T, payload string) request {
	t.Helper()
	seen := make(chan request, 1)
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got := request{Method: r.Method, Target: r.RequestURI, Body: body}
		for name, values := range r.Header {
			got.add(name, strings.Join(values, ", "))
		}
		seen <- got
	}))
	t.Cleanup(app.Close)
	sender := &caller.Sender{URL: startSidecar(t, app.URL, payload), Token: token}
	answer, err := sender.Text(t.Context(), "oUser", "private words")
	if err != nil || answer.Status != http.StatusOK {
		t.Fatalf("answered %d: %v", answer.Status, err)
	}
	got := <-seen
	// The rows move the clock from the second that was signed.
	if _, err := fmt.Sscanf(got.header(signatureHeader)[1], "t=%d,", &got.Now); err != nil {
		t.Fatal(err)
	}
	return got
}

// startSidecar returns the URL at which it takes callbacks.
func startSidecar(t *testing.T, backend, payload string) string {
	t.Helper()
	callbacks, _ := sidecartest.Run(t, config.Document{
		Config: config.Config{
			Generation: "g-1", Endpoint: "team-a/shop", Platform: config.PlatformOfficialAccount, AppID: "wx1", MessageMode: config.ModePlaintext,
			Path: "/weixin", Freshness: config.Duration(5 * time.Minute),
			Backend: config.Backend{URL: backend, Payload: payload, Deadline: config.Duration(2 * time.Second)},
		},
		Credentials: config.Credentials{GatewayKey: key, Pairs: []config.Pair{{Generation: 1, Token: token}}},
	})
	return "http://" + callbacks + "/weixin"
}
