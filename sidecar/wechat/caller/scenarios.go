// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"net/http"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Scenario is one message of WeChat's documentation, with the answer that the documentation asks for.
type Scenario struct {
	// Name says what is played, as a noun.
	Name string
	// Message is what the app is told, before it is encrypted; for Pay, the resource.
	Message []byte
	// Address is what stands on an encrypted message's envelope: nil is the Sender's account as ToUserName, and what is
	// empty but not nil is nobody.
	Address []wechat.Address
	// From is the openid that stands in the query, empty where the documentation has none.
	From string
	// PathID stands in the URL's path in place of $APPID$ or $CORPID$.
	PathID string
	// EventType is the event_type of a notification of Pay, empty for all others.
	EventType string
	// Mutations belong to the scenario.
	Mutations []Mutation
	// Wants is the answer that the documentation asks for, and WantedText the content of a WantsText.
	Wants      Wants
	WantedText string
}

// Wants is a kind of answer.
type Wants int

// The kinds.
const (
	WantsReply           Wants = iota // a passive reply, success, or nothing
	WantsSuccess                      // success, and nothing else
	WantsAcknowledgement              // success, or nothing
	WantsNothing                      // nothing at all
	WantsText                         // a text with a certain content
	WantsTaken                        // Pay: 200 or 204
	WantsRefusal                      // Pay: 4xx or 5xx, with the code FAIL
)

// NewScenario makes the POST of a scenario. Errors are as in NewURLCheck.
func (s *Sender) NewScenario(scenario Scenario, mutations ...Mutation) (*Request, error) {
	d := Draft{
		Method: http.MethodPost, Body: scenario.Message, address: scenario.Address, pathID: scenario.PathID, eventType: scenario.EventType,
	}
	if scenario.From != "" {
		d.OpenID = &scenario.From
	}
	return s.make(d, append(scenario.Mutations[:len(scenario.Mutations):len(scenario.Mutations)], mutations...))
}

// TextScenario is a user's text, in the notation and with the fields of the Sender's kind of account.
func (s *Sender) TextScenario(from, content string) Scenario {
	scenario := Scenario{Name: "a text message", From: from, Wants: WantsReply}
	id, now := digits(17), s.now()
	switch {
	case s.Form == wechat.FormJSONLower:
		scenario.Message, scenario.Address = BotTextMessage("AIBOT"+digits(6), from, content, id), []wechat.Address{}
	case s.Form == wechat.FormJSON:
		scenario.Message = JSONTextMessage(s.account(), from, content, now.UnixNano(), now)
	case s.WeCom:
		const agent = "1000002"
		scenario.Message = AppTextMessage(s.account(), from, content, id, agent, now)
		scenario.Address = []wechat.Address{{Name: "ToUserName", Value: s.account()}, {Name: "AgentID", Value: agent}}
	default:
		scenario.Message = TextMessage(s.account(), from, content, id, now)
	}
	return scenario
}

// TicketScenario is a component_verify_ticket. It is no real one: an app that keeps it cannot use it, until the next real
// one comes within ten minutes.
func (s *Sender) TicketScenario() Scenario {
	message := ComponentTicket(s.ReceiverID, "ticket@@@"+digits(20), s.now())
	return Scenario{Name: "a component_verify_ticket", Message: message, Address: s.component(), Wants: WantsSuccess}
}

// AuthorizationScenario says that the account with AppID authorizer has changed what it allows the third-party platform.
func (s *Sender) AuthorizationScenario(kind, authorizer string) Scenario {
	message := AuthorizationChange(kind, s.ReceiverID, authorizer, s.now())
	return Scenario{Name: "the event " + kind, Message: message, Address: s.component(), Wants: WantsSuccess}
}

// component is on the envelope of what is for a third-party platform itself: AppId in place of ToUserName.
func (s *Sender) component() []wechat.Address {
	return []wechat.Address{{Name: "AppId", Value: s.ReceiverID}}
}

// SuiteTicketScenario is a suite_ticket of WeCom, which is no real one either. The Sender's ReceiverID is the suite's id.
func (s *Sender) SuiteTicketScenario() Scenario {
	return Scenario{
		Name: "a suite_ticket", Message: SuiteTicket(s.ReceiverID, digits(32), s.now()),
		Address: []wechat.Address{{Name: "ToUserName", Value: s.ReceiverID}}, Wants: WantsSuccess,
	}
}

// ShopScenario is a new order of a shop. Its answer is success, or nothing.
func (s *Sender) ShopScenario(from string) Scenario {
	message := ShopOrder("channels_ec_order_new", s.account(), from, 3705115058471208928, s.now())
	return Scenario{Name: "the event channels_ec_order_new", Message: message, Wants: WantsAcknowledgement}
}

// PaymentScenario is a notification of a payment of one fen to the merchant.
func (s *Sender) PaymentScenario(merchant, openid string) Scenario {
	return Scenario{
		Name: "the notification of a payment", Message: Payment(merchant, "wxd678efh567hg6787", openid, "test-"+digits(17), 1, s.now()),
		EventType: "TRANSACTION.SUCCESS", Wants: WantsTaken,
	}
}

// ProbeScenario is a notification with a signature that is wrong, and says so: by such calls WeChat Pay tests whether
// anybody looks. It must be refused.
func (s *Sender) ProbeScenario(merchant, openid string) Scenario {
	scenario := s.PaymentScenario(merchant, openid)
	scenario.Name, scenario.Mutations = "a notification with WeChat Pay's test signature", []Mutation{WithProbeSignature()}
	scenario.Wants = WantsRefusal
	return scenario
}

// ReleaseAccount is one of the accounts that WeChat's release check plays with.
type ReleaseAccount struct {
	AppID, Username string
	MiniProgram     bool
}

// ReleaseAccounts are in five groups, of which the check takes one at random: Official Accounts first, then Mini Programs.
// (全网发布检测说明, developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/operation/thirdparty/releases_instructions.html;
// its English translation gives the second Official Account another name.)
var ReleaseAccounts = []ReleaseAccount{
	{"wx570bc396a51b8ff8", "gh_3c884a361561", false},
	{"wx9252c5e0bb1836fc", "gh_c0f28a78b318", false},
	{"wx8e1097c5bc82cde9", "gh_3f222ed8d140", false},
	{"wx14550af28c71a144", "gh_26128078e9ab", false},
	{"wxa35b9c23cfe664eb", "gh_2b3713f184a6", false},
	{"wxd101a85aa106f53e", "gh_8dad206e9538", true},
	{"wxc39235c15087f6f3", "gh_905ae9d01059", true},
	{"wx7720d01d4b2a4500", "gh_393666f1fdf4", true},
	{"wx05d483572dcd5d8b", "gh_39abb5d4e1b7", true},
	{"wx5910277cae6fd970", "gh_7818dcb60240", true},
}

// What the release check writes, and what is to be answered.
const (
	releaseText  = "TESTCOMPONENT_MSG_TYPE_TEXT"
	releaseReply = "TESTCOMPONENT_MSG_TYPE_TEXT_callback"
	releaseQuery = "QUERY_AUTH_CODE:"
	eventReply   = "LOCATIONfrom_callback"
)

// ReleaseCheck is what WeChat sends in the name of an account before a third-party platform may be published (全网发布检测),
// to its 消息与事件接收URL; the ticket, to the other URL, is TicketScenario. The page is that of ReleaseAccounts.
//
// The second message is answered with nothing at once, and then by the customer service API with the code and _from_api,
// which cannot be seen here: the code is none of WeChat's, so that the app's call of that API fails. The event stands in
// older copies of the page only, and is sent for Official Accounts.
func (s *Sender) ReleaseCheck(account ReleaseAccount, from string) []Scenario {
	played := func(name string, message []byte, wants Wants, wantedText string) Scenario {
		return Scenario{
			Name: name, Message: message, From: from, PathID: account.AppID, Wants: wants, WantedText: wantedText,
			Address: []wechat.Address{{Name: "ToUserName", Value: account.Username}},
		}
	}
	text := func(content string) []byte { return TextMessage(account.Username, from, content, digits(17), s.now()) }
	all := []Scenario{
		played("the text "+releaseText, text(releaseText), WantsText, releaseReply),
		played("the text "+releaseQuery+"…", text(releaseQuery+"queryauthcode@@@"+digits(17)), WantsNothing, ""),
	}
	if !account.MiniProgram {
		all = append(all, played("the event LOCATION", LocationEvent(account.Username, from, s.now()), WantsText, eventReply))
	}
	return all
}
