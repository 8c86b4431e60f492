// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Success is the answer that tells WeChat to send nothing to the user and not to repeat the message.
const Success = "success"

// MaxReplySize bounds a passive reply. The largest that WeChat documents, eight articles of news, has about 20 KiB. Bytes.
const MaxReplySize = 64 << 10

// maxReplyDepth is twice the depth of the deepest reply that WeChat documents (xml/Articles/item/Title).
const maxReplyDepth = 8

// CheckReply says why WeChat would show its user that the service is out of order instead of the app's reply, or nil: a
// reply is empty, or success, or one document in the form of the message: XML whose root is xml, or a JSON object. To a
// message without a form it may be either.
func CheckReply(body []byte, message Form) error {
	trimmed := bytes.Trim(body, whiteSpace)
	reply := FormOf(trimmed)
	switch {
	case len(withoutBOM(body)) < len(body):
		return errors.New("the reply begins with a byte order mark, which WeChat does not read over")
	case len(body) > MaxReplySize:
		return fmt.Errorf("the reply is longer than %d bytes", MaxReplySize)
	case Acknowledges(body):
		return nil
	case reply == FormOther:
		return errors.New("the reply is neither empty, nor success, nor XML, nor a JSON object")
	case !utf8.Valid(body):
		return errors.New("the reply is not UTF-8")
	case message == FormXML && reply != FormXML:
		return errors.New("the reply is JSON, and the message was XML: answer in XML")
	case (message == FormJSON || message == FormJSONLower) && reply == FormXML:
		return errors.New("the reply is XML, and the message was JSON: answer in JSON")
	case reply == FormXML:
		return checkReplyXML(trimmed)
	}
	if !json.Valid(trimmed) {
		return errors.New("the reply is not one JSON object")
	}
	return nil
}

// Acknowledges reports whether a reply is empty or success, which is never encrypted and reaches no user.
func Acknowledges(reply []byte) bool {
	trimmed := bytes.Trim(reply, whiteSpace)
	return len(trimmed) == 0 || string(trimmed) == Success
}

// checkReplyXML walks the document once. It refuses a DOCTYPE, which no reply needs and which is how XML attacks begin.
func checkReplyXML(document []byte) error {
	decoder := xml.NewDecoder(bytes.NewReader(document))
	depth, roots := 0, 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errors.New("the reply is not well-formed XML")
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth == 0 {
				roots++
				if t.Name.Local != "xml" || t.Name.Space != "" {
					return errors.New("the root of the reply is not <xml>")
				}
			}
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth == 0 && len(bytes.Trim(t, whiteSpace)) > 0 {
				return errors.New("the reply has text outside of <xml>")
			}
		case xml.Directive:
			return errors.New("the reply has a DOCTYPE")
		}
		if depth < 0 || depth > maxReplyDepth || roots > 1 {
			return errors.New("the reply is not one XML document of moderate depth")
		}
	}
	if depth != 0 || roots != 1 {
		return errors.New("the reply is not one complete XML document")
	}
	return nil
}
