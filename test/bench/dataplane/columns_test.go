//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// TestNames wants names that differ, and that a list with commas can hold.
func TestNames(t *testing.T) {
	known := map[string]bool{groupMain: true, groupFloods: true, groupGrowth: true}
	for _, name := range append(names(columns, func(c column) string { return c.name }), names(peers, func(p peer) string { return p.name })...) {
		if known[name] || strings.ContainsAny(name, ", /'") {
			t.Errorf("%q is there twice, or has a letter that it should not have", name)
		}
		known[name] = true
	}
}

func TestParse(t *testing.T) {
	type chosen struct{ Peers, Columns []string }
	for name, test := range map[string]struct {
		args    []string
		want    chosen
		refused string
	}{
		"names, in the order of the tables": {[]string{"-peers=sidecar,nginx", "-columns=refused,post-1"}, chosen{[]string{"nginx", "sidecar"}, []string{"post-1", "refused"}}, ""},
		"a group and a name":                {[]string{"-peers=nginx", "-columns=pairs-1,flood-elements"}, chosen{[]string{"nginx"}, []string{"flood-elements", "pairs-1"}}, ""},
		"the usual columns": {[]string{"-peers=nginx"}, chosen{[]string{"nginx"},
			[]string{"post-1", "post-32", "post-128", "paced", "url-check", "refused", "envelope", "decrypt", "repeat"}}, ""},
		"another sidecar":             {[]string{"-peers=nginx", "-before=bin/old", "-columns=post-1"}, chosen{[]string{"nginx", before}, []string{"post-1"}}, ""},
		"a peer that there is not":    {[]string{"-peers=nginx,apache"}, chosen{}, "there is no apache; there are nginx, nginx-lua"},
		"a column that there is not":  {[]string{"-columns=post-2"}, chosen{}, "there is no post-2; there are post-1"},
		"no round":                    {[]string{"-rounds=0"}, chosen{}, "-rounds must be 1"},
		"no time":                     {[]string{"-seconds=0"}, chosen{}, "-seconds 0.1"},
		"a time that is no number":    {[]string{"-seconds=NaN"}, chosen{}, "-seconds 0.1"},
		"words that are left, no use": {[]string{"-peers=nginx", "post-32"}, chosen{}, "unexpected post-32"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := parse(test.args)
			if (err == nil) != (test.refused == "") || err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Fatalf("error %v, want %q", err, test.refused)
			}
			if err != nil {
				return
			}
			got := chosen{names(s.peers, func(p peer) string { return p.name }), names(s.columns, func(c column) string { return c.name })}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("others are chosen (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDocuments: the sidecar takes what it is given in every column.
func TestDocuments(t *testing.T) {
	for _, c := range columns {
		document := documentOf(c)
		if err := document.Validate(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.kind.Size > 0 && c.kind.Size > 190<<10 {
			t.Errorf("%s: a message of %d bytes is too long for an envelope", c.name, c.kind.Size)
		}
		if pairs := document.Credentials.Pairs; pairs[len(pairs)-1].Token != account.Token {
			t.Errorf("%s: the last pair is not the account's", c.name)
		}
	}
	if got := len(documentOf(column{sidecar: setup{pairs: config.MaxPairs}}).Credentials.Pairs); got != config.MaxPairs {
		t.Errorf("%d pairs", got)
	}
}

// TestWhatReachesTheApp, of ten requests.
func TestWhatReachesTheApp(t *testing.T) {
	byName := func(name string) column {
		found, err := choose(name, columns, func(c column) string { return c.name })
		if err != nil {
			t.Fatal(err)
		}
		return found[0]
	}
	got := map[string][]int{}
	for _, p := range peers {
		for _, name := range []string{"post-32", "url-check", "refused", "repeat", "envelope"} {
			c, n := byName(name), -1
			if p.does(c) {
				n = p.atApp(c, 3000)
			}
			got[p.name] = append(got[p.name], n)
		}
	}
	want := map[string][]int{
		"nginx":              {3000, 3000, 3000, 3000, 3000}, // verifies nothing
		"nginx-lua":          {3000, 0, 0, 3000, 3000},
		"nginx-njs":          {3000, 0, 0, 3000, 3000},
		"haproxy":            {3000, 0, 0, 3000, 3000},
		"nginx-auth-request": {3000, 3000, 0, 3000, -1}, // sees no body
		"traefik":            {3000, 3000, 0, 3000, -1},
		"httputil":           {3000, 0, 0, 3000, 3000},
		"fasthttp":           {3000, 0, 0, 3000, 3000},
		"sdk":                {0, 0, 0, 0, -1}, // is the app
		"sidecar":            {3000, 0, 0, 1000, 3000},
		"sidecar-1000":       {3000, 0, 0, 1000, 3000},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("another number (-want +got):\n%s", diff)
	}
}
