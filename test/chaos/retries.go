// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package chaos sends numbered messages as WeChat does, with its further tries, while something fails, and accounts for each of them: how
// often the app saw it, and what WeChat was told. Forged messages are sent beside them.
//
// The faults are made elsewhere: those of a cluster by test/e2e, those of one process by test/soak.
package chaos

import (
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// Outcome is what became of one try of a message.
type Outcome int

// The outcomes.
const (
	Taken   Outcome = iota // answered with 200
	Refused                // answered with another status
	Broken                 // no connection, or one that ended before the answer was whole
	Silent                 // no whole answer within the time after which WeChat hangs up
)

// Model is how WeChat sends a message again. No document tells all of it.
type Model struct {
	Name string
	// Pause is between a try that was refused or broken, and the next one.
	Pause time.Duration
}

// The two models. After silence both try again at once, which is 5 s after the last try began.
var (
	// Prompt is what a published access log shows: a message that was answered with 201 came three more times within a second.
	Prompt = Model{Name: "A", Pause: 300 * time.Millisecond}
	// Patient waits after each answer as long as after silence.
	Patient = Model{Name: "B", Pause: caller.Timeout}
)

// Tries of a message in all. A silent one ends the message sooner than a refused one.
const (
	silentTries  = caller.Tries
	refusedTries = 1 + 3
)

// Next decides after the last of so many tries of a message: how long to wait for another one, and whether there is another.
func (m Model) Next(tries int, last Outcome) (pause time.Duration, again bool) {
	switch last {
	case Taken:
		return 0, false
	case Silent:
		return 0, tries < silentTries
	default:
		return m.Pause, tries < refusedTries
	}
}
