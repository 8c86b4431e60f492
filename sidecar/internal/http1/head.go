// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bytes"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/syntax"
)

// head is what was read of a request's head. Its byte slices are parts of the text that was read.
type head struct {
	syntax.Framing // it asks for the end of the connection where that is closed

	method string
	target []byte
	path   int // length of the target's path
	host   []byte
	fields []field
	size   int // with the empty line
}

// field is one that the handler may ask for.
type field struct {
	name  string // as in Server.Names
	value []byte
}

// read reads a head from the beginning of a text.
func (h *head) read(text []byte, names []string, bounds Bounds) syntax.State {
	*h = head{fields: h.fields[:0]}
	rest := text
	for n := range bounds.HeadLines {
		line, behind, state := syntax.CutLine(rest)
		if state != syntax.Whole {
			return state
		}
		rest = behind
		switch {
		case n == 0:
			if !h.readRequestLine(line) {
				return syntax.Foreign
			}
		case len(line) > 0:
			if !h.readField(line, names) {
				return syntax.Foreign
			}
		case h.host == nil || h.Length > bounds.BodySize:
			return syntax.Foreign
		default:
			h.size = len(text) - len(rest)
			return syntax.Whole
		}
	}
	return syntax.Foreign
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
	return h.path > 0 && h.target[0] == '/' && syntax.All(h.target[:h.path], syntax.Path) && syntax.All(h.target[h.path:], syntax.Visible)
}

// readField reads a line that is not the first.
func (h *head) readField(line []byte, names []string) bool {
	name, value, ok := h.ReadField(line)
	switch {
	case !ok, syntax.Is(name, "Expect"):
		return false
	case syntax.Is(name, "Host"):
		if h.host != nil || len(value) == 0 || !syntax.All(value, syntax.Host) {
			return false
		}
		h.host = value
		return true
	}
	return h.keep(name, value, names)
}

// keep keeps a field that the handler may ask for, unless it is there already.
func (h *head) keep(name, value []byte, names []string) bool {
	for _, kept := range names {
		if !syntax.Is(name, kept) {
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
