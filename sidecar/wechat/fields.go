// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"bytes"
	"slices"
	"strings"
)

// Fields are what decides about a message, and what an app is told of it: the fields that WeChat writes alone. None is read
// from a place where a user can write. One that stands twice is empty, because the app might read the other one.
type Fields struct {
	ToUserName, FromUserName string
	MsgType                  string
	// Event is empty where MsgType is not event. Of WeCom's bots it is event.eventtype.
	Event    string
	InfoType string
	AgentID  string
	// Unreadable says that the message has more fields than could be read, and that what decides is not among those read:
	// nobody knows what kind of message it is.
	Unreadable bool
}

// MustNotBeLost reports whether a message is of a kind that WeChat repeats for hours until it is taken, and that no user waits for:
// about money, or what a third-party platform or a suite is told. So is one of which nobody knows what it is about.
func (f Fields) MustNotBeLost() bool {
	return f.InfoType != "" || f.Unreadable || aboutMoney(f.Event)
}

// aboutMoney reports whether an event tells of a payment, or of goods to be delivered for one: virtual payment (xpay_…),
// mini games (minigame_…_deliver_notify) and payments through the platform (funds_order_…).
func aboutMoney(event string) bool {
	return strings.HasPrefix(event, "xpay_") || strings.HasPrefix(event, "funds_order_") || strings.HasSuffix(event, "_deliver_notify")
}

// ReadFields reads the fields of a verified message. They share its memory: it must not change any more.
func ReadFields(message []byte) Fields {
	var f fieldReader
	switch FormOf(message) {
	case FormXML:
		f.readXML(message)
	case FormJSON:
		f.readJSON(message)
	default:
		f.Unreadable = true
	}
	if f.MsgType != event {
		f.Event = ""
	}
	return f.Fields
}

// event is the MsgType of an event.
const event = "event"

// fieldReader fills Fields.
type fieldReader struct {
	Fields
	seen [fieldKinds]bool
}

// fieldKind is one of the Fields.
type fieldKind int

const (
	toUserName fieldKind = iota
	fromUserName
	msgType
	eventKind
	infoType
	agentID
	fieldKinds           // how many there are
	noField    fieldKind = -1
)

// set gives a field its value, or empties one that has been set before.
func (f *fieldReader) set(kind fieldKind, value string) {
	if value = strings.Trim(value, whiteSpace); f.seen[kind] {
		value = ""
	}
	f.seen[kind] = true
	switch kind {
	case toUserName:
		f.ToUserName = value
	case fromUserName:
		f.FromUserName = value
	case msgType:
		f.MsgType = value
	case eventKind:
		f.Event = value
	case infoType:
		f.InfoType = value
	case agentID:
		f.AgentID = value
	case noField, fieldKinds: // none is read of that kind
	}
}

// head are the elements that WeChat writes before anything that a user typed, in this order or almost: ToUserName,
// FromUserName, CreateTime, MsgType and Event of a message; AppId or the ids of a suite, and InfoType, of what third-party
// platforms and suites are told. All examples of Tencent's documents have it. An element that is not among them ends the head.
//
// This is why no user can decide: what he types reaches the document behind the head only, and from there on nothing is read
// but AgentID at the very end. So it is of no use to him to end the section that his text stands in and to go on with
// <Event> or <InfoType>.
var head = []string{
	"ToUserName", "FromUserName", "CreateTime", "MsgType", "Event", "AgentID", "MsgId",
	"AppId", "SuiteId", "ServiceCorpId", "AuthCorpId", "AuthCode", "InfoType", "TimeStamp",
}

func (f *fieldReader) readXML(message []byte) {
	rest, ok := afterRoot(message)
	for range head {
		var e element
		var after []byte
		if ok {
			e, after, ok = cutElement(rest)
		}
		if !ok || !slices.Contains(head, string(e.name)) {
			break
		}
		if kind := kindOf(e.name); kind != noField {
			f.set(kind, view(e.text))
		}
		rest = after
	}
	f.Unreadable = f.undecided() && string(trim(rest)) != "</xml>"
	if f.AgentID == "" {
		f.AgentID = lastAgentID(message)
	}
}

// undecided reports whether it is not known what kind of message this is.
func (f *fieldReader) undecided() bool {
	return f.InfoType == "" && (f.MsgType == "" || f.MsgType == event && f.Event == "")
}

// lastAgentID is the AgentID behind what a user typed: WeChat writes the end of the document.
func lastAgentID(message []byte) string {
	rest, ok := insideRoot(message)
	for range behindText {
		if !ok {
			break
		}
		var e element
		if e, rest, ok = cutLastElement(rest); ok && string(e.name) == "AgentID" {
			return view(e.text)
		}
		ok = ok && slices.Contains(behindText, string(e.name))
	}
	return ""
}

func (f *fieldReader) readJSON(message []byte) {
	err := eachMember(message, func(m member) error {
		switch kind := kindOf(m.name); {
		case kind == noField:
			return nil
		case kind == eventKind && m.value[0] == '{':
			return f.readEventType(m.value)
		case !m.isText() && kind != agentID:
			f.set(kind, "")
			return nil
		default:
			text, err := m.text()
			f.set(kind, text)
			return err
		}
	})
	if err != nil {
		f.Fields = Fields{Unreadable: true}
	}
}

// readEventType reads the kind of a bot's event (developer.work.weixin.qq.com/document/path/101027).
func (f *fieldReader) readEventType(object []byte) error {
	return eachMember(object, func(m member) error {
		if !strings.EqualFold(string(m.name), "eventtype") {
			return nil
		}
		text, err := m.text()
		f.set(eventKind, text)
		return err
	})
}

// maxFolded is longer than any name that is compared without case. Bytes.
const maxFolded = 16

// folded appends a name in lower case, or nothing where it is too long to be compared with.
func folded(lower, name []byte) []byte {
	if len(name) > maxFolded {
		return nil
	}
	for _, c := range name {
		switch {
		case c >= 0x80:
			return append(lower[:0], bytes.ToLower(name)...)
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		}
		lower = append(lower, c)
	}
	return lower
}

// kindOf compares without case: WeCom's bots write msgtype, and a parser of the app's may not care.
func kindOf(name []byte) fieldKind {
	var array [maxFolded]byte
	switch string(folded(array[:0], name)) {
	case "tousername":
		return toUserName
	case "fromusername":
		return fromUserName
	case "msgtype":
		return msgType
	case "event":
		return eventKind
	case "infotype":
		return infoType
	case "agentid":
		return agentID
	}
	return noField
}
