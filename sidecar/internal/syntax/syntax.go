// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package syntax reads the lines of a head of HTTP/1.1, of a request or of an answer, in the form that almost all programs send: RFC 9112
// without what readers disagree about. What it does not read may be right all the same: net/http judges that.
package syntax

import (
	"bytes"
	"strings"
)

// State is how far a head was read.
type State int

// The states of a head.
const (
	Partial State = iota // its end has not come yet
	Whole
	Foreign // it is not the usual case, and may be no HTTP at all
)

// CutLine cuts the first line off a text, without the CR LF at its end. The state is Partial where that has not come, and Foreign where the
// line ends with a line feed alone.
func CutLine(text []byte) (line, rest []byte, state State) {
	end := bytes.IndexByte(text, '\n')
	if end < 0 {
		return nil, text, Partial
	}
	line, ended := bytes.CutSuffix(text[:end], []byte("\r"))
	if !ended {
		return nil, text, Foreign
	}
	return line, text[end+1:], Whole
}

// Framing is what the fields of a head say about where the message and its connection end. The zero Framing is that of a head without
// fields.
type Framing struct {
	Length    int // of the body; 0 where none is given. Bytes
	HasLength bool
	Close     bool // the connection ends after the message

	hasConnection bool
}

// ReadField reads a line that is neither the first nor empty. The name and the value are parts of it, without the white space around the value.
// It reports false where two readers could read the field in different ways, or where it changes how the message is read: those that do so
// and are known may stand there once.
func (f *Framing) ReadField(line []byte) (name, value []byte, ok bool) {
	colon := bytes.IndexByte(line, ':')
	if colon < 1 || !All(line[:colon], Token) || !All(line[colon+1:], Value) {
		return nil, nil, false
	}
	name, value = line[:colon], bytes.Trim(line[colon+1:], " \t")
	switch {
	case Is(name, "Content-Length"):
		ok = f.readLength(value)
	case Is(name, "Connection"):
		ok = f.readConnection(value)
	default:
		ok = !Is(name, "Transfer-Encoding") && !Is(name, "Upgrade") && !Is(name, "Trailer")
	}
	return name, value, ok
}

// lengthDigits is how many digits a length has at most.
const lengthDigits = 8

func (f *Framing) readLength(digits []byte) bool {
	if f.HasLength || len(digits) == 0 || len(digits) > lengthDigits {
		return false
	}
	f.HasLength = true
	for _, digit := range digits {
		if digit < '0' || digit > '9' {
			return false
		}
		f.Length = 10*f.Length + int(digit-'0')
	}
	return true
}

func (f *Framing) readConnection(value []byte) bool {
	if f.hasConnection {
		return false
	}
	f.hasConnection, f.Close = true, Is(value, "close")
	return f.Close || Is(value, "keep-alive")
}

// Is reports whether a word of ASCII is another one, in capitals or not.
func Is(word []byte, other string) bool {
	return len(word) == len(other) && strings.EqualFold(string(word), other)
}

// Class is a set of bytes.
type Class uint8

// The classes of bytes.
const (
	Path    Class = 1 << iota // of RFC 3986: pchar and the slash, without escapes
	Host                      // names, addresses and ports
	Token                     // of RFC 9110
	Visible                   // the visible ones of ASCII
	Value                     // these, the space and the tab
)

var classes = func() (of [256]Class) {
	add := func(bytes string, to Class) {
		for _, c := range []byte(bytes) {
			of[c] |= to
		}
	}
	for c := '!'; c <= '~'; c++ {
		of[c] |= Visible | Value
	}
	add(" \t", Value)
	add("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", Path|Host|Token)
	add("-._~!$&'()*+,;=:@/", Path)
	add("-._:[]", Host)
	add("!#$%&'*+-.^_`|~", Token)
	return of
}()

// All reports whether all bytes of a text are of a class.
func All(text []byte, of Class) bool {
	for _, c := range text {
		if classes[c]&of == 0 {
			return false
		}
	}
	return true
}
