// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package reload

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

const (
	configText      = `{"generation":%q,"endpoint":"a/b","platform":"OfficialAccount","appID":"wx1","messageMode":"Plaintext","path":"/weixin","freshness":"5m","backend":{"url":"http://app:80","deadline":"1s"}}`
	credentialsText = `{"generation":%q,"pairs":[{"generation":1,"token":"secret-token"}]}`
)

// volume is a folder like that of a projected volume: the files are links into a folder that is swapped as a whole.
type volume struct {
	dir     string
	version int
}

func (v *volume) swap(t *testing.T, configText, credentialsText string) {
	t.Helper()
	v.version++
	data := filepath.Join(v.dir, fmt.Sprintf("..data_%d", v.version))
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{config.File: configText, config.CredentialsFile: credentialsText} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if v.version == 1 {
			if err := os.Symlink(filepath.Join("..data", name), filepath.Join(v.dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	link := filepath.Join(v.dir, "..data_tmp")
	if err := os.Symlink(filepath.Base(data), link); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link, filepath.Join(v.dir, "..data")); err != nil {
		t.Fatal(err)
	}
}

func TestLoad(t *testing.T) {
	v := &volume{dir: t.TempDir()}
	var taken []string
	var log bytes.Buffer
	files := New(v.dir, func(c config.Config, _ config.Credentials) { taken = append(taken, c.Generation) }, slog.New(slog.NewTextHandler(&log, nil)))
	both := func(c, credentials string) func() {
		return func() { v.swap(t, fmt.Sprintf(configText, c), fmt.Sprintf(credentialsText, credentials)) }
	}
	for _, step := range []struct {
		name               string
		change             func()
		taken              int
		generation, refuse string
	}{
		{"no files at all", func() {}, 0, "", "opening the configuration"},
		{"a good pair", both("g-1", "g-1"), 1, "g-1", ""},
		{"the same again", both("g-1", "g-1"), 1, "g-1", ""},
		{"half of the next", both("g-2", "g-1"), 1, "g-1", "waiting for the other half"},
		{"the other half", both("g-2", "g-2"), 2, "g-2", ""},
		{"a broken configuration", func() { v.swap(t, `{"generation":"g-3","pth":"/x"}`, fmt.Sprintf(credentialsText, "g-3")) }, 2, "g-2", `unknown field "pth"`},
		{"broken credentials", func() { v.swap(t, fmt.Sprintf(configText, "g-3"), `{"generation":"g-3","pairs":[]}`) }, 2, "g-2", "pairs is empty"},
		{"both broken", func() { v.swap(t, `{`, `{`) }, 2, "g-2", config.CredentialsFile},
		{"credentials without the key of the mode", func() {
			v.swap(t, fmt.Sprintf(strings.Replace(configText, "Plaintext", "Encrypted", 1), "g-3"), fmt.Sprintf(credentialsText, "g-3"))
		}, 2, "g-2", "encodingAESKey is missing"},
		{"mended", both("g-4", "g-4"), 3, "g-4", ""},
		{"files taken away", func() { os.Remove(filepath.Join(v.dir, config.File)) }, 3, "g-4", "opening the configuration"},
		{"files put back", func() { os.Symlink(filepath.Join("..data", config.File), filepath.Join(v.dir, config.File)) }, 4, "g-4", ""},
	} {
		step.change()
		files.Load()
		files.Load() // a second look changes nothing
		status := files.Status()
		if len(taken) != step.taken || status.Generation != step.generation {
			t.Errorf("%s: took %v and serves %q", step.name, taken, status.Generation)
		}
		if (status.Problem == "") != (step.refuse == "") || !strings.Contains(status.Problem, step.refuse) {
			t.Errorf("%s: problem %q, want %q", step.name, status.Problem, step.refuse)
		}
	}
	if strings.Contains(log.String(), "secret-token") {
		t.Error("the log holds the token")
	}
	if n := strings.Count(log.String(), "waiting for the other half"); n != 1 {
		t.Errorf("a problem was logged %d times, want once", n)
	}
}
