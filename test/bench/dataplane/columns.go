//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"

	"github.com/wechatendpoint/wechatendpoint/test/bench/dataplane/load"
)

// The paths of the URL, of which each is verified in another way.
const (
	plaintextPath = "/weixin"
	envelopePath  = "/envelope" // the signature covers the envelope, which goes to the app as it is
	decryptPath   = "/decrypt"  // the app gets the message of the envelope
)

// column is one kind of traffic.
type column struct {
	name        string
	kind        load.Kind
	connections int
	rate        int // requests per second; 0 is as many as are answered
	expected    int // how many are prepared for a second
}

// columns in the order of the table.
var columns = []column{
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

// statuses are those of right answers, of a peer that verifies or not.
func (c column) statuses(verifies bool) []int {
	if c.kind.Forged && verifies {
		return []int{http.StatusUnauthorized, http.StatusForbidden}
	}
	return []int{http.StatusOK}
}
