// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"context"
	"fmt"
	"net/http"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// CodeSealed says that the reply cannot be opened as WeChat opens it.
const CodeSealed Code = "sealed"

// Scenario judges the answer to a scenario, with what is sealed in it opened: WeChat would take it if there is no Refusal. Err is that of
// Send.
func Scenario(scenario caller.Scenario, answer caller.Answer, err error) (Reply, *Refusal) {
	switch scenario.Wants {
	case caller.WantsSuccess:
		return Success(answer, err)
	case caller.WantsAcknowledgement:
		return Acknowledgement(answer, err)
	case caller.WantsNothing:
		return judgeEmpty(answer, err)
	case caller.WantsText:
		return judgeText(scenario.WantedText, answer, err)
	case caller.WantsTaken:
		return Reply{}, Notification(answer, err)
	case caller.WantsRefusal:
		return judgeProbe(answer, err)
	case caller.WantsReply:
	}
	return Message(answer, err)
}

// Play sends a scenario once, opens what is sealed, and judges the answer.
func Play(ctx context.Context, s *caller.Sender, scenario caller.Scenario, mutations ...caller.Mutation) (Reply, *Refusal) {
	request, err := s.NewScenario(scenario, mutations...)
	if err != nil {
		return Reply{}, &Refusal{CodeURL, "the message cannot be sent: " + err.Error(), "correct what the cause names"}
	}
	answer, err := s.Send(ctx, request)
	answer, refusal := Open(s, answer, err)
	if refusal != nil {
		return Reply{}, refusal
	}
	return Scenario(scenario, answer, err)
}

// Open returns the answer with what is sealed in it opened, and any other as it is: what is judged is what the app said. Err is that of
// Send.
func Open(s *caller.Sender, answer caller.Answer, err error) (caller.Answer, *Refusal) {
	if err != nil || s.EncodingAESKey == "" || answer.Status != http.StatusOK || wechat.Acknowledges(answer.Body) {
		return answer, nil
	}
	opened, openErr := s.OpenReply(answer.Body)
	if openErr != nil {
		return answer, &Refusal{CodeSealed, "the reply cannot be opened: " + openErr.Error(),
			"let the sidecar seal it (payload: Decrypted), or check the app's own EncodingAESKey and AppID"}
	}
	answer.Body, answer.Sealed = opened, true
	return answer, nil
}

// Success judges the answer to a ticket, an authorization or a suite's command: exactly success, with 200. A ticket
// that is not taken comes again in ten minutes; an authorization does not.
func Success(answer caller.Answer, err error) (Reply, *Refusal) {
	if refusal := diagnoseExchange(answer, err); refusal != nil {
		return Reply{}, refusal
	}
	if string(answer.Body) != wechat.Success {
		return Reply{}, badReply("is "+shown(answer)+", and WeChat wants success and nothing else", "write success without quotation marks and without a line end")
	}
	return Reply{Kind: ReplySuccess}, nil
}

// Acknowledgement judges the answer to an event that nobody sees a reply to: success, or nothing.
func Acknowledgement(answer caller.Answer, err error) (Reply, *Refusal) {
	reply, refusal := Success(answer, err)
	if refusal != nil && refusal.Code == CodeReply && len(answer.Body) == 0 {
		return Reply{Kind: ReplyEmpty}, nil
	}
	return reply, refusal
}

// judgeEmpty wants nothing at all. Success shows the user nothing either, but the page of the release check asks for an
// empty string, and it is the letter that is checked there.
func judgeEmpty(answer caller.Answer, err error) (Reply, *Refusal) {
	if refusal := diagnoseExchange(answer, err); refusal != nil {
		return Reply{}, refusal
	}
	if len(answer.Body) > 0 {
		return Reply{}, badReply("is "+shown(answer)+", and the release check asks for an empty one",
			"answer at once with an empty body, and then write the code and _from_api by the customer service API")
	}
	return Reply{Kind: ReplyEmpty}, nil
}

// judgeText wants a text reply with this content.
func judgeText(content string, answer caller.Answer, err error) (Reply, *Refusal) {
	reply, refusal := Message(answer, err)
	if refusal == nil && (reply.Type != "text" || reply.Content != content) {
		refusal = badReply("is "+shown(answer)+", and the release check asks for the text "+content, "answer with a passive reply whose MsgType is text and whose Content is "+content)
	}
	return reply, refusal
}

// shown quotes the body for a sentence.
func shown(a caller.Answer) string {
	if len(a.Body) == 0 {
		return "empty"
	}
	return excerpt(a, a.Body)
}

// judgeProbe wants a refusal in the form that WeChat Pay documents: a status of 4xx or 5xx, and JSON with the code FAIL.
func judgeProbe(answer caller.Answer, err error) (Reply, *Refusal) {
	switch {
	case err != nil:
		return Reply{}, diagnoseError(answer, err)
	case answer.Elapsed > caller.Timeout:
		return Reply{}, tooLate(answer)
	case answer.Status/100 == 2:
		return Reply{}, &Refusal{CodeUnverified, fmt.Sprintf("the server answered %d to a notification with a wrong signature, so that anybody can tell it of payments", answer.Status),
			`verify Wechatpay-Signature with WeChat Pay's public key, and answer 401 with a body like {"code":"FAIL","message":"signature"} where it is wrong`}
	case answer.Status/100 == 3:
		return Reply{}, diagnoseStatus(answer)
	case saysFail(answer.Body):
		return Reply{}, nil
	case answer.Status == http.StatusNotFound, answer.Status >= 500:
		return Reply{}, diagnosePayStatus(answer)
	}
	return Reply{}, badReply("is "+shown(answer)+", and WeChat Pay wants JSON with the code FAIL", `answer a refusal with a body like {"code":"FAIL","message":"signature"}`)
}
