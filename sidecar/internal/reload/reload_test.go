// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package reload

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

const text = `{"generation":%q,"endpoint":"a/b","platform":"OfficialAccount","appID":"wx1","messageMode":"Plaintext","path":"/weixin","freshness":"5m",` +
	`"backend":{"url":"http://app:80","deadline":"1s"},"credentials":{"pairs":[{"generation":1,"token":"secret-token"}]}}`

// volume is a folder as a kubelet makes it for a projected volume: each file is a link into another folder, and one rename swaps all.
type volume struct {
	dir     string
	version int
}

func (v *volume) swap(t *testing.T, files map[string]string) {
	t.Helper()
	v.version++
	data := filepath.Join(v.dir, fmt.Sprintf("..data_%d", v.version))
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(data, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_ = os.Symlink(filepath.Join("..data", name), filepath.Join(v.dir, name)) // it may be there
	}
	link := filepath.Join(v.dir, "..data_tmp")
	if err := os.Symlink(filepath.Base(data), link); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link, filepath.Join(v.dir, "..data")); err != nil {
		t.Fatal(err)
	}
}

// served plays a sidecar.
type served struct {
	generations map[string]string // by entry
	taken       int
	settled     int
	offered     map[string]string
	largest     int               // of a document
	refuses     map[string]string // by the generation
}

var errTooLarge = errors.New("it is too large")

func (s *served) Offer(entry string, document config.Document, size int) error {
	if s.largest > 0 && size > s.largest {
		return errTooLarge
	}
	s.offered[entry] = document.Generation
	return nil
}

func (s *served) Drop(entry string) { delete(s.generations, entry) }

func (s *served) Settle() map[string]error {
	s.settled++
	refused := map[string]error{}
	for entry, generation := range s.offered {
		if problem := s.refuses[generation]; problem != "" {
			refused[entry] = errors.New(problem)
			continue
		}
		s.generations[entry] = generation
		s.taken++
	}
	clear(s.offered)
	return refused
}

func newServed(t *testing.T) (*served, *volume, *Folder, *bytes.Buffer) {
	t.Helper()
	s, v, log := &served{generations: map[string]string{}, offered: map[string]string{}}, &volume{dir: t.TempDir()}, &bytes.Buffer{}
	return s, v, New(v.dir, s, slog.New(slog.NewTextHandler(log, nil))), log
}

func document(generation string, replace ...string) string {
	return strings.NewReplacer(replace...).Replace(fmt.Sprintf(text, generation))
}

func TestOneDocument(t *testing.T) {
	s, v, folder, log := newServed(t)
	write := func(text string) func() {
		return func() { v.swap(t, map[string]string{config.File: text}) }
	}
	for _, step := range []struct {
		name               string
		change             func()
		taken              int
		generation, refuse string
	}{
		{"no file at all", func() {}, 0, "", ""},
		{"a good document", write(document("g-1")), 1, "g-1", ""},
		{"the same again", write(document("g-1")), 1, "g-1", ""},
		{"the next", write(document("g-2")), 2, "g-2", ""},
		{"a broken configuration", write(document("g-3", `"path"`, `"pth"`)), 2, "g-2", `unknown field "pth"`},
		{"broken credentials", write(document("g-3", `{"generation":1,"token":"secret-token"}`, ``)), 2, "g-2", "pairs is empty"},
		{"no credentials", write(document("g-3", `,"credentials":{"pairs":[{"generation":1,"token":"secret-token"}]}`, ``)), 2, "g-2", "has no credentials"},
		{"both broken", write(`{`), 2, "g-2", config.File},
		{"half a document", write(document("g-3")[:len(text)-30]), 2, "g-2", config.File},
		{"credentials without the key of the mode", write(document("g-3", "Plaintext", "Encrypted")), 2, "g-2", "encodingAESKey is missing"},
		{"mended", write(document("g-4")), 3, "g-4", ""},
		{"the file is taken away", func() { v.swap(t, nil) }, 3, "g-4", "the document is gone"},
		{"it is put back", write(document("g-4")), 4, "g-4", ""},
	} {
		step.change()
		folder.Load()
		folder.Load() // a second look changes nothing
		status := folder.State().Entries[config.Entry]
		if s.taken != step.taken || status.Generation != step.generation {
			t.Errorf("%s: took %d and serves %q", step.name, s.taken, status.Generation)
		}
		if (status.Problem == "") != (step.refuse == "") || !strings.Contains(status.Problem, step.refuse) {
			t.Errorf("%s: problem %q, want %q", step.name, status.Problem, step.refuse)
		}
		if empty := v.version == 0 || step.refuse == "the document is gone"; (folder.State().Problem != "") != empty {
			t.Errorf("%s: the folder has problem %q", step.name, folder.State().Problem)
		}
	}
	if strings.Contains(log.String(), "secret-token") {
		t.Error("the log holds the token")
	}
	if n := strings.Count(log.String(), "encodingAESKey is missing"); n != 1 {
		t.Errorf("a problem was logged %d times, want once", n)
	}
}

// TestManyDocuments: each entry is served, refused and ended by itself.
func TestManyDocuments(t *testing.T) {
	good, broken := document("g-1"), document("g-2", `"path"`, `"pth"`)
	for name, test := range map[string]struct {
		looks []map[string]string // one after the other
		want  map[string]string   // the generations
		wrong []string            // the entries with a problem
	}{
		"two of them":                {[]map[string]string{{"a.json": good, "b.json": document("g-9")}}, map[string]string{"a": "g-1", "b": "g-9"}, nil},
		"other files are none":       {[]map[string]string{{"a.json": good, "README": "", "b.json.bak": good}}, map[string]string{"a": "g-1"}, nil},
		"a broken one among others":  {[]map[string]string{{"a.json": broken, "b.json": good}}, map[string]string{"b": "g-1"}, []string{"a"}},
		"one that breaks goes on":    {[]map[string]string{{"a.json": good, "b.json": good}, {"a.json": broken, "b.json": document("g-3")}}, map[string]string{"a": "g-1", "b": "g-3"}, []string{"a"}},
		"one that is gone goes on":   {[]map[string]string{{"a.json": good, "b.json": good}, {"b.json": good}}, map[string]string{"a": "g-1", "b": "g-1"}, []string{"a"}},
		"one that a list ends":       {[]map[string]string{{"a.json": good, "b.json": good, "0.list": "a b"}, {"b.json": good, "0.list": "b"}}, map[string]string{"b": "g-1"}, nil},
		"a broken one that it ends":  {[]map[string]string{{"a.json": broken, "0.list": "a"}, {"0.list": ""}}, map[string]string{}, nil},
		"all that a list has ended":  {[]map[string]string{{"a.json": good, "0.list": "a"}, {"0.list": "\n"}}, map[string]string{}, nil},
		"one whose list is gone too": {[]map[string]string{{"a.json": good, "0.list": "a", "b.json": good, "1.list": "b"}, {"b.json": good, "1.list": "b"}}, map[string]string{"a": "g-1", "b": "g-1"}, []string{"a"}},
		"one that its list still has": {
			[]map[string]string{{"a.json": good, "0.list": "a"}, {"0.list": "a"}}, map[string]string{"a": "g-1"}, []string{"a"},
		},
		"another list cannot end it": {
			[]map[string]string{{"a.json": good, "0.list": "a", "1.list": ""}, {"1.list": ""}}, map[string]string{"a": "g-1"}, []string{"a"},
		},
		"one that moves to another list": {
			[]map[string]string{{"a.json": good, "0.list": "a", "1.list": ""}, {"a.json": good, "0.list": "", "1.list": "a"}, {"0.list": "", "1.list": "a"}}, map[string]string{"a": "g-1"}, []string{"a"},
		},
		"one that comes back": {[]map[string]string{{"a.json": good, "0.list": "a"}, {"0.list": ""}, {"a.json": document("g-5"), "0.list": "a"}}, map[string]string{"a": "g-5"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, v, folder, _ := newServed(t)
			for _, files := range test.looks {
				v.swap(t, files)
				folder.Load()
			}
			var wrong []string
			for entry, status := range folder.State().Entries {
				if status.Problem != "" {
					wrong = append(wrong, entry)
				}
			}
			if diff := cmp.Diff(test.want, s.generations); diff != "" {
				t.Errorf("what is served (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.wrong, wrong); diff != "" {
				t.Errorf("with a problem are (-want +got):\n%s", diff)
			}
			settled := s.settled
			if folder.Load(); s.settled != settled {
				t.Error("a look that finds nothing new has changed something")
			}
		})
	}
}

// TestAProblemNamesTheFile that has it, on the status and in the log.
func TestAProblemNamesTheFile(t *testing.T) {
	for name, text := range map[string]string{
		"an unknown field":           document("g-1", `"path"`, `"pth"`),
		"half a document":            document("g-1")[:40],
		"a field that is not valid":  document("g-1", `/weixin`, `weixin`),
		"a newer version":            document("g-1", `{"generation"`, `{"version":99,"generation"`),
		"no credentials":             document("g-1", `"credentials":`, `"other":`),
		"a credential of no meaning": document("g-1", `"token":"secret-token"`, `"token":""`),
		"one that is missing":        document("g-1", "Plaintext", "Encrypted"),
		"more than may be":           strings.Repeat(" ", config.MaxFileSize+1),
	} {
		t.Run(name, func(t *testing.T) {
			_, v, folder, log := newServed(t)
			v.swap(t, map[string]string{"shop.json": text})
			folder.Load()
			problem := folder.State().Entries["shop"].Problem
			for where, text := range map[string]string{"the status": problem, "the log": log.String()} {
				if !strings.Contains(text, "shop.json") || strings.Contains(text, config.File) {
					t.Errorf("%s says %s", where, text)
				}
			}
		})
	}
}

// TestWhatTheEntriesRefuse: it is told, and what was served goes on. It is offered again as soon as something has changed.
func TestWhatTheEntriesRefuse(t *testing.T) {
	s, v, folder, log := newServed(t)
	s.refuses = map[string]string{"g-2": "it is served already"}
	s.largest = 1000
	large := document("g-8", `"/weixin"`, `"/weixin","domainFiles":[{"name":"a.txt","content":"`+strings.Repeat("a", 1000)+`"}]`)
	steps := []struct {
		name         string
		a            string
		taken        int
		serves, told string
	}{
		{"a document", document("g-1"), 2, "g-1", ""},
		{"one that is refused", document("g-2"), 2, "g-1", "it is served already"},
		{"the one before comes back", document("g-1"), 3, "g-1", ""},
		{"the refused one again", document("g-2"), 3, "g-1", "it is served already"},
		{"one that cannot be considered", large, 3, "g-1", "it is too large"},
		{"the next", document("g-3"), 4, "g-3", ""},
	}
	for _, step := range steps {
		v.swap(t, map[string]string{"a.json": step.a, "b.json": document("g-9")})
		folder.Load()
		folder.Load()
		if got, want := folder.State().Entries["a"], (Status{step.serves, step.told}); s.taken != step.taken || got != want || s.generations["a"] != step.serves {
			t.Errorf("%s: %d are taken, %q is served, the status is %+v", step.name, s.taken, s.generations["a"], got)
		}
		if problem := folder.State().Entries["b"].Problem; problem != "" {
			t.Errorf("%s: b has a problem: %s", step.name, problem)
		}
	}
	v.swap(t, map[string]string{"a.json": document("g-2"), "b.json": document("g-9")})
	folder.Load()
	s.refuses = nil
	v.swap(t, map[string]string{"a.json": document("g-2"), "b.json": document("g-10")})
	folder.Load()
	if got := folder.State().Entries["a"]; got != (Status{"g-2", ""}) {
		t.Errorf("once nothing stands against it, its status is %+v", got)
	}
	if n := strings.Count(log.String(), "it is served already"); n != 3 {
		t.Errorf("it was logged %d times", n)
	}
}

// TestAFolderThatIsNoVolume is read at every look.
func TestAFolderThatIsNoVolume(t *testing.T) {
	s, v, folder, _ := newServed(t)
	for i, generation := range []string{"g-1", "g-2"} {
		if err := os.WriteFile(filepath.Join(v.dir, "a.json"), []byte(document(generation)), 0o600); err != nil {
			t.Fatal(err)
		}
		folder.Load()
		if s.taken != i+1 || s.generations["a"] != generation {
			t.Errorf("serves %v", s.generations)
		}
	}
	if err := os.Chmod(filepath.Join(v.dir, "a.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(v.dir); err != nil {
		t.Fatal(err)
	}
	folder.Load()
	if state := folder.State(); state.Problem == "" || !slices.Equal(slices.Collect(maps.Keys(state.Entries)), []string{"a"}) || s.generations["a"] != "g-2" {
		t.Errorf("without a folder the state is %+v", state)
	}
}

// TestOneThatCannotBeReadHoldsUpNobody: here it is a folder.
func TestOneThatCannotBeReadHoldsUpNobody(t *testing.T) {
	s, v, folder, _ := newServed(t)
	if err := os.Mkdir(filepath.Join(v.dir, "a.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(v.dir, "b.json"), []byte(document("g-1")), 0o600); err != nil {
		t.Fatal(err)
	}
	folder.Load()
	if entries := folder.State().Entries; s.generations["b"] != "g-1" || !strings.Contains(entries["a"].Problem, "reading the configuration") {
		t.Errorf("serves %v, the state is %+v", s.generations, entries)
	}
}

// TestAListThatCannotBeReadHoldsUpNobody, and ends nobody: here it is a folder.
func TestAListThatCannotBeReadHoldsUpNobody(t *testing.T) {
	s, v, folder, _ := newServed(t)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(v.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.json", document("g-1"))
	write("b.json", document("g-1"))
	write("0.list", "a b")
	folder.Load()
	for _, gone := range []string{"0.list", "b.json"} {
		if err := os.Remove(filepath.Join(v.dir, gone)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(v.dir, "0.list"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(".list", "") // is no list: it has no name
	write("a.json", document("g-2"))
	folder.Load()
	if diff := cmp.Diff(map[string]string{"a": "g-2", "b": "g-1"}, s.generations); diff != "" || folder.State().Problem == "" {
		t.Errorf("the problem is %q (-want +got):\n%s", folder.State().Problem, diff)
	}
}

// TestThereAreNotTooMany documents.
func TestThereAreNotTooMany(t *testing.T) {
	s, v, folder, _ := newServed(t)
	files := map[string]string{}
	for i := range config.MaxEntries + 1 {
		files[fmt.Sprintf("%05d.json", i)] = "{"
	}
	files["00000.json"], files[fmt.Sprintf("%05d.json", config.MaxEntries)] = document("g-1"), document("g-2")
	v.swap(t, files)
	folder.Load()
	if state := folder.State(); len(state.Entries) != config.MaxEntries || !strings.Contains(state.Problem, "more than") || s.taken != 1 {
		t.Errorf("%d entries, %d taken, problem %q", len(state.Entries), s.taken, state.Problem)
	}
}
