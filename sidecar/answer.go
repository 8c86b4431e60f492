// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"io"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/http1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// What WeChat is told by the number of an answer. It sends a message again unless it is taken.
const (
	statusTaken    = 200
	statusNothing  = 204 // Pay's: taken, and nothing is said to it
	statusRefused  = 403 // whichever check failed
	statusUnknown  = 404 // no such URL here
	statusBadReply = 502 // the app answered what must not be passed on
	statusAgain    = 503 // not now
)

// plainText is a type that no browser runs: echostr is chosen by whoever holds a signature.
const plainText = "text/plain; charset=utf-8"

// Answer is what a callback is answered with. Its owner writes it and then frees it.
type Answer struct {
	Status      int
	ContentType string // empty where there is no body, not even an empty one
	Body        []byte
	Sealing     *wechat.Sealing // a sealed reply, in place of Body
	// Outcome is told to whoever plays WeChat; empty for everybody else.
	Outcome string
	// Refused says that WeChat does not need the connection.
	Refused bool

	room *parcel // of a long reply
}

// say is an answer of so many words.
func say(status int, text string) Answer {
	return Answer{Status: status, ContentType: plainText, Body: []byte(text)}
}

// Len is the length of the body. Bytes.
func (a *Answer) Len() int {
	if a.Sealing != nil {
		return a.Sealing.Len()
	}
	return len(a.Body)
}

// maxFields is how many an answer has at most.
const maxFields = 4

// appendFields appends the fields of the answer's head, but for those that HTTP itself needs.
func (a *Answer) appendFields(fields []http1.Field) []http1.Field {
	fields = append(fields, http1.Field{Name: "Cache-Control", Value: "no-store"})
	if a.ContentType != "" {
		fields = append(fields, http1.Field{Name: "Content-Type", Value: a.ContentType}, http1.Field{Name: "X-Content-Type-Options", Value: "nosniff"})
	}
	if a.Outcome != "" {
		fields = append(fields, http1.Field{Name: outcome.Header, Value: a.Outcome})
	}
	return fields
}

// Write writes the exact bytes of the body.
func (a *Answer) Write(w io.Writer) error {
	if a.Sealing != nil {
		return a.Sealing.Write(w)
	}
	_, err := w.Write(a.Body)
	return err
}

// Free gives back what the answer takes of the memory.
func (a *Answer) Free() {
	if a.room != nil {
		a.room.free()
	}
}
