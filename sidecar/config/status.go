// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import "time"

// ProcessStatus is the answer of a sidecar's GET /status on its second port: what it says of itself, and of each of its entries.
type ProcessStatus struct {
	// Version is the newest version of the contract that the sidecar reads.
	Version int `json:"version"`
	// Ready says that callbacks are served and more may be sent there.
	Ready bool `json:"ready"`
	// Problem says what is wrong with the folder of the documents, empty if there is nothing to say.
	Problem string `json:"problem,omitempty"`
	// Entries has each entry by its name.
	Entries map[string]Status `json:"entries"`
}

// Status is the answer of a sidecar's GET /status?entry=NAME, and to the operator of the one endpoint that its pods serve.
type Status struct {
	// Generation is the one that is served, empty before the first.
	Generation string `json:"generation"`
	// Problem says why a newer document is not served, empty if there is nothing to say.
	Problem string `json:"problem,omitempty"`
	// Version is the newest version of the contract that the sidecar reads; zero is VersionFirst, of sidecars that did not say.
	Version int `json:"version"`
	// Ready says that callbacks are served and more may be sent there.
	Ready bool `json:"ready"`
	// Used says when WeChat was seen with each accepted generation of the credentials.
	Used map[int64]Use `json:"used,omitempty"`
	// WrongReceiver is nil where none came since this configuration is served.
	WrongReceiver *WrongReceiver `json:"wrongReceiver,omitempty"`
	// Unreached is the last message that reached no app, nil if one reached it since, or none came.
	Unreached *Unreached `json:"unreached,omitempty"`
	// Serials name WeChat Pay's keys that notifications may be signed with now.
	Serials []string `json:"serials,omitempty"`
	// Tap is nil where nobody looks at messages, and none are kept for somebody who will.
	Tap *Tap `json:"tap,omitempty"`
}

// Tap says who looks at an endpoint's messages on one pod, with kubectl wechat listen.
type Tap struct {
	// Open is how many do now, and Until is when the last of them has to end.
	Open  int       `json:"open"`
	Until time.Time `json:"until,omitzero"`
	// TakenUsers is for how many users somebody's computer answers in place of the app.
	TakenUsers int `json:"takenUsers,omitempty"`
	// KeepsUntil is until when messages are kept, zero where none are, and KeptBytes is what they take now.
	KeepsUntil time.Time `json:"keepsUntil,omitzero"`
	KeptBytes  int64     `json:"keptBytes,omitempty"`
}

// Use says when WeChat was seen with one generation of the credentials since the process began: whoever signs with a new token has it
// from the console's form.
type Use struct {
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// Unreached says why a message reached no app until its deadline, and when. The cause is one of outcome.Cause.
type Unreached struct {
	Cause string    `json:"cause"`
	Last  time.Time `json:"last"`
}

// WrongReceiver is the last message that was signed with the token and encrypted with the key, and for an account that the
// configuration does not name: its receiver, and when it came.
type WrongReceiver struct {
	ID   string    `json:"id"`
	Last time.Time `json:"last"`
}
