// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"bytes"
	"regexp"
)

// WeChat's XML is not read with an XML parser. It need not be well-formed: WeChat writes what users type as it is, also
// control characters, half UTF-8 characters and ]]>, which ends the section that it stands in. And most of it is read before
// anybody has signed it: a parser builds a tree of whatever a stranger sends, at twenty times its size.
//
// What decides stands in elements that WeChat writes alone: an id, a number, a word, a text in base64. They are read one
// after the other, from the front until the first that may hold what a user typed, and where Encrypt or AgentID may follow
// it, from the back likewise. What lies between is not looked at.

// element is <Name>text</Name>. Its text has no markup in it: it is one CDATA section or plain, and white space around it
// does not count.
type element struct{ name, text []byte }

// maxElementName and maxElementText bound an element but Encrypt, whose text may be as long as the body. WeChat's own have a
// quarter of that. Bytes.
const (
	maxElementName = 64
	maxElementText = 1024
)

var (
	openSection  = []byte("<![CDATA[")
	closeSection = []byte("]]>")
)

// cutElement cuts the first element off, and reports whether there was one.
func cutElement(document []byte) (e element, rest []byte, ok bool) {
	document = trimLeft(document)
	if len(document) == 0 || document[0] != '<' {
		return element{}, nil, false
	}
	e.name = document[1 : 1+nameLength(document[1:])]
	rest = document[1+len(e.name):]
	if after, empty := bytes.CutPrefix(rest, []byte("/>")); empty && len(e.name) > 0 {
		return e, after, true
	}
	if rest, ok = bytes.CutPrefix(rest, []byte(">")); !ok || len(e.name) == 0 {
		return element{}, nil, false
	}
	rest, section := bytes.CutPrefix(trimLeft(rest), openSection)
	length := 0
	for limit := e.limit(len(rest)); length < limit && isElementText[rest[length]]; {
		length++
	}
	e.text, rest = trim(rest[:length]), rest[length:]
	if section {
		if rest, ok = bytes.CutPrefix(rest, closeSection); !ok {
			return element{}, nil, false
		}
		rest = trimLeft(rest)
	}
	for _, expected := range [][]byte{[]byte("</"), e.name, []byte(">")} {
		if rest, ok = bytes.CutPrefix(rest, expected); !ok {
			return element{}, nil, false
		}
	}
	return e, rest, true
}

// cutLastElement cuts the last element off, as cutElement does with the first.
func cutLastElement(document []byte) (e element, rest []byte, ok bool) {
	rest, ok = bytes.CutSuffix(trimRight(document), []byte(">"))
	if !ok {
		return element{}, nil, false
	}
	start := len(rest)
	for start > 0 && len(rest)-start < maxElementName && isElementName[rest[start-1]] {
		start--
	}
	e.name = rest[start:]
	if rest, ok = bytes.CutSuffix(rest[:start], []byte("</")); !ok || len(e.name) == 0 {
		return element{}, nil, false
	}
	rest, section := bytes.CutSuffix(rest, closeSection)
	if !section {
		trimmed := trimRight(rest)
		if rest, section = bytes.CutSuffix(trimmed, closeSection); !section {
			rest = trimmed
		}
	}
	start = len(rest)
	for limit := len(rest) - e.limit(len(rest)); start > limit && isElementText[rest[start-1]]; {
		start--
	}
	e.text, rest = trim(rest[start:]), rest[:start]
	if section {
		if rest, ok = bytes.CutSuffix(rest, openSection); !ok {
			return element{}, nil, false
		}
		rest = trimRight(rest)
	}
	for _, expected := range [][]byte{[]byte(">"), e.name, []byte("<")} {
		if rest, ok = bytes.CutSuffix(rest, expected); !ok {
			return element{}, nil, false
		}
	}
	return e, rest, true
}

// limit is how many bytes of so many the element's text may have.
func (e element) limit(all int) int {
	if string(e.name) == encryptName {
		return all
	}
	return min(all, maxElementText)
}

func nameLength(text []byte) int {
	length := 0
	for length < min(len(text), maxElementName) && isElementName[text[length]] {
		length++
	}
	return length
}

// isElementName and isElementText are the bytes of an element's name and text. A text has no byte of which markup is made, and no
// control character but white space: two parsers cannot read it differently.
var isElementName, isElementText = func() (name, text [256]bool) {
	for c := range 256 {
		digit, letter := c >= '0' && c <= '9', c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		name[c] = digit || letter || c == '_'
		text[c] = c >= ' ' && c != 0x7f || c == '\t' || c == '\r' || c == '\n'
	}
	for _, c := range []byte("<>&[]") {
		text[c] = false
	}
	return name, text
}()

// declaration is what may stand before the root: one, of XML 1.0 in UTF-8, at the very beginning.
var declaration = regexp.MustCompile(
	`^<\?xml[ \t\r\n]+version\s*=\s*(?:"1\.0"|'1\.0')(?:\s+encoding\s*=\s*(?i:"utf-8"|'utf-8'))?(?:\s+standalone\s*=\s*(?:"yes"|'yes'|"no"|'no'))?\s*\?>`)

// maxDeclaration is more than a declaration has. Bytes.
const maxDeclaration = 128

// afterRoot returns what follows <xml>, and reports whether the document begins with it.
func afterRoot(document []byte) ([]byte, bool) {
	document = withoutBOM(document)
	if bytes.HasPrefix(document, []byte("<?")) {
		if found := declaration.FindIndex(document[:min(len(document), maxDeclaration)]); found != nil {
			document = document[found[1]:]
		}
	}
	return bytes.CutPrefix(trimLeft(document), []byte("<xml>"))
}

// insideRoot returns what stands between <xml> and </xml>, and reports whether that is what the document consists of.
func insideRoot(document []byte) ([]byte, bool) {
	rest, opened := afterRoot(document)
	rest, closed := bytes.CutSuffix(trimRight(rest), []byte("</xml>"))
	return rest, opened && closed
}

// HasDoctype reports whether an XML document begins with a DOCTYPE, behind white space, a declaration and comments. It reads
// no further than that, and says nothing about whether the rest is well-formed.
func HasDoctype(document []byte) bool {
	rest := withoutBOM(document)
	for {
		rest = trimLeft(rest)
		end := ""
		switch {
		case bytes.HasPrefix(rest, []byte("<?")):
			end = "?>"
		case bytes.HasPrefix(rest, []byte("<!--")):
			end = "-->"
		default:
			return bytes.HasPrefix(rest, []byte("<!"))
		}
		_, after, found := bytes.Cut(rest, []byte(end))
		if !found {
			return false
		}
		rest = after
	}
}
