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

const text = `{"generation":%q,"endpoint":"a/b","platform":"OfficialAccount","appID":"wx1","messageMode":"Plaintext","path":"/weixin","freshness":"5m",` +
	`"backend":{"url":"http://app:80","deadline":"1s"},"credentials":{"pairs":[{"generation":1,"token":"secret-token"}]}}`

// volume is a folder like that of a projected volume: the file is a link into a folder that is swapped as a whole.
type volume struct {
	dir     string
	version int
}

func (v *volume) swap(t *testing.T, text string) {
	t.Helper()
	v.version++
	data := filepath.Join(v.dir, fmt.Sprintf("..data_%d", v.version))
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, config.File), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if v.version == 1 {
		if err := os.Symlink(filepath.Join("..data", config.File), filepath.Join(v.dir, config.File)); err != nil {
			t.Fatal(err)
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
	file := New(v.dir, func(d config.Document) { taken = append(taken, d.Generation) }, slog.New(slog.NewTextHandler(&log, nil)))
	write := func(generation string, replace ...string) func() {
		return func() { v.swap(t, strings.NewReplacer(replace...).Replace(fmt.Sprintf(text, generation))) }
	}
	for _, step := range []struct {
		name               string
		change             func()
		taken              int
		generation, refuse string
	}{
		{"no file at all", func() {}, 0, "", "opening the configuration"},
		{"a good document", write("g-1"), 1, "g-1", ""},
		{"the same again", write("g-1"), 1, "g-1", ""},
		{"the next", write("g-2"), 2, "g-2", ""},
		{"a broken configuration", write("g-3", `"path"`, `"pth"`), 2, "g-2", `unknown field "pth"`},
		{"broken credentials", write("g-3", `{"generation":1,"token":"secret-token"}`, ``), 2, "g-2", "pairs is empty"},
		{"no credentials", write("g-3", `,"credentials":{"pairs":[{"generation":1,"token":"secret-token"}]}`, ``), 2, "g-2", "has no credentials"},
		{"both broken", func() { v.swap(t, `{`) }, 2, "g-2", config.File},
		{"half a document", func() { v.swap(t, fmt.Sprintf(text, "g-3")[:len(text)-30]) }, 2, "g-2", config.File},
		{"credentials without the key of the mode", write("g-3", "Plaintext", "Encrypted"), 2, "g-2", "encodingAESKey is missing"},
		{"mended", write("g-4"), 3, "g-4", ""},
		{"the file is taken away", func() { os.Remove(filepath.Join(v.dir, config.File)) }, 3, "g-4", "opening the configuration"},
		{"it is put back", func() { os.Symlink(filepath.Join("..data", config.File), filepath.Join(v.dir, config.File)) }, 4, "g-4", ""},
	} {
		step.change()
		file.Load()
		file.Load() // a second look changes nothing
		status := file.Status()
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
	if n := strings.Count(log.String(), "encodingAESKey is missing"); n != 1 {
		t.Errorf("a problem was logged %d times, want once", n)
	}
}
