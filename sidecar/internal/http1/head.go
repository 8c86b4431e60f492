// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bytes"
	"strings"
)

// state is how far a head was read.
type state int

const (
	partial state = iota // its end has not come yet
	whole
	foreign // it is not the usual case, and may be no HTTP at all
)

// head is what was read of a request's head. Its byte slices are parts of the text that was read.
type head struct {
	method string
	target []byte
	path   int // length of the target's path
	host   []byte
	length int  // of the body
	close  bool // the client wants the connection closed
	fields []field
	size   int // with the empty line

	lengthGiven, connectionGiven bool
}

// field is one that the handler may ask for.
type field struct {
	name  string // as in Server.Names
	value []byte
}

// read reads a head from the beginning of a text.
func (h *head) read(text []byte, names []string, bounds Bounds) state {
	*h = head{fields: h.fields[:0]}
	for n := range bounds.HeadLines {
		end := bytes.IndexByte(text[h.size:], '\n')
		if end < 0 {
			return partial
		}
		line, ended := bytes.CutSuffix(text[h.size:h.size+end], []byte("\r"))
		if !ended {
			return foreign
		}
		h.size += end + 1
		switch {
		case n == 0:
			if !h.readRequestLine(line) {
				return foreign
			}
		case len(line) > 0:
			if !h.readField(line, names) {
				return foreign
			}
		case h.host == nil || h.length > bounds.BodySize:
			return foreign
		default:
			return whole
		}
	}
	return foreign
}

// readRequestLine reads the method and the target. The path has no byte that would have to be escaped, nor an escape: there are
// several ways to read these.
func (h *head) readRequestLine(line []byte) bool {
	line, ok := bytes.CutSuffix(line, []byte(" HTTP/1.1"))
	if !ok {
		return false
	}
	for _, method := range [...]string{"POST", "GET", "HEAD"} {
		if len(line) > len(method) && string(line[:len(method)]) == method && line[len(method)] == ' ' {
			h.method, h.target = method, line[len(method)+1:]
			break
		}
	}
	if h.path = bytes.IndexByte(h.target, '?'); h.path < 0 {
		h.path = len(h.target)
	}
	return h.path > 0 && h.target[0] == '/' && all(h.target[:h.path], inPath) && all(h.target[h.path:], visible)
}

// readField reads a line that is not the first. Fields that change how a message is read are refused but for those that are known, once.
func (h *head) readField(line []byte, names []string) bool {
	colon := bytes.IndexByte(line, ':')
	if colon < 1 || !all(line[:colon], inToken) || !all(line[colon+1:], inValue) {
		return false
	}
	name, value := line[:colon], bytes.Trim(line[colon+1:], " \t")
	switch {
	case is(name, "Host"):
		if h.host != nil || len(value) == 0 || !all(value, inHost) {
			return false
		}
		h.host = value
	case is(name, "Content-Length"):
		return h.readLength(value)
	case is(name, "Connection"):
		if h.connectionGiven {
			return false
		}
		h.connectionGiven, h.close = true, is(value, "close")
		return h.close || is(value, "keep-alive")
	case is(name, "Transfer-Encoding"), is(name, "Expect"), is(name, "Upgrade"), is(name, "Trailer"):
		return false
	default:
		return h.keep(name, value, names)
	}
	return true
}

// lengthDigits is how many digits a length has at most.
const lengthDigits = 8

func (h *head) readLength(digits []byte) bool {
	if h.lengthGiven || len(digits) == 0 || len(digits) > lengthDigits {
		return false
	}
	h.lengthGiven = true
	for _, digit := range digits {
		if digit < '0' || digit > '9' {
			return false
		}
		h.length = 10*h.length + int(digit-'0')
	}
	return true
}

// keep keeps a field that the handler may ask for, unless it is there already.
func (h *head) keep(name, value []byte, names []string) bool {
	for _, kept := range names {
		if !is(name, kept) {
			continue
		}
		for _, other := range h.fields {
			if other.name == kept {
				return false
			}
		}
		h.fields = append(h.fields, field{kept, value})
	}
	return true
}

// is reports whether a word of ASCII is another one, in capitals or not.
func is(word []byte, other string) bool {
	return len(word) == len(other) && strings.EqualFold(string(word), other)
}

// class is a set of bytes.
type class uint8

const (
	inPath  class = 1 << iota // of RFC 3986: pchar and the slash, without escapes
	inHost                    // names, addresses and ports
	inToken                   // of RFC 9110
	visible                   // the visible ones of ASCII
	inValue                   // these, the space and the tab
)

var classes = func() (of [256]class) {
	add := func(bytes string, to class) {
		for _, c := range []byte(bytes) {
			of[c] |= to
		}
	}
	for c := '!'; c <= '~'; c++ {
		of[c] |= visible | inValue
	}
	add(" \t", inValue)
	add("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", inPath|inHost|inToken)
	add("-._~!$&'()*+,;=:@/", inPath)
	add("-._:[]", inHost)
	add("!#$%&'*+-.^_`|~", inToken)
	return of
}()

func all(text []byte, of class) bool {
	for _, c := range text {
		if classes[c]&of == 0 {
			return false
		}
	}
	return true
}
