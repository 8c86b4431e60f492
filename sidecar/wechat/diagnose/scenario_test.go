// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"testing"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

func TestDiagnoseSuccessAndAcknowledgement(t *testing.T) {
	for name, test := range map[string]struct {
		answer                caller.Answer
		success, acknowledged want
	}{
		"success":            {caller.Answer{Status: 200, Body: []byte("success")}, want{}, want{}},
		"nothing":            {caller.Answer{Status: 200}, want{CodeReply, []string{"is empty"}}, want{}},
		"success and a line": {caller.Answer{Status: 200, Body: []byte("success\n")}, want{CodeReply, []string{`"success\n"`}}, want{CodeReply, nil}},
		"quoted":             {caller.Answer{Status: 200, Body: []byte(`"success"`)}, want{CodeReply, nil}, want{CodeReply, nil}},
		"created":            {caller.Answer{Status: 201, Body: []byte("success")}, want{CodeStatus, nil}, want{CodeStatus, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			_, refusal := Success(test.answer, nil)
			test.success.check(t, refusal)
			_, refusal = Acknowledgement(test.answer, nil)
			test.acknowledged.check(t, refusal)
		})
	}
}
