// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package door

import (
	"bytes"
	"strconv"
)

// head follows a request's head as it comes, as far as to know where it ends, and its body. It judges nothing: every byte goes on
// to net/http, which does.
type head struct {
	end    int // offset behind the last whole line
	lines  int
	length int64 // of the body that the lines announce
	whole  bool
}

// take reads the lines that have become whole, and returns the offset behind the head if its end is among them.
func (h *head) take(text []byte) int {
	for !h.whole {
		line, _, ended := bytes.Cut(text[h.end:], []byte("\n"))
		if !ended {
			break
		}
		h.end += len(line) + 1
		line = bytes.TrimSuffix(line, []byte("\r"))
		h.whole = len(line) == 0
		h.lines++
		h.announce(line)
	}
	return h.end
}

// announce reads from a line how long the body is. One that net/http reads otherwise costs its sender the connection.
func (h *head) announce(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	switch {
	case bytes.EqualFold(name, []byte("Transfer-Encoding")):
		h.length = endless
	case bytes.EqualFold(name, []byte("Content-Length")) && h.length != endless:
		if length, err := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 63); err == nil && length > 0 {
			h.length = length
		}
	}
}
