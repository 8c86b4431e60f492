// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// The messages below are those of Tencent's documentation, each with its page. No argument can leave its element.

// TextMessage is the XML of a text message of an Official Account or Mini Program.
// (developers.weixin.qq.com/doc/offiaccount/Message_Management/Receiving_standard_messages.html)
func TextMessage(to, from, content, msgID string, created time.Time) []byte {
	return fmt.Appendf(nil, "<xml><ToUserName>%s</ToUserName>\n<FromUserName>%s</FromUserName>\n<CreateTime>%d</CreateTime>\n"+
		"<MsgType><![CDATA[text]]></MsgType>\n<Content>%s</Content>\n<MsgId>%s</MsgId>\n</xml>",
		wechat.CDATA(to), wechat.CDATA(from), created.Unix(), wechat.CDATA(content), xmlText(msgID))
}

// JSONTextMessage is the same of a Mini Program whose console says JSON. Its msgID is sent as a number.
// (developers.weixin.qq.com/miniprogram/dev/framework/server-ability/message-push.html)
func JSONTextMessage(to, from, content string, msgID int64, created time.Time) []byte {
	return jsonText(struct {
		ToUserName, FromUserName string
		CreateTime               int64
		MsgType, Content         string
		MsgID                    int64 `json:"MsgId"`
	}{to, from, created.Unix(), "text", content, msgID})
}

// AppTextMessage is the XML of a text message to an app of WeCom: an account's id is the CorpID, a user's the userid.
// (developer.work.weixin.qq.com/document/path/96467)
func AppTextMessage(corpID, userID, content, msgID, agentID string, created time.Time) []byte {
	text := string(TextMessage(corpID, userID, content, msgID, created))
	return []byte(strings.TrimSuffix(text, "</xml>") + "<AgentID>" + xmlText(agentID) + "</AgentID>\n</xml>")
}

// BotTextMessage is the JSON of a text message to a bot of WeCom, written by one user alone with it.
// (developer.work.weixin.qq.com/document/path/100719)
func BotTextMessage(botID, userID, content, msgID string) []byte {
	type from struct {
		UserID string `json:"userid"`
	}
	type text struct {
		Content string `json:"content"`
	}
	return jsonText(struct {
		MsgID    string `json:"msgid"`
		BotID    string `json:"aibotid"`
		ChatType string `json:"chattype"`
		From     from   `json:"from"`
		MsgType  string `json:"msgtype"`
		Text     text   `json:"text"`
	}{msgID, botID, "single", from{userID}, "text", text{content}})
}

// LocationEvent is the XML of the event LOCATION, by which an Official Account is told where a user is.
// (developers.weixin.qq.com/doc/offiaccount/Message_Management/Receiving_event_pushes.html)
func LocationEvent(to, from string, created time.Time) []byte {
	return fmt.Appendf(nil, "<xml><ToUserName>%s</ToUserName>\n<FromUserName>%s</FromUserName>\n<CreateTime>%d</CreateTime>\n"+
		"<MsgType><![CDATA[event]]></MsgType>\n<Event><![CDATA[LOCATION]]></Event>\n"+
		"<Latitude>23.137466</Latitude>\n<Longitude>113.352425</Longitude>\n<Precision>119.385040</Precision>\n</xml>",
		wechat.CDATA(to), wechat.CDATA(from), created.Unix())
}

// ComponentTicket is the XML of the component_verify_ticket that a third-party platform gets every ten minutes.
// (developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/component_verify_ticket.html)
func ComponentTicket(appID, ticket string, created time.Time) []byte {
	return fmt.Appendf(nil, "<xml><AppId>%s</AppId>\n<CreateTime>%d</CreateTime>\n<InfoType>component_verify_ticket</InfoType>\n"+
		"<ComponentVerifyTicket>%s</ComponentVerifyTicket>\n</xml>", wechat.CDATA(appID), created.Unix(), wechat.CDATA(ticket))
}

// Kinds of an AuthorizationChange.
const (
	Authorized       = "authorized"
	UpdateAuthorized = "updateauthorized"
	Unauthorized     = "unauthorized"
)

// AuthorizationChange is the XML that tells a third-party platform what the account with AppID authorizer has allowed it.
// The kind is one of the constants; Unauthorized has no codes.
// (developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/authorize_event.html)
func AuthorizationChange(kind, appID, authorizer string, created time.Time) []byte {
	var codes string
	if kind != Unauthorized {
		codes = fmt.Sprintf("<AuthorizationCode>queryauthcode@@@%s</AuthorizationCode>\n"+
			"<AuthorizationCodeExpiredTime>%d</AuthorizationCodeExpiredTime>\n<PreAuthCode>preauthcode@@@%s</PreAuthCode>\n",
			digits(17), created.Add(time.Hour).Unix(), digits(17))
	}
	return fmt.Appendf(nil, "<xml><AppId>%s</AppId>\n<CreateTime>%d</CreateTime>\n<InfoType>%s</InfoType>\n<AuthorizerAppid>%s</AuthorizerAppid>\n%s</xml>",
		wechat.CDATA(appID), created.Unix(), xmlText(kind), wechat.CDATA(authorizer), codes)
}

// SuiteTicket is the XML of the suite_ticket that a suite of WeCom gets every ten minutes.
// (developer.work.weixin.qq.com/document/path/90628)
func SuiteTicket(suiteID, ticket string, created time.Time) []byte {
	return fmt.Appendf(nil, "<xml><SuiteId>%s</SuiteId>\n<InfoType><![CDATA[suite_ticket]]></InfoType>\n<TimeStamp>%d</TimeStamp>\n"+
		"<SuiteTicket>%s</SuiteTicket>\n</xml>", wechat.CDATA(suiteID), created.Unix(), wechat.CDATA(ticket))
}

// ShopOrder is the JSON of a shop's event about an order, such as channels_ec_order_new. Order ids are numbers beyond 2⁵³,
// which many a JSON library rounds.
// (developers.weixin.qq.com/doc/store/shop/notify/order_callback/channels_ec_order_new.html)
func ShopOrder(event, shop, from string, orderID int64, created time.Time) []byte {
	type order struct {
		OrderID int64 `json:"order_id"`
	}
	return jsonText(struct {
		ToUserName, FromUserName string
		CreateTime               int64
		MsgType, Event           string
		Order                    order `json:"order_info"`
	}{shop, from, created.Unix(), "event", event, order{orderID}})
}

// Payment is the JSON of the resource that tells a merchant of a payment; amount is in fen, a hundredth of a yuan.
// (pay.weixin.qq.com/docs/merchant/apis/h5-payment/payment-notice.html)
func Payment(merchant, appID, openid, tradeNumber string, amount int64, paid time.Time) []byte {
	type payer struct {
		OpenID string `json:"openid"`
	}
	type total struct {
		Total    int64  `json:"total"`
		Payer    int64  `json:"payer_total"`
		Currency string `json:"currency"`
	}
	return jsonText(struct {
		Merchant    string `json:"mchid"`
		AppID       string `json:"appid"`
		TradeNumber string `json:"out_trade_no"`
		Transaction string `json:"transaction_id"`
		Type        string `json:"trade_type"`
		State       string `json:"trade_state"`
		Description string `json:"trade_state_desc"`
		Paid        string `json:"success_time"`
		Payer       payer  `json:"payer"`
		Amount      total  `json:"amount"`
	}{merchant, appID, tradeNumber, "42" + digits(26), "JSAPI", "SUCCESS", "支付成功", beijing(paid), payer{openid}, total{amount, amount, "CNY"}})
}

// beijing is how Pay writes times.
func beijing(t time.Time) string {
	return t.In(time.FixedZone("", 8*60*60)).Format(time.RFC3339)
}

// jsonText writes JSON as WeChat does, with < and & as they are.
func jsonText(value any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // of strings and numbers, into memory
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

var xmlText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace
