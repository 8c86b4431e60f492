// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechattest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// The messages below are what stands inside an envelope, or is posted as it is in plaintext mode. No argument can leave its
// element.

// TextMessage is the XML of a user's text message.
func TextMessage(to, from, content, msgID string, created time.Time) []byte {
	return fmt.Appendf(nil, "<xml><ToUserName>%s</ToUserName>\n<FromUserName>%s</FromUserName>\n<CreateTime>%d</CreateTime>\n"+
		"<MsgType><![CDATA[text]]></MsgType>\n<Content>%s</Content>\n<MsgId>%s</MsgId>\n</xml>",
		wechat.CDATA(to), wechat.CDATA(from), created.Unix(), wechat.CDATA(content), xmlText(msgID))
}

var xmlText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace

// JSONTextMessage is a user's text message to a Mini Program whose console says JSON. The msgID is decimal digits.
func JSONTextMessage(to, from, content, msgID string, created time.Time) []byte {
	return toJSON(struct {
		ToUserName, FromUserName string
		CreateTime               int64
		MsgType, Content         string
		MsgID                    json.Number `json:"MsgId"`
	}{to, from, created.Unix(), "text", content, json.Number(msgID)})
}

// BotTextMessage is a user's text message to an AI bot (智能机器人) of WeCom.
func BotTextMessage(user, content, msgID string) []byte {
	type word struct {
		Content string `json:"content"`
	}
	return toJSON(struct {
		MsgID    string            `json:"msgid"`
		BotID    string            `json:"aibotid"`
		ChatType string            `json:"chattype"`
		From     map[string]string `json:"from"`
		MsgType  string            `json:"msgtype"`
		Text     word              `json:"text"`
	}{msgID, "AIBOTID", "single", map[string]string{"userid": user}, "text", word{content}})
}

// ShopOrderEvent is an event of a WeChat Shop (微信小店), whose order ids are too large for a float.
func ShopOrderEvent(to, from, orderID string, created time.Time) []byte {
	return toJSON(struct {
		ToUserName, FromUserName string
		CreateTime               int64
		MsgType, Event           string
		OrderInfo                map[string]json.Number `json:"order_info"`
	}{to, from, created.Unix(), "event", "channels_ec_order_new", map[string]json.Number{"order_id": json.Number(orderID)}})
}

// ComponentTicket is the component_verify_ticket that a third-party platform (第三方平台) is told every ten minutes.
func ComponentTicket(appID, ticket string, created time.Time) []byte {
	return fmt.Appendf(nil, "<xml><AppId>%s</AppId><CreateTime>%d</CreateTime><InfoType><![CDATA[component_verify_ticket]]></InfoType>"+
		"<ComponentVerifyTicket>%s</ComponentVerifyTicket></xml>", wechat.CDATA(appID), created.Unix(), wechat.CDATA(ticket))
}

// Authorization tells a third-party platform of an account: infoType is authorized, updateauthorized or unauthorized.
func Authorization(appID, infoType, authorizerAppID string, created time.Time) []byte {
	return fmt.Appendf(nil, "<xml><AppId>%s</AppId><CreateTime>%d</CreateTime><InfoType>%s</InfoType><AuthorizerAppid>%s</AuthorizerAppid></xml>",
		wechat.CDATA(appID), created.Unix(), wechat.CDATA(infoType), wechat.CDATA(authorizerAppID))
}

// SuiteTicket is the suite_ticket that a suite (第三方应用) of WeCom is told every ten minutes.
func SuiteTicket(suiteID, ticket string, created time.Time) []byte {
	return fmt.Appendf(nil, "<xml><SuiteId>%s</SuiteId><InfoType><![CDATA[suite_ticket]]></InfoType><TimeStamp>%d</TimeStamp><SuiteTicket>%s</SuiteTicket></xml>",
		wechat.CDATA(suiteID), created.Unix(), wechat.CDATA(ticket))
}

func toJSON(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // texts and numbers can be written as JSON
	}
	return text
}
