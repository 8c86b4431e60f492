// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"fmt"
	"maps"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// entries are the endpoints by the names of their documents, and who has which URL. Whoever loads the folder changes them.
type entries struct {
	endpoints map[string]*Endpoint
	names     map[string]string      // of the entry, by the endpoint's name
	urls      map[callbackURL]string // of the entry
	costs     map[string]int         // by entry
	cost      int                    // of all
}

// callbackURL is what two endpoints cannot both have.
type callbackURL struct{ host, path, query string }

func urlOf(c config.Config) callbackURL {
	return callbackURL{strings.ToLower(c.Host), trimSlash(c.Path), c.Query}
}

// costOf is what an entry takes of the memory whose document has so many bytes: its text, as read and in parts, its keys and its metrics.
// Bytes; a test measures it.
func costOf(size int) int { return 12<<10 + 2*size }

// Take implements reload.Entries. Two endpoints cannot have one URL, nor two entries one endpoint: the one that is served goes on. One
// entry is always served. More are served as long as all of them together stay within bounds.entries: the rest of the memory is for
// messages.
func (s *Sidecar) Take(entry string, document config.Document, size int) error {
	name, at := document.Endpoint, urlOf(document.Config)
	if other, known := s.entries.names[name]; known && other != entry {
		return fmt.Errorf("%s is served already, as entry %s", name, other)
	}
	if other, known := s.entries.urls[at]; known && other != entry {
		return fmt.Errorf("the URL is that of entry %s", other)
	}
	e, cost := s.entries.endpoints[entry], costOf(size)
	if others := s.entries.cost - s.entries.costs[entry]; others > 0 && others+cost > s.bounds.entries {
		return fmt.Errorf("no room for it beside %d others: raise the memory limit of these pods, or give the endpoint pods of its own", len(s.entries.endpoints))
	}
	switch {
	case e == nil:
		e = newEndpoint(&s.shared, s.metrics, s.options.Log, name)
	case e.name != name:
		s.Drop(entry)
		e = newEndpoint(&s.shared, s.metrics, s.options.Log, name)
	default:
		delete(s.entries.urls, urlOf(e.account.Load().config))
	}
	e.take(document)
	s.entries.endpoints[entry], s.entries.names[name], s.entries.urls[at] = e, entry, entry
	s.entries.cost += cost - s.entries.costs[entry]
	s.entries.costs[entry] = cost
	return nil
}

// Drop implements reload.Entries.
func (s *Sidecar) Drop(entry string) {
	e := s.entries.endpoints[entry]
	if e == nil {
		return
	}
	delete(s.entries.endpoints, entry)
	delete(s.entries.names, e.name)
	delete(s.entries.urls, urlOf(e.account.Load().config))
	s.entries.cost -= s.entries.costs[entry]
	delete(s.entries.costs, entry)
	e.close()
}

// Settle implements reload.Entries.
func (s *Sidecar) Settle() {
	apps := 0
	for _, e := range s.entries.endpoints {
		apps += e.account.Load().config.Apps()
	}
	s.backend.Share(apps)
	s.table.Store(newTable(maps.Clone(s.entries.endpoints)))
}
