// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// FaultNotice is what WeChat shows the user when it has no use for an answer.
const FaultNotice = "该公众号提供的服务出现故障，请稍后再试"

// ReplyKind says what an answer to a message does.
type ReplyKind string

// The kinds of a Reply.
const (
	ReplyEmpty   ReplyKind = "empty"   // the user is shown nothing
	ReplySuccess ReplyKind = "success" // likewise
	ReplyMessage ReplyKind = "message" // the user is shown a message
)

// Reply is the answer to a message, as WeChat reads it.
type Reply struct {
	Kind ReplyKind
	// To, From and Type are ToUserName, FromUserName and MsgType of a message.
	To, From, Type string
	// Content is a text message's.
	Content string
}

// Message judges the answer to a message (the Sender's Text or Post, or Send of what NewText and NewPost made) as WeChat would.
// Its Refusal is nil when WeChat would take the answer; otherwise the user is shown the FaultNotice, at the latest after
// the last try.
//
// WeChat documents three answers: none at all, success, and the XML of a passive reply. Whether it bears white space
// around them is not documented; around XML it is taken here, around success it is not.
func Message(answer caller.Answer, err error) (Reply, *Refusal) {
	if refusal := diagnoseExchange(answer, err); refusal != nil {
		return Reply{}, refusal
	}
	switch {
	case len(answer.Body) == 0:
		return Reply{Kind: ReplyEmpty}, nil
	case string(answer.Body) == "success":
		return Reply{Kind: ReplySuccess}, nil
	case answer.Truncated:
		return Reply{}, badReply("is longer than 64 KiB", "answer with a passive reply; long texts are sent by the customer service API")
	case compressed(answer):
		return Reply{}, badReply("is compressed, which WeChat did not ask for", "switch compression off for this path")
	case bytes.Equal(bytes.TrimSpace(answer.Body), []byte("success")):
		return Reply{}, badReply("has white space around success", "write success without a line end")
	case len(bytes.TrimSpace(answer.Body)) == 0:
		return Reply{}, badReply("is white space", "write nothing at all, or success")
	}
	return diagnoseMessage(answer)
}

func diagnoseMessage(answer caller.Answer) (Reply, *Refusal) {
	if answer.Form == wechat.FormJSONLower {
		return diagnoseBotReply(answer)
	}
	parse, notation, form := parseReply, "XML", "answer with nothing, with success, or with <xml> that holds ToUserName, FromUserName, CreateTime and MsgType"
	if answer.Form == wechat.FormJSON {
		parse, notation, form = parseJSONReply, "JSON", "answer with nothing, with success, or with a JSON object that holds ToUserName, FromUserName, CreateTime and MsgType"
	}
	message, err := parse(answer.Body)
	reply := Reply{ReplyMessage, message.ToUserName, message.FromUserName, message.MsgType, message.Content}
	switch {
	case err != nil:
		return Reply{}, badReply("is neither empty, nor success, nor the "+notation+" of a reply: "+excerpt(answer, answer.Body), form)
	case message.ToUserName == "":
		return reply, badReply("has no ToUserName", form+"; ToUserName is the message's FromUserName")
	case answer.From != "" && message.ToUserName != answer.From:
		return reply, badReply("is to "+excerpt(answer, []byte(message.ToUserName))+", who is not the user that wrote", "put the message's FromUserName into the reply's ToUserName, and the other way round")
	case message.FromUserName == "":
		return reply, badReply("has no FromUserName", form+"; FromUserName is the message's ToUserName")
	case message.CreateTime == "":
		return reply, badReply("has no CreateTime", form)
	case message.MsgType == "":
		return reply, badReply("has no MsgType", form)
	case message.MsgType == "text" && message.Content == "":
		return reply, badReply("is a text without Content", "answer with success to say nothing")
	}
	return reply, nil
}

// diagnoseBotReply judges the reply to what a user writes to a bot, which names nobody. A text is documented for the
// welcome only, when a user comes in. (developer.work.weixin.qq.com/document/path/101031)
func diagnoseBotReply(answer caller.Answer) (Reply, *Refusal) {
	const form = "answer with nothing, or with a JSON object whose msgtype is stream, template_card or stream_with_template_card"
	var said struct {
		MsgType string `json:"msgtype"`
		Stream  struct {
			Content string `json:"content"`
		} `json:"stream"`
	}
	if err := json.Unmarshal(answer.Body, &said); err != nil || said.MsgType == "" {
		return Reply{}, badReply("is neither empty nor the JSON of a bot's reply: "+excerpt(answer, answer.Body), form)
	}
	reply := Reply{Kind: ReplyMessage, Type: said.MsgType, Content: said.Stream.Content}
	if said.MsgType == "text" {
		return reply, badReply("is a text, which a bot may answer to a user's arrival only", form)
	}
	return reply, nil
}

func badReply(what, remedy string) *Refusal {
	return &Refusal{CodeReply, "the reply " + what, remedy}
}

type passiveReply struct {
	XMLName      xml.Name `xml:"xml"`
	ToUserName   string
	FromUserName string
	CreateTime   string
	MsgType      string
	Content      string
}

// parseJSONReply reads one JSON object and nothing after it.
func parseJSONReply(body []byte) (passiveReply, error) {
	var reply struct {
		ToUserName, FromUserName, MsgType, Content string
		CreateTime                                 json.RawMessage // a number, or a text
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return passiveReply{}, err
	}
	return passiveReply{
		ToUserName: reply.ToUserName, FromUserName: reply.FromUserName, MsgType: reply.MsgType, Content: reply.Content,
		CreateTime: string(bytes.Trim(reply.CreateTime, `"`)),
	}, nil
}

// parseReply reads one <xml> element and nothing after it.
func parseReply(body []byte) (passiveReply, error) {
	var reply passiveReply
	decoder := xml.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(&reply); err != nil {
		return passiveReply{}, err
	}
	for {
		token, err := decoder.Token()
		switch token := token.(type) {
		case nil:
			if errors.Is(err, io.EOF) {
				return reply, nil
			}
			return passiveReply{}, err
		case xml.CharData:
			if len(bytes.TrimSpace(token)) == 0 {
				continue
			}
		}
		return passiveReply{}, errors.New("something follows the reply")
	}
}
