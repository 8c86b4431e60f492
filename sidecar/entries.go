// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// entries are the accounts by the names of their documents. Whoever loads the folder changes them, and the table follows.
type entries struct {
	served  map[string]*account
	offered map[string]offer
	asks    int         // bytes, of all that are offered
	ended   []*Endpoint // that the table still leads to
}

// offer is an account that may be served from the end of the look on.
type offer struct {
	*account
	pairs []config.Pair
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

// costOf is what an entry takes of the memory whose document has so many bytes.
func costOf(c config.Config, size int) int {
	return config.EntryCost(size, len(c.Rules), len(c.Apps()))
}

var errNoRoom = errors.New("no room for it beside the others: raise the memory limit of these pods, or give the endpoint pods of its own")

// Offer implements reload.Entries. What is offered together takes no more memory than what is served.
func (s *Sidecar) Offer(entry string, document config.Document, size int) error {
	cost := costOf(document.Config, size)
	if s.entries.asks > 0 && s.entries.asks+cost > s.bounds.entries {
		return errNoRoom
	}
	s.entries.asks += cost
	s.entries.offered[entry] = offer{newAccount(document, size), document.Credentials.Pairs}
	return nil
}

// choose says which of the offers cannot be served, and why. They are decided together: each may have what another one gives up. Two
// endpoints cannot have one URL, nor two entries one endpoint: the one that is served goes on. One entry is always served. More are served
// as long as all of them together take no more than the room: the rest of the memory is for messages.
func choose(served map[string]*account, offered map[string]offer, room int) map[string]error {
	refused := refuse(served, offered, room)
	if len(refused) == 0 || len(refused) == len(offered) {
		return refused
	}
	// What stood in the way of one may be another that was refused itself.
	after, again := maps.Clone(served), map[string]offer{}
	for entry, o := range offered {
		if refused[entry] == nil {
			after[entry] = o.account
		} else {
			again[entry] = o
		}
	}
	return choose(after, again, room)
}

// refuse says which of the offers cannot be served if the others are. An entry that is served and refused goes on with what it has, so that
// others may have to be refused for that. Entries that are new come last.
func refuse(served map[string]*account, offered map[string]offer, room int) map[string]error {
	refused := map[string]error{}
	var c claims
	var cost int
	judge := func(entry string) {
		o, others := offered[entry], cost
		if goes := served[entry]; goes != nil {
			others -= goes.cost
		}
		if err := c.against(entry, o.account); err != nil {
			refused[entry] = err
		} else if others > 0 && others+o.cost > room {
			refused[entry] = errNoRoom
		} else {
			c.add(entry, o.account)
			cost = others + o.cost
		}
	}
	entries := slices.Sorted(maps.Keys(offered))
	for before := -1; len(refused) > before; {
		before = len(refused)
		c, cost = newClaims(served, offered, refused), costOfAll(served)
		for _, entry := range entries {
			if served[entry] != nil && refused[entry] == nil {
				judge(entry)
			}
		}
	}
	for _, entry := range entries {
		if served[entry] == nil {
			judge(entry)
		}
	}
	return refused
}

// claims are what only one entry can have: the name of an endpoint, and a URL.
type claims struct {
	names map[string]string // of the entry
	urls  map[callbackURL]string
}

// newClaims are those that the served entries keep.
func newClaims(served map[string]*account, offered map[string]offer, refused map[string]error) claims {
	c := claims{map[string]string{}, map[callbackURL]string{}}
	for entry, a := range served {
		next, changes := offered[entry]
		changes = changes && refused[entry] == nil
		if !changes || next.config.Endpoint == a.config.Endpoint {
			c.names[a.config.Endpoint] = entry
		}
		if !changes || next.at == a.at {
			c.urls[a.at] = entry
		}
	}
	return c
}

func (c claims) add(entry string, a *account) {
	c.names[a.config.Endpoint], c.urls[a.at] = entry, entry
}

// against says who else has what an account needs.
func (c claims) against(entry string, a *account) error {
	if other, known := c.names[a.config.Endpoint]; known && other != entry {
		return fmt.Errorf("%s is served already, as entry %s", a.config.Endpoint, other)
	}
	if other, known := c.urls[a.at]; known && other != entry {
		return fmt.Errorf("the URL is that of entry %s", other)
	}
	return nil
}

func costOfAll(accounts map[string]*account) (cost int) {
	for _, a := range accounts {
		cost += a.cost
	}
	return cost
}

// Drop implements reload.Entries. The endpoint serves until Settle.
func (s *Sidecar) Drop(entry string) {
	if a := s.entries.served[entry]; a != nil {
		delete(s.entries.served, entry)
		s.entries.ended = append(s.entries.ended, a.endpoint)
	}
}

// Settle implements reload.Entries.
func (s *Sidecar) Settle() (refused map[string]error) {
	offered := s.entries.offered
	s.entries.offered, s.entries.asks = map[string]offer{}, 0
	refused = choose(s.entries.served, offered, s.bounds.entries)
	if len(refused) == len(offered) && len(s.entries.ended) == 0 {
		return refused
	}
	maps.DeleteFunc(offered, func(entry string, _ offer) bool { return refused[entry] != nil })
	for entry, o := range offered {
		if before := s.entries.served[entry]; before != nil && before.config.Endpoint == o.config.Endpoint {
			o.belongTo(before.endpoint)
		} else {
			s.Drop(entry)
			o.belongTo(newEndpoint(&s.shared, s.metrics, s.options.Log, o.config.Endpoint))
		}
		s.entries.served[entry] = o.account
	}
	s.table.Store(newTable(maps.Clone(s.entries.served)))
	for _, o := range offered {
		o.endpoint.follow(o.config, o.pairs, o.gatewayKey)
	}
	for _, e := range s.entries.ended {
		e.close()
	}
	s.entries.ended = nil
	return refused
}
