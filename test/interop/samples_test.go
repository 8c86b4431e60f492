// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/test/ports"
)

const (
	samples = "../../config/samples/"
	// debianPython is the one that Debian's python3-django is for. Another may come first on the PATH.
	debianPython = "/usr/bin/python3"
)

// sample is one of config/samples with an app: what its manifest says of the endpoint and of the app's container.
type sample struct {
	Platform    string `json:"platform"`
	AppID       string `json:"appID"`
	MessageMode string `json:"messageMode"`
	URL         struct {
		Path string `json:"path"`
	} `json:"url"`
	Backend struct {
		Path    string `json:"path"`
		Payload string `json:"payload"`
	} `json:"backend"`

	command []string // of the app, which listens on 0.0.0.0:8080
	env     []string
}

func readSample(t *testing.T, name string) (s sample) {
	t.Helper()
	text, err := os.ReadFile(samples + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range strings.Split(string(text), "\n---\n") {
		var object struct {
			Kind string          `json:"kind"`
			Spec json.RawMessage `json:"spec"`
		}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		switch object.Kind {
		case "WeChatEndpoint":
			err = json.Unmarshal(object.Spec, &s)
		case "Deployment":
			err = s.readContainer(object.Spec)
		}
		if err != nil {
			t.Fatalf("%s: %s: %v", name, object.Kind, err)
		}
	}
	if s.AppID != appID || s.URL.Path == "" || len(s.command) == 0 {
		t.Fatalf("%s.yaml is not an endpoint of %s and an app with a command: %+v", name, appID, s)
	}
	return s
}

func (s *sample) readContainer(deployment json.RawMessage) error {
	var spec struct {
		Template struct {
			Spec struct {
				Containers []struct {
					Command []string                       `json:"command"`
					Env     []struct{ Name, Value string } `json:"env"`
				} `json:"containers"`
			} `json:"spec"`
		} `json:"template"`
	}
	if err := json.Unmarshal(deployment, &spec); err != nil {
		return err
	}
	for _, container := range spec.Template.Spec.Containers {
		s.command = container.Command
		if s.command[0] == "python3" {
			s.command[0] = debianPython
		}
		for _, variable := range container.Env {
			s.env = append(s.env, variable.Name+"="+variable.Value)
		}
	}
	return nil
}

// account is the one that the sample's endpoint is for.
func (s sample) account() account {
	return account{platform: s.Platform, variant: s.MessageMode + " XML", mode: s.MessageMode, path: s.URL.Path}
}

// run starts the app as its container does, in a folder, and waits until it listens.
func (s sample) run(t *testing.T, folder string, more ...string) sdkApp {
	t.Helper()
	address := ports.Free()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	arguments := strings.Split(strings.ReplaceAll(strings.Join(s.command[1:], "\n"), "0.0.0.0:8080", address), "\n")
	command := exec.CommandContext(t.Context(), s.command[0], arguments...)
	command.Dir, command.Env = folder, append(append(os.Environ(), "PORT="+port, "PYTHONDONTWRITEBYTECODE=1"), append(s.env, more...)...)
	said := &lockedBuffer{}
	command.Stdout, command.Stderr = said, said
	if err := command.Start(); err != nil {
		t.Fatalf("starting %s (run test/interop/setup first): %v", s.command[0], err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			connection.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the app does not listen: %v\n%s", err, said)
		}
	}
	return sdkApp{"http://" + address}
}

// counted is a proxy before an app that cannot say how often it was called.
func counted(t *testing.T, behind sdkApp) sdkApp {
	t.Helper()
	target, err := url.Parse(behind.url)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, httputil.NewSingleHostReverseProxy(target).ServeHTTP)
}

// play puts the sidecar before the app as the sample's endpoint says, and returns the app's reply to a user.
func (s sample) play(t *trial, l library, behind sdkApp, credentials config.Credentials) {
	t.Helper()
	app := counted(t.T, behind)
	r := startWith(t.T, l.account, config.Backend{URL: app.url, Payload: s.Backend.Payload, Path: s.Backend.Path}, credentials)
	reply := l.play(t, r, app, l.account.text("hi"))
	if said := wechat.ReadFields([]byte(reply)); said.ToUserName != userID || said.FromUserName != accountID || !strings.Contains(reply, "you said: hi") {
		t.Errorf("the reply is %s", reply)
	}
}

// TestDjangoSample runs the Django app of config/samples, which knows no token, behind the sidecar.
func TestDjangoSample(t *testing.T) {
	s, key := readSample(t, "django"), make([]byte, config.GatewayKeySize)
	_, _ = rand.Read(key)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, key, 0o600); err != nil {
		t.Fatal(err)
	}
	app, l := s.run(t, samples+"django", "WECHAT_GATEWAY_KEY_FILE="+file), library{newSigner(t), "@wecom/crypto", s.account()}
	try(t, "config/samples/django", l.account, "as the app, Decrypted", func(t *trial) {
		s.play(t, l, app, config.Credentials{Pairs: []config.Pair{{Token: token}}, GatewayKey: key})
	})

	message := l.account.text("hi")
	query, _ := l.post(t, message)
	for what, header := range map[string]map[string]string{
		"with WeChat's own signature alone":   {},
		"with the word of whoever sent it":    {"X-WeChat-Verified": "true"},
		"with a signature of somebody else's": {"X-WeChat-Verified": "true", "X-WeChat-Gateway-Signature": "t=" + query.Get("timestamp") + ",v1=" + strings.Repeat("0", 64)},
	} {
		if status, body := call(t, http.MethodPost, app.url+s.Backend.Path, query, header, message); status != http.StatusForbidden || body != "" {
			t.Errorf("past the sidecar, %s, the app answers %d %q", what, status, body)
		}
	}
}

// TestNodeSample runs the Node app of config/samples behind the sidecar: its SDK verifies, decrypts and seals as it did before.
func TestNodeSample(t *testing.T) {
	s, folder, credentials := readSample(t, "node"), t.TempDir(), t.TempDir()
	packages, err := filepath.Abs("node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(packages, filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(samples + "node/app.mjs")
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{
		filepath.Join(folder, "app.mjs"): string(program), filepath.Join(credentials, "token"): token, filepath.Join(credentials, "encodingAESKey"): aesKey,
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	app, l := s.run(t, folder, "WECHAT_CREDENTIALS="+credentials), library{newSigner(t), "@wecom/crypto", s.account()}
	try(t, "config/samples/node", l.account, "as the app, Original", func(t *trial) {
		s.play(t, l, app, config.Credentials{Pairs: []config.Pair{{Token: token, EncodingAESKey: aesKey}}})
	})
}

// TestSamplesHaveWhatIsTried: the app's packages are those that npm installed here, and its verifier is the one that docs/verify tests.
func TestSamplesHaveWhatIsTried(t *testing.T) {
	var manifest struct {
		Dependencies map[string]string `json:"dependencies"`
	}
	text, err := os.ReadFile(samples + "node/package.json")
	if err != nil || json.Unmarshal(text, &manifest) != nil || len(manifest.Dependencies) == 0 {
		t.Fatalf("config/samples/node/package.json has no dependencies: %v", err)
	}
	for name, version := range manifest.Dependencies {
		if versions()[name] != version {
			t.Errorf("the sample has %s %s, and %q is tried", name, version, versions()[name])
		}
	}
	copied, err := os.ReadFile(samples + "django/myApp/verify.py")
	if err != nil {
		t.Fatal(err)
	}
	if original, err := os.ReadFile("../../docs/verify/verify.py"); err != nil || !bytes.Equal(copied, original) {
		t.Errorf("config/samples/django/myApp/verify.py is not a copy of docs/verify/verify.py: %v", err)
	}
}
