// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Success is the answer that tells WeChat to send nothing to the user and not to repeat the message.
const Success = "success"

// Bounds of a passive reply. The largest that message push documents, eight articles of news, has about 20 KiB. A WeCom bot's last
// one carries ten images of 10 MiB in base64 (developer.work.weixin.qq.com/document/path/101031). Bytes.
const (
	MaxReplySize    = 64 << 10
	MaxBotReplySize = 10*(10<<20)*4/3 + MaxReplySize
)

// MaxReply is how long a reply to a message in that form may be. Only bots write names in lower case. Bytes.
func MaxReply(message Form) int64 {
	if message == FormJSONLower {
		return MaxBotReplySize
	}
	return MaxReplySize
}

// maxReplyDepth is twice the depth of the deepest reply that WeChat documents (xml/Articles/item/Title).
const maxReplyDepth = 8

// ReplyFault says why WeChat would show its user that the service is out of order instead of a reply.
type ReplyFault string

// The faults.
const (
	ReplyByteOrderMark ReplyFault = "byte_order_mark"
	ReplyUnknown       ReplyFault = "unknown"
	ReplyHTML          ReplyFault = "html"
	ReplyNotUTF8       ReplyFault = "not_utf8"
	ReplyJSONForXML    ReplyFault = "json_for_xml"
	ReplyXMLForJSON    ReplyFault = "xml_for_json"
	ReplyBadJSON       ReplyFault = "bad_json"
	ReplyBadXML        ReplyFault = "bad_xml"
	ReplyRoot          ReplyFault = "root"
	ReplyTextOutside   ReplyFault = "text_outside"
	ReplyDoctype       ReplyFault = "doctype"
	ReplyDepth         ReplyFault = "depth"
)

// replyFaults are what is wrong, and what to do.
var replyFaults = map[ReplyFault][2]string{
	ReplyByteOrderMark: {"the reply begins with a byte order mark, which WeChat does not read over", "save the app's source files as UTF-8 without BOM"},
	ReplyUnknown:       {"the reply is neither empty, nor success, nor XML, nor a JSON object", "answer with success to say nothing"},
	ReplyHTML:          {"the reply is an HTML page", "see who answers at this path of the app: backend.path is the path that it is called with"},
	ReplyNotUTF8:       {"the reply is not UTF-8", "write it in UTF-8"},
	ReplyJSONForXML:    {"the reply is JSON, and the message was XML", "answer in XML"},
	ReplyXMLForJSON:    {"the reply is XML, and the message was JSON", "answer in JSON"},
	ReplyBadJSON:       {"the reply is not one JSON object", "write the object with a library for JSON, and nothing after it"},
	ReplyBadXML:        {"the reply is not one complete document of well-formed XML", "write it with a library for XML, and nothing after it"},
	ReplyRoot:          {"the root of the reply is not <xml>", "begin the reply with <xml>"},
	ReplyTextOutside:   {"the reply has text outside of <xml>", "look for debug output and warnings"},
	ReplyDoctype:       {"the reply has a DOCTYPE, which no reply needs", "leave it out"},
	ReplyDepth:         {"the reply is nested deeper than any of WeChat's", "compare it with the examples of WeChat's documentation"},
}

// ReplyFaults are all of them, sorted.
var ReplyFaults = slices.Sorted(maps.Keys(replyFaults))

// Explain says what is wrong and what to do, each as a clause.
func (f ReplyFault) Explain() (fault, remedy string) { return replyFaults[f][0], replyFaults[f][1] }

func (f ReplyFault) Error() string {
	return strings.Join([]string{replyFaults[f][0], replyFaults[f][1]}, "; ")
}

// CheckReply returns the ReplyFault of an app's reply, or nil: it is empty, or success, or one document in the form of the message:
// XML whose root is xml, or a JSON object. To a message without a form it may be either.
func CheckReply(body []byte, message Form) error {
	trimmed := trim(body)
	reply := FormOf(trimmed)
	switch {
	case Acknowledges(body):
		return nil
	case len(withoutBOM(body)) < len(body):
		return ReplyByteOrderMark
	case reply == FormOther:
		return ReplyUnknown
	case isHTML(trimmed):
		return ReplyHTML
	case !utf8.Valid(body):
		return ReplyNotUTF8
	case message == FormXML && reply != FormXML:
		return ReplyJSONForXML
	case (message == FormJSON || message == FormJSONLower) && reply == FormXML:
		return ReplyXMLForJSON
	case reply == FormXML:
		return checkReplyXML(trimmed)
	case !json.Valid(trimmed):
		return ReplyBadJSON
	}
	return nil
}

// Acknowledges reports whether a reply says no more than that the message was taken: nothing, or success. White space and byte
// order marks around it do not count. It is never encrypted, and reaches no user.
func Acknowledges(reply []byte) bool {
	text := Acknowledgement(reply)
	return len(text) == 0 || string(text) == Success
}

// Acknowledgement returns what stands between white space and byte order marks, which WeChat does not read over.
func Acknowledgement(reply []byte) []byte { return bytes.Trim(reply, whiteSpace+"\ufeff") }

func isHTML(document []byte) bool {
	start := bytes.ToLower(document[:min(len(document), len("<!doctype html"))])
	return bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.HasPrefix(start, []byte("<html"))
}

// checkReplyXML walks the document once. It refuses a DOCTYPE, which is how XML attacks begin.
func checkReplyXML(document []byte) error {
	decoder := xml.NewDecoder(bytes.NewReader(document))
	depth, roots := 0, 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return ReplyBadXML
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth == 0 {
				roots++
				if t.Name.Local != "xml" || t.Name.Space != "" {
					return ReplyRoot
				}
			}
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth == 0 && len(trim(t)) > 0 {
				return ReplyTextOutside
			}
		case xml.Directive:
			return ReplyDoctype
		}
		if depth > maxReplyDepth {
			return ReplyDepth
		}
		if depth < 0 || roots > 1 {
			return ReplyBadXML
		}
	}
	if depth != 0 || roots != 1 {
		return ReplyBadXML
	}
	return nil
}
