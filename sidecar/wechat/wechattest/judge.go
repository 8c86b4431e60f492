// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechattest

import (
	"fmt"
	"net/http"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// CodeSealed says that the reply cannot be opened as WeChat opens it.
const CodeSealed Code = "sealed"

// OpenAnswer returns the answer with what is sealed in it opened, and any other as it is: what a judge judges is what the
// app said. Err is that of Send.
func (s *Sender) OpenAnswer(answer Answer, err error) (Answer, *Refusal) {
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

// DiagnoseSuccess judges the answer to a ticket, an authorization or a suite's command: exactly success, with 200. A ticket
// that is not taken comes again in ten minutes; an authorization does not.
func DiagnoseSuccess(answer Answer, err error) (Reply, *Refusal) {
	if refusal := diagnoseExchange(answer, err); refusal != nil {
		return Reply{}, refusal
	}
	if string(answer.Body) != wechat.Success {
		return Reply{}, badReply("is "+answer.shown()+", and WeChat wants success and nothing else", "write success without quotation marks and without a line end")
	}
	return Reply{Kind: ReplySuccess}, nil
}

// DiagnoseAcknowledgement judges the answer to an event that nobody sees a reply to: success, or nothing.
func DiagnoseAcknowledgement(answer Answer, err error) (Reply, *Refusal) {
	reply, refusal := DiagnoseSuccess(answer, err)
	if refusal != nil && refusal.Code == CodeReply && len(answer.Body) == 0 {
		return Reply{Kind: ReplyEmpty}, nil
	}
	return reply, refusal
}

// judgeEmpty wants nothing at all. Success shows the user nothing either, but the page of the release check asks for an
// empty string, and it is the letter that is checked there.
func judgeEmpty(answer Answer, err error) (Reply, *Refusal) {
	if refusal := diagnoseExchange(answer, err); refusal != nil {
		return Reply{}, refusal
	}
	if len(answer.Body) > 0 {
		return Reply{}, badReply("is "+answer.shown()+", and the release check asks for an empty one",
			"answer at once with an empty body, and then write the code and _from_api by the customer service API")
	}
	return Reply{Kind: ReplyEmpty}, nil
}

// judgeText wants a text reply with this content.
func judgeText(content string) Judge {
	return func(answer Answer, err error) (Reply, *Refusal) {
		reply, refusal := DiagnoseReply(answer, err)
		if refusal == nil && (reply.Type != "text" || reply.Content != content) {
			refusal = badReply("is "+answer.shown()+", and the release check asks for the text "+content, "answer with a passive reply whose MsgType is text and whose Content is "+content)
		}
		return reply, refusal
	}
}

// shown quotes the body for a sentence.
func (a Answer) shown() string {
	if len(a.Body) == 0 {
		return "empty"
	}
	return a.excerpt(a.Body)
}

func judgeNotification(answer Answer, err error) (Reply, *Refusal) {
	return Reply{}, DiagnoseNotification(answer, err)
}

// judgeProbe wants a refusal in the form that WeChat Pay documents: a status of 4xx or 5xx, and JSON with the code FAIL.
func judgeProbe(answer Answer, err error) (Reply, *Refusal) {
	switch {
	case err != nil:
		return Reply{}, diagnoseError(answer, err)
	case answer.Elapsed > Timeout:
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
	return Reply{}, badReply("is "+answer.shown()+", and WeChat Pay wants JSON with the code FAIL", `answer a refusal with a body like {"code":"FAIL","message":"signature"}`)
}
