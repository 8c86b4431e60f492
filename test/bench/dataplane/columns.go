//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/test/bench/dataplane/load"
	"github.com/wechatendpoint/wechatendpoint/test/hostile"
)

// Paths. Each is an endpoint of its own, which verifies in its own way.
const (
	plaintextPath = "/weixin"
	envelopePath  = "/envelope" // the signature covers the envelope, which goes to the app as it is
	decryptPath   = "/decrypt"  // the app gets the message of the envelope
)

// column is one kind of traffic.
type column struct {
	name, group string
	kind        load.Kind
	connections int
	rate        int            // requests per second; 0 is as many as are answered
	expected    int            // how many are prepared for a second
	flood       *hostile.Flood // comes beside; nil for none
	sidecarOnly bool
	sidecar     setup
}

// setup is how the sidecar is set up otherwise than by default.
type setup struct {
	pairs     int // accepted credentials, of which the last one signs
	rules     int // of which none matches
	endpoints int
	earlier   int // messages that it got before
	taps      int // that are open, and read messages
}

// Groups of columns.
const (
	groupMain   = "main"
	groupFloods = "floods"
	groupGrowth = "growth"
)

// mainColumns are what everybody does.
var mainColumns = []column{
	{name: "post-1", kind: load.Kind{Path: plaintextPath}, connections: 1, expected: 15000},
	{name: "post-32", kind: load.Kind{Path: plaintextPath}, connections: 32, expected: 45000},
	{name: "post-128", kind: load.Kind{Path: plaintextPath}, connections: 128, expected: 45000},
	{name: "paced", kind: load.Kind{Path: plaintextPath}, connections: 32, rate: 3000, expected: 3000},
	{name: "url-check", kind: load.Kind{Path: plaintextPath, URLCheck: true}, connections: 32, expected: 80000},
	{name: "refused", kind: load.Kind{Path: plaintextPath, Forged: true}, connections: 32, expected: 80000},
	{name: "envelope", kind: load.Kind{Path: envelopePath, Encrypted: true}, connections: 32, expected: 40000},
	{name: "decrypt", kind: load.Kind{Path: decryptPath, Encrypted: true}, connections: 32, expected: 40000},
	{name: "repeat", kind: load.Kind{Path: plaintextPath, Times: 3}, connections: 32, expected: 20000},
}

// columns are all, in the order of the tables.
var columns = slices.Concat(inGroup(groupMain, mainColumns), inGroup(groupFloods, floodColumns()), inGroup(groupGrowth, growthColumns()))

func inGroup(group string, all []column) []column {
	for i := range all {
		all[i].group = group
	}
	return all
}

// floodColumns are of what strangers send. Beside each flood come a hundred messages of WeChat's in a second.
func floodColumns() []column {
	var found []column
	for _, flood := range hostile.Floods(decryptPath) {
		found = append(found, column{
			name: "flood-" + strings.NewReplacer(" ", "-", ",", "", "'", "").Replace(flood.Name), kind: load.Kind{Path: decryptPath, Encrypted: true}, connections: 32, rate: 100, expected: 100, flood: &flood,
		})
	}
	return found
}

// growthColumns are one row for each thing that can be more.
func growthColumns() []column {
	var found []column
	grow := func(what string, numbers []int, set func(c *column, n int)) {
		for _, n := range numbers {
			c := column{name: fmt.Sprint(what, "-", n), kind: load.Kind{Path: plaintextPath}, connections: 32, expected: 45000}
			set(&c, n)
			found = append(found, c)
		}
	}
	grow("connections", []int{1, 4, 16, 64, 256}, func(c *column, n int) { c.connections = n })
	grow("body", []int{300, 2000, 8000, 32000, 128000}, func(c *column, n int) {
		c.kind = load.Kind{Path: decryptPath, Encrypted: true, Size: n}
		c.expected = min(20000, 200_000_000/n)
	})
	alone := func(what string, numbers []int, set func(s *setup, n int)) {
		grow(what, numbers, func(c *column, n int) { c.sidecarOnly = true; set(&c.sidecar, n) })
	}
	alone("pairs", []int{1, 2, 4}, func(s *setup, n int) { s.pairs = n })
	alone("rules", []int{0, 8, 32}, func(s *setup, n int) { s.rules = n })
	alone("endpoints", []int{1, 10, 100, 1000, 4000}, func(s *setup, n int) { s.endpoints = n })
	alone("remembered", []int{0, 10000, 30000, 100000}, func(s *setup, n int) { s.earlier = n })
	grow("taps", []int{0, 1, 4}, func(c *column, n int) { c.sidecarOnly, c.rate, c.expected, c.sidecar.taps = true, 1000, 1000, n })
	return found
}

// statuses returns which statuses are right in the column, from a peer that verifies or from one that does not.
func (c column) statuses(verifies bool) []int {
	if c.kind.Forged && verifies {
		return []int{http.StatusUnauthorized, http.StatusForbidden}
	}
	return []int{http.StatusOK}
}
