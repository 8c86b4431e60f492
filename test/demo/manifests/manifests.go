// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package manifests holds what the demo applies, and the accounts in it. `make try` serves the same accounts.
package manifests

import (
	"embed"
	"strings"
)

// Namespace is where the demo's objects are, and Host stands in the URLs of its accounts.
const (
	Namespace = "wechat-demo"
	Host      = "wx.example.com"
)

// The tokens of the first account's console, before and after the change. A real one is nobody's to read.
const (
	FirstToken  = "DemoToken1"
	SecondToken = "DemoToken2"
)

// The second account, whose messages are encrypted.
const (
	ClubToken = "DemoClubToken"
	ClubKey   = "DemoEncodingAESKey0000000000000000000000000"
	ClubAppID = "wx0000000000000002"
)

// NewsToken is of the third account, which begins on a gateway.
const NewsToken = "DemoNewsToken"

// What the second account's endpoint says of its pods.
const (
	PodsOfItsOwn     = "sidecar:\n    replicas: 1 # as above"
	PodsOfTheGateway = "gateway:\n    name: front"
)

//go:embed *.yaml
var files embed.FS

// Read is one of the files, with ${BUILD}, ${APP_IMAGE} and ${INGRESS_CLASS} as they are.
func Read(name string) string {
	content, err := files.ReadFile(name)
	if err != nil {
		panic(err) // a name that is not in this folder
	}
	return strings.NewReplacer(
		"${CLUB_TOKEN}", ClubToken, "${CLUB_KEY}", ClubKey, "${CLUB_APP_ID}", ClubAppID, "${NEWS_TOKEN}", NewsToken,
	).Replace(string(content))
}

// Secret is that of the first account.
func Secret(token string) string { return strings.ReplaceAll(Read("secret.yaml"), "${TOKEN}", token) }

// Shop is the first account's Secret and endpoint.
func Shop(token string) string { return Secret(token) + "---\n" + Read("endpoint.yaml") }

// Club is the second account's Secret and endpoint, with pods of its own or the gateway's.
func Club(pods string) string { return strings.ReplaceAll(Read("club.yaml"), "${PODS}", pods) }
