// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
)

// accountsIn reads "entry:endpoint/path", one word for each, with a cost of 1 or what stands behind a *.
func accountsIn(text string) map[string]*account {
	accounts := map[string]*account{}
	for word := range strings.FieldsSeq(text) {
		entry, what, _ := strings.Cut(word, ":")
		what, times, many := strings.Cut(what, "*")
		endpoint, path, _ := strings.Cut(what, "/")
		a := &account{config: config.Config{Endpoint: endpoint}, at: callbackURL{path: path}, cost: 1}
		if many {
			_, _ = fmt.Sscan(times, &a.cost)
		}
		accounts[entry] = a
	}
	return accounts
}

// TestALookIsDecidedAsAWhole: there is room for accounts that cost 6.
func TestALookIsDecidedAsAWhole(t *testing.T) {
	for name, test := range map[string]struct {
		served, offered string
		refused         map[string]string
	}{
		"two that are new":                                 {"", "a:A/x b:B/y", nil},
		"two that swap their URLs":                         {"a:A/x b:B/y", "a:A/y b:B/x", nil},
		"three that pass theirs on":                        {"a:A/x b:B/y c:C/z", "a:A/y b:B/z c:C/x", nil},
		"two that swap their endpoints":                    {"a:A/x b:B/y", "a:B/x b:A/y", nil},
		"one that takes what another gives up":             {"a:A/x b:B/y", "a:A/y b:B/z", nil},
		"of two that are new and alike, the first":         {"", "a:A/x b:B/x", map[string]string{"b": "entry a"}},
		"who is served keeps it from who is new":           {"b:B/x", "a:A/x b:B/x", map[string]string{"a": "entry b"}},
		"who is served gets it before who is new":          {"b:B/x c:C/y", "a:A/x b:B/y c:C/x", map[string]string{"a": "entry c"}},
		"a swap with one that does not change":             {"a:A/x b:B/y", "a:A/y", map[string]string{"a": "entry b"}},
		"one whose place is not given up after all":        {"a:A/x b:B/y c:C/z", "a:A/y b:B/z", map[string]string{"a": "entry b", "b": "entry c"}},
		"who is refused holds up nobody":                   {"d:D/w", "a:D/x b:B/x", map[string]string{"a": "D is served already, as entry d"}},
		"what was refused for another that is refused too": {"a:A/x c:C/y d:D/z", "a:E/y b:E/v c:C/z", map[string]string{"a": "entry b", "c": "entry d"}},
		"more than there is room for":                      {"a:A/x*3", "b:B/y*3 c:C/z", map[string]string{"c": "no room"}},
		"one grows by what another gives up":               {"a:A/x*3 b:B/y*3", "a:A/x*5 b:B/y", nil},
		"one alone may cost more":                          {"a:A/x*3", "a:A/x*9", nil},
		"but not beside another":                           {"a:A/x*3 b:B/y", "a:A/x*9", map[string]string{"a": "no room"}},
	} {
		t.Run(name, func(t *testing.T) {
			offered := map[string]offer{}
			for entry, a := range accountsIn(test.offered) {
				offered[entry] = offer{account: a}
			}
			served := accountsIn(test.served)
			refused := choose(served, offered, 6)
			for entry, err := range refused {
				if want := test.refused[entry]; want == "" || !strings.Contains(err.Error(), want) {
					t.Errorf("%s is refused with %q, want %q", entry, err, want)
				}
			}
			if len(refused) != len(test.refused) {
				t.Errorf("refused are %v, want %v", refused, test.refused)
			}
			names, urls, after := map[string]string{}, map[callbackURL]string{}, maps.Clone(served)
			for entry, o := range offered {
				if refused[entry] == nil {
					after[entry] = o.account
				}
			}
			for entry, a := range after {
				names[a.config.Endpoint], urls[a.at] = entry, entry
			}
			if len(names) != len(after) || len(urls) != len(after) {
				t.Errorf("after it %v and %v are served for %d", names, urls, len(after))
			}
		})
	}
}

// TestASwapLeavesNoMomentWithout: somebody serves each of the URLs at every moment, while two endpoints swap them again and again.
func TestASwapLeavesNoMomentWithout(t *testing.T) {
	s := New(Options{ConfigDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	settle := func(paths ...string) {
		for i, path := range paths {
			name := fmt.Sprint("a/", i)
			if err := s.Offer(name, config.Document{Config: config.Config{Endpoint: name, Path: path}}, 0); err != nil {
				t.Fatal(err)
			}
		}
		if refused := s.Settle(); len(refused) > 0 {
			t.Fatal(refused)
		}
	}
	settle("/x", "/y", "/z")
	endpoints := func() map[string]*Endpoint {
		all := map[string]*Endpoint{}
		for entry, a := range s.table.Load().entries {
			all[entry] = a.endpoint
		}
		return all
	}
	before := endpoints()
	over := make(chan struct{})
	var group sync.WaitGroup
	for _, path := range []string{"/x", "/y", "/z"} {
		group.Go(func() {
			r := &gate.Request{Path: path}
			for {
				select {
				case <-over:
					return
				default:
				}
				if a := s.table.Load().find(r); a == nil || !a.serves(r) {
					t.Errorf("nobody serves %s", path)
					return
				}
			}
		})
	}
	for range 100 {
		settle("/y", "/x", "/z")
		settle("/z", "/y", "/x")
		settle("/x", "/y", "/z")
	}
	close(over)
	group.Wait()
	if !maps.Equal(before, endpoints()) {
		t.Error("what is remembered of an endpoint is lost with a new URL")
	}
}

// TestWhatASwapOfEndpointsLeaves: two entries that swap the endpoints which they are for have what is theirs, and nothing of the other's.
func TestWhatASwapOfEndpointsLeaves(t *testing.T) {
	s := New(Options{ConfigDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	for _, names := range [][]string{{"a/one", "a/two"}, {"a/two", "a/one"}} {
		for entry, name := range names {
			if err := s.Offer(fmt.Sprint(entry), config.Document{Config: config.Config{Endpoint: name, Path: "/" + name}}, 0); err != nil {
				t.Fatal(err)
			}
		}
		if refused := s.Settle(); len(refused) > 0 {
			t.Fatal(refused)
		}
	}
	got := map[string]string{}
	for entry, a := range s.table.Load().entries {
		got[entry] = a.endpoint.name
	}
	if diff := cmp.Diff(map[string]string{"0": "a/two", "1": "a/one"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	families, err := s.metrics.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "wechat_sidecar_bindings" && len(family.GetMetric()) != 2 {
			t.Errorf("there are metrics of %d endpoints", len(family.GetMetric()))
		}
	}
}
