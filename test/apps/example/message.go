// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
	"time"
)

// message is what messages have in common. Names of elements are case-sensitive in XML; WeCom's bots write JSON in lower
// case.
type message struct {
	XMLName      xml.Name `xml:"xml" json:"-"`
	ToUserName   string
	FromUserName string
	MsgType      string
	Event        string
	Content      string
	MsgID        string `xml:"MsgId" json:"-"`
	// JSONID is the MsgId in JSON as it is written: not always a number, and not always one that fits.
	JSONID json.RawMessage `xml:"-" json:"MsgId"`
	// Text holds the content in a bot's message.
	Text *struct{ Content string } `xml:"-" json:"text"`

	json bool
}

// parseMessage tells XML from JSON by the first byte: which of them an account sends is chosen in its console.
func parseMessage(body []byte) (message, error) {
	m := message{json: bytes.HasPrefix(bytes.TrimSpace(body), []byte("{"))}
	if !m.json {
		return m, xml.Unmarshal(body, &m)
	}
	err := json.Unmarshal(body, &m)
	m.MsgID = strings.Trim(string(m.JSONID), `"`)
	if m.Text != nil {
		m.Content = m.Text.Content
	}
	return m, err
}

// contentFor is what is said to a message; empty is nothing. A platform's app answers what the release check (全网发布检测) writes as its page asks
// for. The code in QUERY_AUTH_CODE is answered by the customer service API, which this app does not call.
// (developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/operation/thirdparty/releases_instructions.html)
func contentFor(received message) string {
	switch {
	case received.MsgType == "event" && received.Event == "LOCATION":
		return received.Event + "from_callback"
	case received.MsgType != "text", strings.HasPrefix(received.Content, "QUERY_AUTH_CODE:"):
		return ""
	case received.Content == "TESTCOMPONENT_MSG_TYPE_TEXT":
		return received.Content + "_callback"
	}
	return "you said: " + received.Content
}

// textReply is a passive reply (被动回复): from whom the message was to, to whom it came from, in the form of the message.
func textReply(received message, content string, now time.Time) string {
	switch {
	case received.Text != nil:
		return asJSON(map[string]any{"msgtype": "text", "text": map[string]string{"content": content}})
	case received.json:
		return asJSON(map[string]any{
			"ToUserName": received.FromUserName, "FromUserName": received.ToUserName, "CreateTime": now.Unix(), "MsgType": "text", "Content": content,
		})
	}
	return fmt.Sprintf("<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>%d</CreateTime>"+
		"<MsgType><![CDATA[text]]></MsgType><Content>%s</Content></xml>",
		cdata(received.FromUserName), cdata(received.ToUserName), now.Unix(), cdata(content))
}

func asJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // texts and numbers can be written as JSON
	}
	return string(text)
}

// cdata wraps a text of the user's, and splits it where it would end the section.
func cdata(text string) string {
	return "<![CDATA[" + strings.ReplaceAll(text, "]]>", "]]]]><![CDATA[>") + "]]>"
}
