// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"fmt"
	"maps"
	"net/url"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// entries are the endpoints by the names of their documents. Whoever loads the folder changes them.
type entries struct {
	endpoints map[string]*Endpoint
	names     map[string]string      // of the entry, by the endpoint's name
	urls      map[callbackURL]string // of the entry
	cost      int                    // of all
	ended     []*Endpoint            // that the table still leads to
}

// callbackURL is what two endpoints cannot both have. Two ways to write one URL are equal.
type callbackURL struct{ host, path, query string }

func urlOf(c config.Config) callbackURL {
	oneWay := strings.NewReplacer(config.PlaceholderCorpID, config.PlaceholderAppID)
	parameters, _ := c.Parameters() // validated
	query := url.Values{}
	for _, p := range parameters {
		query.Add(p.Name, oneWay.Replace(p.Value))
	}
	return callbackURL{c.Host, oneWay.Replace(c.Path), query.Encode()}
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
	e, others := s.entries.endpoints[entry], s.entries.cost
	if e != nil {
		others -= e.cost
	}
	if others > 0 && others+costOf(size) > s.bounds.entries {
		return fmt.Errorf("no room for it beside %d others: raise the memory limit of these pods, or give the endpoint pods of its own", len(s.entries.endpoints))
	}
	if e != nil && e.name != name {
		s.Drop(entry)
		e = nil
	}
	if e == nil {
		e = newEndpoint(&s.shared, s.metrics, s.options.Log, name)
	} else {
		delete(s.entries.urls, urlOf(e.account.Load().config))
	}
	e.take(document)
	e.cost = costOf(size)
	s.entries.endpoints[entry], s.entries.names[name], s.entries.urls[at], s.entries.cost = e, entry, entry, others+e.cost
	return nil
}

// Drop implements reload.Entries. The endpoint serves until Settle.
func (s *Sidecar) Drop(entry string) {
	e := s.entries.endpoints[entry]
	if e == nil {
		return
	}
	delete(s.entries.endpoints, entry)
	delete(s.entries.names, e.name)
	delete(s.entries.urls, urlOf(e.account.Load().config))
	s.entries.cost -= e.cost
	s.entries.ended = append(s.entries.ended, e)
}

// Settle implements reload.Entries.
func (s *Sidecar) Settle() {
	s.table.Store(newTable(maps.Clone(s.entries.endpoints)))
	for _, e := range s.entries.ended {
		e.close()
	}
	s.entries.ended = nil
}
