// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"bytes"
)

// usual is where the reply stands in an answer as almost all apps give it: HTTP/1.1, status 200, fields with a Content-Length and nothing that
// changes what the reply is.
type usual struct {
	start, end int  // of the reply
	closes     bool // the app closes the connection
}

// shape is what an answer is like, as far as it has come.
type shape int

const (
	partial shape = iota // it may become usual
	whole                // it is usual, and there
	unusual              // net/http has to read it
)

// readUsual reads an answer of which so much has come. It is strict where readers differ, and leaves everything that it does not know to
// net/http: what it takes, net/http takes, and reads the same. Answers of 1xx it does not know.
func readUsual(text []byte) (usual, shape) {
	rest, ok := cutStatus(text)
	if !ok {
		return usual{}, unusual
	}
	u, length, known := usual{}, 0, false
	connection := false
	for lines := 1; ; lines++ {
		end := bytes.IndexByte(rest, '\n')
		switch {
		case lines > maxHeadLines:
			return usual{}, unusual
		case end < 0:
			return usual{}, partial
		case end < 1 || rest[end-1] != '\r':
			return usual{}, unusual
		}
		line := rest[:end-1]
		rest = rest[end+1:]
		if len(line) == 0 {
			break
		}
		name, value, ok := cutField(line)
		if !ok {
			return usual{}, unusual
		}
		switch {
		case isNamed(name, "content-length"):
			if length, ok = parseLength(value); !ok || known {
				return usual{}, unusual
			}
			known = true
		case isNamed(name, "connection"):
			if u.closes = isNamed(value, "close"); connection || !u.closes && !isNamed(value, "keep-alive") {
				return usual{}, unusual
			}
			connection = true
		case isNamed(name, "transfer-encoding"), isNamed(name, "content-encoding"), isNamed(name, "trailer"), isNamed(name, "upgrade"):
			return usual{}, unusual
		}
	}
	if !known {
		return usual{}, unusual
	}
	u.start = len(text) - len(rest)
	if u.end = u.start + length; u.end > len(text) {
		return usual{}, partial
	}
	return u, whole
}

// statusLine is that of a usual answer, up to its reason.
const statusLine = "HTTP/1.1 200"

// cutStatus cuts the status line off. It leaves nothing where it has not come whole, and reports false where it is not usual.
func cutStatus(text []byte) (rest []byte, ok bool) {
	if known := min(len(text), len(statusLine)); string(text[:known]) != statusLine[:known] {
		return nil, false
	}
	end := bytes.IndexByte(text, '\n')
	if end < 0 {
		return nil, true
	}
	if end <= len(statusLine) || text[end-1] != '\r' {
		return nil, false
	}
	reason := text[len(statusLine) : end-1]
	return text[end+1:], isValue(reason) && (len(reason) == 0 || reason[0] == ' ')
}

// cutField cuts a field into its name and its value, without the white space around that. It reports false where two readers could differ.
func cutField(line []byte) (name, value []byte, ok bool) {
	length := 0
	for length < len(line) && isToken[line[length]] {
		length++
	}
	if length == 0 || length == len(line) || line[length] != ':' {
		return nil, nil, false
	}
	value = line[length+1:]
	return line[:length], bytes.Trim(value, " \t"), isValue(value)
}

// isToken are the bytes of a field's name: RFC 9110, section 5.6.2.
var isToken = func() (token [256]bool) {
	for c := range 256 {
		token[c] = c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		token[c] = true
	}
	return token
}()

// isValue reports whether a text has no control character but the tabulator.
func isValue(text []byte) bool {
	for _, c := range text {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isNamed compares without case. Name is in lower case.
func isNamed(text []byte, name string) bool {
	if len(text) != len(name) {
		return false
	}
	for i, c := range text {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != name[i] {
			return false
		}
	}
	return true
}

// parseLength reads a Content-Length: digits alone, and no more than a piece could hold.
func parseLength(text []byte) (length int, ok bool) {
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		length = 10*length + int(c-'0')
	}
	return length, len(text) > 0 && len(text) <= 9
}
