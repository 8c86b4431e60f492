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
// when a document changes, and never changed: whoever looks something up needs no lock. It leads to accounts, so that all that a look has
// changed is served from one moment on.
//
// A host of its own comes before every host, a whole path before one with a placeholder. The table only picks: whether it is the
// endpoint's the gate decides.
type table struct {
	entries  map[string]*account // by the names of their documents
	names    map[string]*account // by the endpoint, NAMESPACE/NAME
	only     *account            // where there is no other
	exact    map[place][]*account
	patterns map[pattern][]*account
	// depth is how many segments of a path may be before a placeholder.
	depth int
}

type (
	// place is a host, empty for every host, and a path without its slash at the end.
	place struct{ host, path string }
	// pattern is a host, and what stands in a path before and behind the placeholder.
	pattern struct{ host, before, after string }
)

func newTable(entries map[string]*account) *table {
	t := &table{entries: entries, names: map[string]*account{}, exact: map[place][]*account{}, patterns: map[pattern][]*account{}}
	// Who asks for more parameters comes first: one that asks for none serves every query.
	byQuery := slices.SortedFunc(maps.Values(entries), func(a, b *account) int {
		return cmp.Or(cmp.Compare(parameters(b), parameters(a)), cmp.Compare(a.config.Endpoint, b.config.Endpoint))
	})
	for _, a := range byQuery {
		if len(entries) == 1 {
			t.only = a
		}
		c := a.config
		t.names[c.Endpoint] = a
		if before, after, found := config.CutPlaceholder(c.Path); found {
			key := pattern{c.Host, before, after}
			t.patterns[key] = append(t.patterns[key], a)
			t.depth = max(t.depth, strings.Count(before, "/"))
		} else {
			key := place{c.Host, c.Path}
			t.exact[key] = append(t.exact[key], a)
		}
		for _, file := range c.DomainFiles {
			key := place{c.Host, "/" + file.Name}
			t.exact[key] = append(t.exact[key], a)
		}
	}
	return t
}

// parameters is how many parameters an account's URL has.
func parameters(a *account) int {
	query, _ := a.config.Parameters() // validated
	return len(query)
}

// trimSlash takes the slash away that a path may have at its end.
func trimSlash(path string) string {
	if len(path) > 1 && path[len(path)-1] == '/' {
		return path[:len(path)-1]
	}
	return path
}

// find returns the account that decides about a request. Where there is only one, it refuses also what is not for it, so that its
// metrics and its log tell of that. Nil is nobody.
func (t *table) find(r *gate.Request) *account {
	if t.only != nil {
		return t.only
	}
	host, _, _ := strings.Cut(r.Host, ":")
	host, path := strings.ToLower(host), trimSlash(r.Path)
	var first *account // refuses what none serves
	for _, host := range [...]string{host, ""} {
		for _, found := range [...][]*account{t.exact[place{host, path}], t.match(host, path)} {
			for _, a := range found {
				if a.serves(r) {
					return a
				}
				first = cmp.Or(first, a)
			}
		}
	}
	return first
}

// named returns the account of an endpoint, NAMESPACE/NAME; nil if there is none.
func (t *table) named(endpoint string) *account { return t.names[endpoint] }

// match finds accounts whose path has a placeholder, which stands for one segment.
func (t *table) match(host, path string) []*account {
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
