// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package reload keeps what a sidecar serves in step with the documents of its folder, without a restart.
//
// Each document is taken as a whole and only when it is valid; until then, and if it breaks, the last good one goes on serving, and the
// problem is told on /status and in a metric. One document never holds up another.
//
// A document that is gone goes on too: whoever deletes a Secret must not stop an account. It ends where a list says so. A list is a
// file beside the documents that names those which come with it, and a Secret holds both: one that lost its Secret lost its list.
package reload

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Interval is how often the folder is looked at. Where it is a projected volume, that is one system call as long as nothing has
// changed; elsewhere every file is read, about 15 µs each. A notification from the kernel would save that and bring the traps of
// watching through symbolic links.
const Interval = 250 * time.Millisecond

// Entries serve documents. The name of an entry is that of its file, without the suffix.
type Entries interface {
	// Offer asks for a document of so many bytes to be served. Its error says that it cannot even be considered.
	Offer(entry string, document config.Document, size int) error
	// Drop serves nothing more for an entry.
	Drop(entry string)
	// Settle ends a look at the folder, and serves what was offered in it. It returns what stands against those that it cannot serve; what
	// was served before goes on.
	Settle() (refused map[string]error)
}

// Folder watches the documents of a folder.
type Folder struct {
	dir     string
	entries Entries
	log     *slog.Logger

	data    string // where the volume's link led at the last whole look
	files   map[string]*file
	problem error
	state   atomic.Pointer[State]
}

// file is a document as it was looked at last.
type file struct {
	hash   [sha256.Size]byte // of the last attempt; zero if there was none
	list   string            // that has named it
	status Status
}

// State is what is served and what is wrong. It is not changed any more.
type State struct {
	// Entries are all that were ever looked at and that have not ended.
	Entries map[string]Status
	// Listed says that a list is there: the documents beside it are all that there are, even if there are none.
	Listed bool
	// Problem says why the folder cannot be read, or that it is empty; empty if there is nothing to say.
	Problem string
}

// Status is what is served of one entry and what is wrong with it.
type Status struct {
	// Generation is the one that is served, empty before the first.
	Generation string
	// Problem says why a newer document is not served, empty if there is nothing to say.
	Problem string
}

// New returns a Folder whose documents are given to the entries.
func New(dir string, entries Entries, log *slog.Logger) *Folder {
	f := &Folder{dir: dir, entries: entries, log: log, files: map[string]*file{}}
	f.state.Store(&State{})
	return f
}

// State returns what is served and what is wrong. It is safe for concurrent use.
func (f *Folder) State() *State { return f.state.Load() }

// Watch looks at the folder at every interval until ctx is done.
func (f *Folder) Watch(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f.Load()
		}
	}
}

// Load looks at the folder once. It does nothing if all is as it was. It is not safe for concurrent use.
func (f *Folder) Load() {
	dir, data := f.dir, ""
	if link, err := os.Readlink(filepath.Join(f.dir, "..data")); err == nil {
		// A kubelet swaps this link as a whole, and the names in the folder itself only after that.
		data = link
		dir = filepath.Join(f.dir, filepath.Base(link))
	}
	if data != "" && data == f.data {
		return
	}
	found, err := look(dir)
	if err != nil {
		if f.report(err) {
			f.publish(f.State().Listed)
		}
		return
	}
	listed := len(found.lists) > 0
	changed, whole := f.take(found)
	if f.report(found.err) || changed || listed != f.State().Listed {
		f.publish(listed)
	}
	if whole && found.err == nil {
		f.data = data
	}
}

// folder is what was found in one look: the entries that have a document, and whom each list names.
type folder struct {
	dir     string
	entries []string
	lists   map[string][]string
	err     error // what is wrong with the folder as a whole, or with a list
}

// look reads a folder, but not its documents.
func look(dir string) (folder, error) {
	found := folder{dir: dir, lists: map[string][]string{}}
	files, err := os.ReadDir(dir)
	if err != nil {
		return found, fmt.Errorf("opening the configuration: %w", err)
	}
	for _, file := range files {
		if entry, is := strings.CutSuffix(file.Name(), config.DocumentSuffix); is {
			found.entries = append(found.entries, entry)
		}
		if list, is := strings.CutSuffix(file.Name(), config.ListSuffix); is && list != "" {
			data, err := readFile(filepath.Join(dir, file.Name()))
			if err != nil {
				found.err = err // what the list has named goes on
				continue
			}
			found.lists[list] = strings.Fields(string(data))
		}
	}
	slices.Sort(found.entries) // the suffix sorts otherwise
	switch {
	case len(found.entries) > config.MaxEntries:
		found.entries = found.entries[:config.MaxEntries]
		found.err = fmt.Errorf("more than %d documents in the folder of the configuration: the others are not served", config.MaxEntries)
	case len(found.entries) == 0 && len(found.lists) == 0 && found.err == nil:
		found.err = fmt.Errorf("no document in the folder of the configuration: it holds no file *%s", config.DocumentSuffix)
	}
	return found, nil
}

// take gives the entries what has changed. It reports whether there was something, and whether every document could be read.
func (f *Folder) take(found folder) (changed, whole bool) {
	for list, names := range found.lists {
		for _, entry := range names {
			if known := f.files[entry]; known != nil {
				known.list = list
			}
		}
	}
	for entry, known := range f.files {
		if _, there := slices.BinarySearch(found.entries, entry); !there {
			changed = f.miss(entry, known, found.lists) || changed
		}
	}
	whole = true
	var offers []offer
	for _, entry := range found.entries {
		now := f.offerOne(entry, found)
		changed, whole = changed || now.changed, whole && !now.unread
		if now.offer != nil {
			offers = append(offers, *now.offer)
		}
	}
	if !changed && len(offers) == 0 {
		return false, whole
	}
	refused := f.entries.Settle()
	for _, o := range offers {
		changed = f.settle(o, refused[o.entry]) || changed
	}
	return changed, whole
}

// miss ends an entry whose document is gone, if a list says so. It reports whether something has changed.
func (f *Folder) miss(entry string, known *file, lists map[string][]string) bool {
	names, listed := lists[known.list]
	if !listed || slices.Contains(names, entry) {
		known.hash = [sha256.Size]byte{}
		return f.note(entry, known, Status{known.status.Generation, "the document is gone"})
	}
	f.entries.Drop(entry)
	delete(f.files, entry)
	f.log.Info("serving an entry no more", "entry", entry)
	return true
}

// offer is a document that was offered to the entries.
type offer struct {
	entry      string
	hash       [sha256.Size]byte
	generation string
}

// result is what became of a document: what is told of it has changed, it could not be read, it was offered.
type result struct {
	changed, unread bool
	offer           *offer
}

// offerOne offers a document, if it is another one than before.
func (f *Folder) offerOne(entry string, found folder) result {
	known := f.files[entry]
	if known == nil {
		known = &file{list: listOf(entry, found.lists)}
		f.files[entry] = known
	}
	serving := known.status.Generation
	data, err := readFile(filepath.Join(found.dir, entry+config.DocumentSuffix))
	if err != nil {
		known.hash = [sha256.Size]byte{}
		return result{changed: f.note(entry, known, Status{serving, err.Error()}), unread: true}
	}
	hash := sha256.Sum256(data)
	if hash == known.hash {
		return result{}
	}
	parsed, err := config.ParseFile(entry+config.DocumentSuffix, data)
	if err != nil {
		known.hash = hash
		return result{changed: f.note(entry, known, Status{serving, err.Error()})}
	}
	o := offer{entry, hash, parsed.Generation}
	if err := f.entries.Offer(entry, parsed, len(data)); err != nil {
		return result{changed: f.settle(o, err)}
	}
	return result{offer: &o}
}

// settle remembers what became of an offer, and what stood against it. It reports whether something has changed.
func (f *Folder) settle(o offer, refused error) bool {
	known := f.files[o.entry]
	if refused != nil {
		known.hash = [sha256.Size]byte{} // the document before may come back
		return f.note(o.entry, known, Status{known.status.Generation, refused.Error()})
	}
	known.hash = o.hash
	f.note(o.entry, known, Status{Generation: o.generation})
	return true
}

func listOf(entry string, lists map[string][]string) string {
	for list, names := range lists {
		if slices.Contains(names, entry) {
			return list
		}
	}
	return ""
}

// note remembers what became of an entry, and logs it once. It reports whether that is news.
func (f *Folder) note(entry string, known *file, after Status) bool {
	before := known.status
	known.status = after
	switch {
	case after.Problem == "":
		f.log.Info("serving configuration", "entry", entry, "generation", after.Generation)
	case after != before:
		f.log.Error("keeping the last good configuration", "entry", entry, "serving", after.Generation, "problem", after.Problem)
	}
	return after != before
}

// report remembers what is wrong with the folder itself, and logs it once. It reports whether that is news.
func (f *Folder) report(err error) bool {
	before := f.problem
	if f.problem = err; err == nil || before != nil && before.Error() == err.Error() {
		return (before == nil) != (err == nil)
	}
	f.log.Error("keeping the last good configuration", "problem", err.Error())
	return true
}

func (f *Folder) publish(listed bool) {
	state := &State{Entries: map[string]Status{}, Listed: listed}
	for entry, known := range f.files {
		state.Entries[entry] = known.status
	}
	if f.problem != nil {
		state.Problem = f.problem.Error()
	}
	f.state.Store(state)
}

// readFile reads at most what config accepts, and one byte more, which config then refuses.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the configuration: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, config.MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return data, nil
}
