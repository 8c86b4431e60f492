// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import "strings"

// Fields are what rules match and headers tell of a message: its fields at depth one, read once. One that stands twice
// is empty, because the app behind might read the other one.
type Fields struct {
	ToUserName, FromUserName string
	MsgType, Event, InfoType string
	AgentID                  string
}

// ReadFields reads the fields of a verified message. A text that is no document has none.
func ReadFields(message []byte) Fields {
	var f Fields
	read, err := readFields(message)
	if err != nil {
		return f
	}
	seen := map[*string]bool{}
	for _, field := range read {
		target := f.named(field.name)
		switch {
		case target == nil:
		case seen[target]:
			*target = ""
		default:
			*target, seen[target] = field.text, true
		}
	}
	return f
}

// named compares without case: WeCom's bots write msgtype, and a parser of the app's may not care.
func (f *Fields) named(name string) *string {
	switch strings.ToLower(name) {
	case "tousername":
		return &f.ToUserName
	case "fromusername":
		return &f.FromUserName
	case "msgtype":
		return &f.MsgType
	case "event":
		return &f.Event
	case "infotype":
		return &f.InfoType
	case "agentid":
		return &f.AgentID
	}
	return nil
}
