// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
)

// WeChat's JSON is walked and not parsed, for the reasons that xml.go gives. Quotes and backslashes of users are escaped, so
// that the end of a text is sure, whatever else stands in it.

// Bounds of an object. WeChat's own have some forty members and a depth of five; its numbers have up to twenty digits.
const (
	maxMembers = 256
	maxDepth   = 32
	maxLiteral = 128 // bytes, of a number or a word
)

var errDocument = errors.New("not one XML or JSON document as WeChat writes it")

// member is a name and a value of a JSON object, as they were written, the name without its quotes.
type member struct{ name, value []byte }

// eachMember calls visit with the members of the one object that the document consists of, in their order. It ends at the
// first error of visit and returns it. The walk is linear, and copies nothing.
func eachMember(document []byte, visit func(member) error) error {
	rest, ok := bytes.CutPrefix(trimLeft(withoutBOM(document)), []byte("{"))
	if !ok {
		return errDocument
	}
	rest = trimLeft(rest)
	if after, empty := bytes.CutPrefix(rest, []byte("}")); empty {
		return atEnd(after)
	}
	for range maxMembers {
		var m member
		if m, rest, ok = cutMember(rest); !ok {
			return errDocument
		}
		if err := visit(m); err != nil {
			return err
		}
		if after, more := bytes.CutPrefix(rest, []byte(",")); more {
			rest = trimLeft(after)
			continue
		}
		if after, last := bytes.CutPrefix(rest, []byte("}")); last {
			return atEnd(after)
		}
		return errDocument
	}
	return errDocument
}

func atEnd(rest []byte) error {
	if len(trimLeft(rest)) > 0 {
		return errDocument
	}
	return nil
}

// cutMember cuts "name": value off, and the white space behind it. A name has no escapes: nobody writes letters that way, and
// one who did would hide a name from some readers.
func cutMember(text []byte) (m member, rest []byte, ok bool) {
	end := stringEnd(text)
	if end < 0 || bytes.IndexByte(text[:end], '\\') >= 0 {
		return member{}, nil, false
	}
	m.name = text[1 : end-1]
	if rest, ok = bytes.CutPrefix(trimLeft(text[end:]), []byte(":")); !ok {
		return member{}, nil, false
	}
	rest = trimLeft(rest)
	if end = valueEnd(rest); end < 0 {
		return member{}, nil, false
	}
	m.value = rest[:end]
	return m, trimLeft(rest[end:]), true
}

// stringEnd returns the offset behind the quoted text that text begins with, or -1.
func stringEnd(text []byte) int {
	if len(text) == 0 || text[0] != '"' {
		return -1
	}
	for at := 1; at < len(text); at++ {
		switch text[at] {
		case '\\':
			at++
		case '"':
			return at + 1
		}
	}
	return -1
}

// valueEnd returns the offset behind the value that text begins with, or -1.
func valueEnd(text []byte) int {
	if len(text) == 0 {
		return -1
	}
	switch text[0] {
	case '"':
		return stringEnd(text)
	case '{', '[':
		return nestedEnd(text)
	}
	end := 0
	for end < min(len(text), maxLiteral) && isLiteral(text[end]) {
		end++
	}
	if end == 0 || !json.Valid(text[:end]) {
		return -1
	}
	return end
}

func isLiteral(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == 'E' || c == '+' || c == '-' || c == '.'
}

// nestedEnd returns the offset behind the object or list that text begins with, or -1. It matches brackets and steps over
// texts; what else stands between them is not read.
func nestedEnd(text []byte) int {
	var open [maxDepth - 1]byte // the object around is the first level
	depth := 0
	for at := 0; at < len(text); at++ {
		switch c := text[at]; c {
		case '{', '[':
			if depth == len(open) {
				return -1
			}
			open[depth] = c + 2 // } follows { by two, and ] follows [
			depth++
		case '}', ']':
			if depth--; open[depth] != c {
				return -1
			}
			if depth == 0 {
				return at + 1
			}
		case '"':
			end := stringEnd(text[at:])
			if end < 0 {
				return -1
			}
			at += end - 1
		}
	}
	return -1
}

// isText reports whether the value is a text.
func (m member) isText() bool { return m.value[0] == '"' }

// base64 returns the value of a text in base64, without its quotes and the white space around it. It may be long, and nobody has
// signed it yet: the escapes are those that a text of ASCII has, and without any it is a part of the document. Others are errDocument.
func (m member) base64() ([]byte, error) {
	text := m.value[1 : len(m.value)-1]
	if bytes.IndexByte(text, '\\') >= 0 {
		var ok bool
		if text, ok = unescaped(text); !ok {
			return nil, errDocument
		}
	}
	return trim(text), nil
}

// unescaped undoes the escapes of a text of ASCII.
func unescaped(text []byte) (plain []byte, ok bool) {
	plain = make([]byte, 0, len(text))
	for at := 0; at < len(text); at++ {
		c := text[at]
		if c == '\\' {
			at++
			switch c = text[at]; c { // the text ends with no backslash: its quote would be escaped
			case '/':
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 'u':
				var number [1]byte
				if at+4 >= len(text) || text[at+1] != '0' || text[at+2] != '0' {
					return nil, false
				}
				if _, err := hex.Decode(number[:], text[at+3:at+5]); err != nil {
					return nil, false
				}
				c = number[0]
				at += 4
			default:
				return nil, false
			}
		}
		plain = append(plain, c)
	}
	return plain, true
}

// text returns the value of a text without its quotes and its escapes; of one that is no text as it stands, and of null nothing. A text that cannot be decoded is errDocument.
func (m member) text() (string, error) {
	switch {
	case string(m.value) == "null":
		return "", nil
	case !m.isText():
		return string(m.value), nil
	case bytes.IndexByte(m.value, '\\') < 0:
		return string(m.value[1 : len(m.value)-1]), nil
	}
	var decoded string
	if err := json.Unmarshal(m.value, &decoded); err != nil {
		return "", errDocument
	}
	return decoded, nil
}

func (m member) named(name string) bool { return string(m.name) == name }
