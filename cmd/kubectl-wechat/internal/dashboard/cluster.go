// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"net"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// Cluster is what the page shows and does, with the rights of the caller. What it says is in the language of the call, and holds no token and
// no key. Its errors are for people, in both languages. It is safe for concurrent use.
type Cluster interface {
	// List returns all endpoints and gateways that the caller may list.
	List(context.Context, text.Language) List
	// Show returns what is known of one of them.
	Show(context.Context, text.Language, Ref) (Object, error)
	// Pods returns the pods that serve it, with the port of their metrics.
	Pods(context.Context, Ref) ([]Pod, error)
	// Send plays WeChat: it sends a test message to an endpoint and says what came back.
	Send(context.Context, text.Language, Ref, Message) (Trip, error)
	// Tail hands over what becomes of an endpoint's callbacks as they come, one after the other, until the context is done. No message is among
	// it, and no id of a user.
	Tail(context.Context, text.Language, Ref, func(Tell)) error
}

// Dial connects to a port of a pod, as kubectl port-forward does, without opening a port of this computer.
type Dial func(ctx context.Context, pod Pod) (net.Conn, error)

// Ref names an endpoint or a gateway.
type Ref struct {
	// Kind is WeChatEndpoint or WeChatGateway.
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// Kinds of what the page shows.
const (
	KindEndpoint = "WeChatEndpoint"
	KindGateway  = "WeChatGateway"
)

// List is what there is.
type List struct {
	// Namespace is the one that is looked at, empty for all.
	Namespace string `json:"namespace"`
	// Objects are summaries, as kubectl wechat status -o json prints them.
	Objects []any `json:"objects"`
	// Unread says what could not be listed, and why.
	Unread []string `json:"unread"`
}

// Object is what is known of an endpoint or a gateway.
type Object struct {
	// Summary is what kubectl wechat status -o json prints.
	Summary any `json:"summary"`
	// Console is what to enter on which page of WeChat's console; nil for a gateway.
	Console *Console `json:"console,omitempty"`
	// Credentials are the generations of the token and key, newest first.
	Credentials []Generation `json:"credentials"`
	// Scenarios are what can be sent to an endpoint, the default first. None can be while the URL holds a placeholder.
	Scenarios []string `json:"scenarios"`
	// Command is the status command for the same object.
	Command string `json:"command"`
}

// Console is what to enter in which order, and whether it is too early.
type Console struct {
	Steps []Step `json:"steps"`
	// Ready says that WeChat's check would pass by the word of the operator. Verdict says what to do then, or what is missing.
	Ready   bool   `json:"ready"`
	Verdict string `json:"verdict"`
	Do      string `json:"do,omitempty"`
}

// Step is a field of the console, or a place to go to.
type Step struct {
	// Action is what to do with it: enter, compare, choose and others, in the language of the page.
	Action string `json:"action"`
	// Field is the field's name in the console; empty where there is none.
	Field string `json:"field,omitempty"`
	// Value is what belongs there. For a token or key it is empty: Command prints it, and Where says what holds it.
	Value   string `json:"value,omitempty"`
	Command string `json:"command,omitempty"`
	Where   string `json:"where,omitempty"`
}

// Generation is one set of credentials. Times are in RFC 3339, empty where they are not known.
type Generation struct {
	Number    int64  `json:"number"`
	Newest    bool   `json:"newest"`
	Lost      bool   `json:"lost,omitempty"`
	Since     string `json:"since,omitempty"`
	Until     string `json:"until,omitempty"`
	FirstUsed string `json:"firstUsed,omitempty"`
	LastUsed  string `json:"lastUsed,omitempty"`
}

// Pod is a pod that serves, with the port of its metrics.
type Pod struct {
	Namespace, Name string
	Port            uint16
}

// Message is what the page asks to send.
type Message struct {
	// Scenario is one of the Object's Scenarios; empty is the first.
	Scenario string `json:"scenario"`
	// Text is what the user writes, where a user does. At most 600 characters.
	Text string `json:"text"`
}

// Trip is what became of a test message.
type Trip struct {
	// Message says what was sent, URL where to, without its query.
	Message string `json:"message"`
	URL     string `json:"url"`
	// Address is what answered; empty where nothing did. Answer is the head of its answer.
	Address string `json:"address,omitempty"`
	Answer  string `json:"answer"`
	// Milliseconds is how long the whole took from here, and AppMilliseconds how long the app did; 0 where none was called.
	Milliseconds    float64 `json:"milliseconds"`
	AppMilliseconds float64 `json:"appMilliseconds,omitempty"`
	// App says what the sidecar reports of the app, and Reply what the user would see; both may be empty.
	App   string `json:"app,omitempty"`
	Reply string `json:"reply,omitempty"`
	// Taken says that WeChat would take the answer. Verdict says so, or why not, and Do what to do about it.
	Taken   bool   `json:"taken"`
	Verdict string `json:"verdict"`
	Do      string `json:"do,omitempty"`
}

// Tell is what became of one callback, or, where Note is not empty, something about the tail itself.
type Tell struct {
	// At is in milliseconds since 1970.
	At  int64  `json:"at"`
	Pod string `json:"pod"`
	// Outcome and Reason are labels of metrics: what became of a verified callback, or which check another one failed.
	Outcome string `json:"outcome,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// Type is the MsgType, Event the Event or InfoType.
	Type  string `json:"type,omitempty"`
	Event string `json:"event,omitempty"`
	// Status is what WeChat was answered with, after so many Milliseconds.
	Status       int   `json:"status,omitempty"`
	Milliseconds int64 `json:"milliseconds"`
	Repeat       bool  `json:"repeat,omitempty"`
	Played       bool  `json:"played,omitempty"`
	// Note is in the language of the page. Failed says that something was missed.
	Note   string `json:"note,omitempty"`
	Failed bool   `json:"failed,omitempty"`
}
