// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"bytes"
	"unsafe"
)

// Form is the notation of a message.
type Form int

// The notations. WeCom's bots use JSON with lower-case names, also in the envelope.
const (
	FormXML Form = iota
	FormJSON
	FormJSONLower
	// FormOther is a text that is neither: it has no fields.
	FormOther
)

// ContentType is what an app is told about a message of the form.
func (f Form) ContentType() string {
	switch f {
	case FormXML:
		return "text/xml; charset=utf-8"
	case FormJSON, FormJSONLower:
		return "application/json; charset=utf-8"
	default:
		return "text/plain; charset=utf-8"
	}
}

// FormOf tells the notation by the first byte that is no white space. A Content-Type is the client's word and not
// documented; it is not asked.
func FormOf(document []byte) Form {
	trimmed := trimLeft(withoutBOM(document[:min(len(document), maxIndent)]))
	switch {
	case len(trimmed) > 0 && trimmed[0] == '<':
		return FormXML
	case len(trimmed) > 0 && trimmed[0] == '{':
		return FormJSON
	}
	return FormOther
}

// maxIndent is how much white space may stand before a document, and more than anybody writes. Bytes.
const maxIndent = 256

// whiteSpace is XML's, which is also JSON's. Unicode has more, which neither allows.
const whiteSpace = " \t\r\n"

func withoutBOM(document []byte) []byte {
	return bytes.TrimPrefix(document, []byte("\xef\xbb\xbf"))
}

// isWhiteSpace are the bytes of whiteSpace.
var isWhiteSpace = func() (is [256]bool) {
	for _, c := range []byte(whiteSpace) {
		is[c] = true
	}
	return is
}()

// trimLeft, trimRight and trim take white space away. What bytes.Trim takes away is asked anew for each call, which costs more than the rest.
func trimLeft(text []byte) []byte {
	for len(text) > 0 && isWhiteSpace[text[0]] {
		text = text[1:]
	}
	return text
}

func trimRight(text []byte) []byte {
	for len(text) > 0 && isWhiteSpace[text[len(text)-1]] {
		text = text[:len(text)-1]
	}
	return text
}

func trim(text []byte) []byte { return trimLeft(trimRight(text)) }

// view is a part of a message as a string that is not copied. Nobody changes a message once it was read.
func view(part []byte) string { return unsafe.String(unsafe.SliceData(part), len(part)) }
