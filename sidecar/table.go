// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
)

// table says whose a request is, by its host, its path and, where several endpoints have both, by the query of their URLs. It is made anew
// when one of these changes, and never changed: whoever looks something up needs no lock.
//
// A host of its own comes before every host, a whole path before one with a placeholder. The table only picks: whether it is the
// endpoint's the gate decides.
type table struct {
	entries  map[string]*Endpoint // by the names of their documents
	only     *Endpoint            // where there is no other
	exact    map[place][]*Endpoint
	patterns map[pattern][]*Endpoint
	// depth is how many segments of a path may be before a placeholder.
	depth int
}

type (
	// place is a host, empty for every host, and a path without its slash at the end.
	place struct{ host, path string }
	// pattern is a host, and what stands in a path before and behind the placeholder.
	pattern struct{ host, before, after string }
)

func newTable(entries map[string]*Endpoint) *table {
	t := &table{entries: entries, exact: map[place][]*Endpoint{}, patterns: map[pattern][]*Endpoint{}}
	// Who asks for more parameters comes first: one that asks for none serves every query.
	byQuery := slices.SortedFunc(maps.Values(entries), func(a, b *Endpoint) int {
		return cmp.Or(cmp.Compare(parameters(b), parameters(a)), cmp.Compare(a.name, b.name))
	})
	for _, e := range byQuery {
		if len(entries) == 1 {
			t.only = e
		}
		c := e.account.Load().config
		if before, after, found := config.CutPlaceholder(c.Path); found {
			key := pattern{c.Host, before, after}
			t.patterns[key] = append(t.patterns[key], e)
			t.depth = max(t.depth, strings.Count(before, "/"))
		} else {
			key := place{c.Host, c.Path}
			t.exact[key] = append(t.exact[key], e)
		}
		for _, file := range c.DomainFiles {
			key := place{c.Host, "/" + file.Name}
			t.exact[key] = append(t.exact[key], e)
		}
	}
	return t
}

// parameters is how many parameters an endpoint's URL has.
func parameters(e *Endpoint) int {
	query, _ := e.account.Load().config.Parameters() // validated
	return len(query)
}

// trimSlash takes the slash away that a path may have at its end.
func trimSlash(path string) string {
	if len(path) > 1 && path[len(path)-1] == '/' {
		return path[:len(path)-1]
	}
	return path
}

// find returns the endpoint that decides about a request. Where there is only one, it refuses also what is not for it, so that its
// metrics and its log tell of that. Nil is nobody.
func (t *table) find(r *gate.Request) *Endpoint {
	if t.only != nil {
		return t.only
	}
	host, _, _ := strings.Cut(r.Host, ":")
	host, path := strings.ToLower(host), trimSlash(r.Path)
	var first *Endpoint // refuses what none serves
	for _, host := range [...]string{host, ""} {
		for _, found := range [...][]*Endpoint{t.exact[place{host, path}], t.match(host, path)} {
			for _, e := range found {
				if e.account.Load().serves(r) {
					return e
				}
				first = cmp.Or(first, e)
			}
		}
	}
	return first
}

// match finds endpoints whose path has a placeholder, which stands for one segment.
func (t *table) match(host, path string) []*Endpoint {
	start := 0
	for range t.depth {
		slash := strings.IndexByte(path[start:], '/')
		if slash < 0 {
			return nil
		}
		start += slash + 1
		end := len(path)
		if next := strings.IndexByte(path[start:], '/'); next >= 0 {
			end = start + next
		}
		if found := t.patterns[pattern{host, path[:start], path[end:]}]; found != nil && end > start {
			return found
		}
	}
	return nil
}
