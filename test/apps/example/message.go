// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/xml"
	"fmt"
	"strings"
	"time"
)

// message is what all of WeChat's messages have, and the Content of a text. Names of elements are case-sensitive.
type message struct {
	XMLName      xml.Name `xml:"xml"`
	ToUserName   string
	FromUserName string
	MsgType      string
	Content      string
	MsgID        string `xml:"MsgId"` // not always a number
}

func parseMessage(body []byte) (message, error) {
	var m message
	err := xml.Unmarshal(body, &m)
	return m, err
}

// textReply is a passive reply (被动回复): from whom the message was to, to whom it came from.
func textReply(received message, content string, now time.Time) string {
	return fmt.Sprintf("<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>%d</CreateTime>"+
		"<MsgType><![CDATA[text]]></MsgType><Content>%s</Content></xml>",
		cdata(received.FromUserName), cdata(received.ToUserName), now.Unix(), cdata(content))
}

// cdata wraps a text of the user's, and splits it where it would end the section.
func cdata(text string) string {
	return "<![CDATA[" + strings.ReplaceAll(text, "]]>", "]]]]><![CDATA[>") + "]]>"
}
