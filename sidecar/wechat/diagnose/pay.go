// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// Codes of the answers to notifications of Pay.
const (
	// CodeNotTaken says that the answer is FAIL, in the form that Pay documents: the notification comes again.
	CodeNotTaken Code = "not_taken"
	// CodeUnverified says that a notification with a wrong signature was taken.
	CodeUnverified Code = "unverified"
)

// Notification judges the answer to a notification of Pay. It returns nil for 200 and 204 within 5 seconds, which
// need no body. What is refused comes again, up to 15 times in 24 hours; the body of a refusal is JSON with the code FAIL.
func Notification(answer caller.Answer, err error) *Refusal {
	taken := answer.Status == http.StatusOK || answer.Status == http.StatusNoContent
	switch {
	case err != nil:
		return diagnoseError(answer, err)
	case diagnoseReport(answer) != nil:
		return diagnoseReport(answer)
	case answer.Elapsed > caller.Timeout:
		return tooLate(answer)
	case taken && saysFail(answer.Body):
		return &Refusal{CodeReply, fmt.Sprintf("the body says FAIL and the status is %d, by which WeChat Pay goes: the notification would never come again", answer.Status),
			"answer 4xx or 5xx where the app has not taken the notification"}
	case taken:
		return nil
	case answer.Status/100 == 3:
		return diagnoseStatus(answer)
	case saysFail(answer.Body):
		return notTaken(answer)
	}
	refusal := diagnosePayStatus(answer)
	refusal.Cause += `, without the JSON {"code":"FAIL",…} that Pay documents for it`
	return refusal
}

// notTaken names what 4xx and 5xx mean where somebody who knows the protocol answered.
func notTaken(answer caller.Answer) *Refusal {
	refusal := diagnosePayStatus(answer)
	refusal.Code, refusal.Cause = CodeNotTaken, refusal.Cause+": "+excerpt(answer, answer.Body)
	return refusal
}

// diagnosePayStatus is diagnoseStatus where it speaks of what Pay does not have.
func diagnosePayStatus(answer caller.Answer) *Refusal {
	status := strings.TrimSpace(fmt.Sprintf("%d %s", answer.Status, http.StatusText(answer.Status)))
	switch {
	case answer.Status == http.StatusUnauthorized, answer.Status == http.StatusForbidden:
		return &Refusal{CodeForbidden, "the server answered " + status + ", most likely because it does not hold the public key that belongs to the signature",
			"compare Wechatpay-Serial with the ids and certificates that the server holds, then its APIv3 key, then its clock; the sidecar's log names the reason"}
	case answer.Status == http.StatusNotFound, answer.Status >= 500:
		return diagnoseStatus(answer)
	}
	return &Refusal{CodeStatus, "the server answered " + status + ", and WeChat Pay takes 200 and 204 only", "answer 200 or 204 once the app has taken the notification"}
}

// saysFail reports whether a body is the refusal that Pay documents.
func saysFail(body []byte) bool {
	var said struct{ Code string }
	return json.Unmarshal(body, &said) == nil && said.Code == "FAIL"
}
