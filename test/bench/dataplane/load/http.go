// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"io"
	"net/http/httputil"
	"strconv"
)

// head is what the head of a request or an answer says of its body.
type head struct {
	size    int // bytes, with the empty line
	length  int // of the body; 0 where nothing is said
	chunked bool
	close   bool // the connection ends after it
}

// parseHead reads a head, and reports false while it is not whole. It reads what honest peers write: nothing is checked.
func parseHead(text []byte) (h head, whole bool) {
	end := bytes.Index(text, []byte("\r\n\r\n"))
	if end < 0 {
		return head{}, false
	}
	h.size = end + 4
	for rest := text[:end]; ; {
		next := bytes.IndexByte(rest, '\n')
		if next < 0 {
			return h, true
		}
		rest = rest[next+1:]
		switch {
		case len(rest) == 0:
		case rest[0]|0x20 == 'c':
			if value, ok := field(rest, "content-length:"); ok {
				h.length, _ = strconv.Atoi(string(value))
			} else if value, ok := field(rest, "connection:"); ok {
				h.close = bytes.EqualFold(value, []byte("close"))
			}
		case rest[0]|0x20 == 't':
			if value, ok := field(rest, "transfer-encoding:"); ok {
				h.chunked = bytes.EqualFold(value, []byte("chunked"))
			}
		}
	}
}

// field returns the value of the field at the beginning of lines, if it has that name, in lower case and with its colon.
func field(lines []byte, name string) (value []byte, ok bool) {
	if len(lines) < len(name) || !bytes.EqualFold(lines[:len(name)], []byte(name)) {
		return nil, false
	}
	value, _, _ = bytes.Cut(lines[len(name):], []byte("\r"))
	return bytes.TrimSpace(value), true
}

// message is a request or an answer.
type message struct {
	head head
	text []byte // all of it
	body []byte
}

// parseMessage reads the message at the beginning of the text, and reports false while it is not whole. A chunked one is whole when the
// text ends with its last chunk.
func parseMessage(text []byte) (message, bool) {
	h, whole := parseHead(text)
	if !whole {
		return message{}, false
	}
	if !h.chunked {
		end := h.size + h.length
		if len(text) < end {
			return message{}, false
		}
		return message{head: h, text: text[:end], body: text[h.size:end]}, true
	}
	if !bytes.HasSuffix(text, []byte("\r\n0\r\n\r\n")) {
		return message{}, false
	}
	body, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(text[h.size:])))
	if err != nil {
		return message{}, false
	}
	return message{head: h, text: text, body: body}, true
}

// status returns the status of an answer, or 0 if it has none.
func (m message) status() int {
	_, rest, _ := bytes.Cut(m.text, []byte(" "))
	if len(rest) < 3 {
		return 0
	}
	status, _ := strconv.Atoi(string(rest[:3])) // 0 is none
	return status
}
