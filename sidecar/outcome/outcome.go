// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package outcome has the words for what becomes of a callback after it was verified. The sidecar counts and logs them, and
// tells them to whoever plays WeChat with the token in hand. What a check found is never among them.
package outcome

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Outcome says what became of a verified callback. It is also the label of a metric.
type Outcome string

// The outcomes.
const (
	Answered     Outcome = "answered"     // the app's reply went to WeChat
	Acknowledged Outcome = "acknowledged" // the app has the message, and was too slow: WeChat was told success in its place
	Unavailable  Outcome = "unavailable"  // the app could not be reached until the deadline; WeChat should try again
	BadReply     Outcome = "bad_reply"    // the app answered what must not be passed on
	TimedOut     Outcome = "timed_out"    // as Acknowledged, where WeChat must be told to try again
	Overloaded   Outcome = "overloaded"   // the sidecar had no room for it until the deadline
	URLCheck     Outcome = "url_check"    // the echostr was answered
	Probe        Outcome = "probe"        // it was the operator's, or that of kubectl wechat verify
	Discarded    Outcome = "discarded"    // a rule says that no app gets it
)

// All are the outcomes.
var All = []Outcome{Answered, Acknowledged, Unavailable, BadReply, TimedOut, Overloaded, URLCheck, Probe, Discarded}

// Header is the name of the header that tells the outcome of a request that somebody played.
const Header = "X-Wechat-Outcome"

// Report is what the header tells.
type Report struct {
	Outcome Outcome
	// Failure is why it was not Answered; zero for none.
	Failure Failure
	// Took is how long the app took; zero where none was called.
	Took time.Duration
}

// String is the value of the header: parameters as in RFC 9651, of closed lists and numbers.
func (r Report) String() string {
	value := string(r.Outcome)
	if r.Failure.Cause != "" {
		value += "; cause=" + string(r.Failure.Cause)
	}
	if r.Failure.Number != 0 {
		value += "; number=" + strconv.FormatInt(r.Failure.Number, 10)
	}
	if r.Took != 0 {
		value += "; milliseconds=" + strconv.FormatInt(r.Took.Milliseconds(), 10)
	}
	return value
}

// Parse reads the value of the header. It reports false for one that no sidecar writes.
func Parse(value string) (r Report, ok bool) {
	name, parameters, _ := strings.Cut(value, ";")
	if r.Outcome = Outcome(name); !slices.Contains(All, r.Outcome) {
		return Report{}, false
	}
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		number, err := strconv.ParseInt(value, 10, 32)
		switch {
		case name == "":
		case name == "cause" && Cause(value).known():
			r.Failure.Cause = Cause(value)
		case name == "number" && err == nil:
			r.Failure.Number = number
		case name == "milliseconds" && err == nil:
			r.Took = time.Duration(number) * time.Millisecond
		default:
			return Report{}, false
		}
	}
	return r, true
}

// Explain says what became of the callback, and what to do, each as a clause; both are empty where there is nothing to do.
func (r Report) Explain() (cause, remedy string) {
	const faster = "answer at once and work afterwards, or raise backend.deadline"
	switch r.Outcome {
	case Acknowledged:
		return "the app did not answer until its deadline, and WeChat was told success in its place: what it answers is lost", faster
	case TimedOut:
		return "the app did not answer until its deadline, and WeChat was told to send the message again", faster
	case Overloaded:
		return "the sidecar had no room for the message until the deadline", "raise sidecar.replicas or the limit in sidecar.resources, or make the app faster"
	case Unavailable:
		cause, remedy, _ = r.Failure.explain()
		return "the app could not be called: " + cause, remedy
	case BadReply:
		cause, remedy, called := r.Failure.explain()
		if called {
			cause = "the app took the message and broke off: " + cause
		}
		return cause, remedy
	case Answered, URLCheck, Probe, Discarded:
	}
	return "", ""
}
