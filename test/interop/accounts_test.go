// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// The account's values. The AES key ends with a letter whose last bits stand for nothing, as most do.
const (
	token      = "interop-token"
	aesKey     = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
	appID      = "wx5823bf96d3bd56c7"
	userID     = "oInteropUser"
	accountID  = "gh_7f083739789a"
	suiteID    = "ww4asffe9xxx4c0f4c"
	corpID     = "wwddddccc7775555aaa"
	providerID = "wwprovider"
	authorizer = "wxauthorizer"
	// secretContent is what a user writes; no log may hold it.
	secretContent = "你好 <&> 😀"
)

// account is a kind of account in one mode.
type account struct {
	platform  string
	variant   string // the mode and what else tells it from the platform's other accounts
	mode      string
	receivers []string // nil is appID
	checkID   string   // the receiver of the console's echostr, where it differs
	path      string   // of the configuration; its placeholder stands for an id
	pathID    string   // that stands in the path of messages, where it is not the receiver
	json      bool
	lowerCase bool
	noCheck   bool
	ticket    bool // a command, which is answered with success
}

// accounts are all that the sidecar speaks to but Pay, whose notifications are another protocol. WeCom sends the echostr
// of a suite for the provider's own corpid.
var accounts = []account{
	{variant: "Plaintext XML", platform: config.PlatformOfficialAccount, mode: config.ModePlaintext},
	{variant: "Compatible XML", platform: config.PlatformOfficialAccount, mode: config.ModeCompatible},
	{variant: "Encrypted XML", platform: config.PlatformOfficialAccount, mode: config.ModeEncrypted},
	{variant: "Plaintext XML", platform: config.PlatformMiniProgram, mode: config.ModePlaintext},
	{variant: "Plaintext JSON", platform: config.PlatformMiniProgram, mode: config.ModePlaintext, json: true},
	{variant: "Compatible XML", platform: config.PlatformMiniProgram, mode: config.ModeCompatible},
	{variant: "Compatible JSON", platform: config.PlatformMiniProgram, mode: config.ModeCompatible, json: true},
	{variant: "Encrypted XML", platform: config.PlatformMiniProgram, mode: config.ModeEncrypted},
	{variant: "Encrypted JSON", platform: config.PlatformMiniProgram, mode: config.ModeEncrypted, json: true},
	{variant: "Encrypted JSON", platform: config.PlatformShop, json: true},
	{variant: "Encrypted app", platform: config.PlatformWeCom, receivers: []string{corpID}},
	{variant: "Encrypted bot JSON", platform: config.PlatformWeCom, receivers: []string{""}, json: true, lowerCase: true},
	{variant: "Encrypted suite commands", platform: config.PlatformWeCom, receivers: []string{suiteID, providerID}, checkID: providerID, ticket: true},
	{variant: "Encrypted suite data", platform: config.PlatformWeCom, receivers: []string{"$CORPID$"}, checkID: providerID, path: "/weixin/$CORPID$"},
	{variant: "Encrypted tickets", platform: config.PlatformOpenPlatform, ticket: true, noCheck: true},
	{variant: "Encrypted authorizer", platform: config.PlatformOpenPlatform, path: "/weixin/$APPID$/callback", pathID: authorizer, noCheck: true},
}

func named(name string) account {
	for _, a := range accounts {
		if a.name() == name {
			return a
		}
	}
	panic("there is no account " + name)
}

func (a account) name() string { return a.platform + " " + a.variant }

func (a account) encrypted() bool { return config.Encrypted(a.platform, a.mode) }

func (a account) weCom() bool { return a.platform == config.PlatformWeCom }

// receiver is the id within encrypted messages.
func (a account) receiver() string {
	switch {
	case a.receivers == nil:
		return appID
	case a.receivers[0] == config.PlaceholderCorpID:
		return corpID
	}
	return a.receivers[0]
}

// checkReceiver is the id within an encrypted echostr.
func (a account) checkReceiver() string {
	if a.checkID != "" {
		return a.checkID
	}
	return a.receiver()
}

// calledFor is the path that WeChat calls for a receiver.
func (a account) calledFor(receiver string) string {
	if a.path == "" {
		return "/weixin"
	}
	if a.pathID != "" {
		receiver = a.pathID
	}
	return strings.NewReplacer(config.PlaceholderAppID, receiver, config.PlaceholderCorpID, receiver).Replace(a.path)
}

// text is a message of a user's, or a ticket.
func (a account) text(content string) string {
	now := time.Now().Unix()
	switch {
	case a.ticket && a.weCom():
		return fmt.Sprintf("<xml><SuiteId>%s</SuiteId><InfoType>suite_ticket</InfoType><TimeStamp>%d</TimeStamp><SuiteTicket><![CDATA[%s]]></SuiteTicket></xml>", suiteID, now, content)
	case a.ticket:
		return fmt.Sprintf("<xml><AppId>%s</AppId><CreateTime>%d</CreateTime><InfoType>component_verify_ticket</InfoType><ComponentVerifyTicket><![CDATA[%s]]></ComponentVerifyTicket></xml>", appID, now, content)
	case a.lowerCase:
		return fmt.Sprintf(`{"msgid":"m1","aibotid":"b1","msgtype":"text","text":{"content":%q}}`, content)
	case a.json:
		return fmt.Sprintf(`{"ToUserName":%q,"FromUserName":%q,"CreateTime":%d,"MsgType":"text","Content":%q,"MsgId":22000000000000000001}`, accountID, userID, now, content)
	}
	return fmt.Sprintf("<xml><ToUserName><![CDATA[%s]]></ToUserName><FromUserName><![CDATA[%s]]></FromUserName><CreateTime>%d</CreateTime>"+
		"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[%s]]></Content><MsgId>6054768590064713728</MsgId><AgentID>218</AgentID></xml>", accountID, userID, now, content)
}

// envelope is the body that WeChat posts; in the compatible mode the message stands beside its Encrypt.
func (a account) envelope(message, encrypt string) string {
	switch {
	case !a.encrypted():
		return message
	case a.mode == config.ModeCompatible && a.json:
		return strings.TrimSuffix(message, "}") + fmt.Sprintf(`,"Encrypt":%q}`, encrypt)
	case a.mode == config.ModeCompatible:
		return strings.TrimSuffix(message, "</xml>") + "<Encrypt><![CDATA[" + encrypt + "]]></Encrypt></xml>"
	case a.lowerCase:
		return fmt.Sprintf(`{"encrypt":%q}`, encrypt)
	case a.json:
		return fmt.Sprintf(`{"ToUserName":%q,"Encrypt":%q}`, accountID, encrypt)
	case a.platform == config.PlatformOpenPlatform:
		return "<xml><AppId><![CDATA[" + appID + "]]></AppId><Encrypt><![CDATA[" + encrypt + "]]></Encrypt></xml>"
	}
	return "<xml><ToUserName><![CDATA[" + accountID + "]]></ToUserName><Encrypt><![CDATA[" + encrypt + "]]></Encrypt></xml>"
}

// stamp is the timestamp and the nonce of one request.
type stamp struct{ timestamp, nonce string }

var nonces int

func newStamp() stamp {
	nonces++
	return stamp{strconv.FormatInt(time.Now().Unix(), 10), strconv.Itoa(1_000_000 + nonces)}
}

func (s stamp) query(more ...string) url.Values {
	values := url.Values{"timestamp": {s.timestamp}, "nonce": {s.nonce}}
	for i := 0; i < len(more); i += 2 {
		values.Set(more[i], more[i+1])
	}
	return values
}
