// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechattest

import "testing"

func TestDiagnoseSuccessAndAcknowledgement(t *testing.T) {
	for name, test := range map[string]struct {
		answer                Answer
		success, acknowledged want
	}{
		"success":            {Answer{Status: 200, Body: []byte("success")}, want{}, want{}},
		"nothing":            {Answer{Status: 200}, want{CodeReply, []string{"is empty"}}, want{}},
		"success and a line": {Answer{Status: 200, Body: []byte("success\n")}, want{CodeReply, []string{`"success\n"`}}, want{CodeReply, nil}},
		"quoted":             {Answer{Status: 200, Body: []byte(`"success"`)}, want{CodeReply, nil}, want{CodeReply, nil}},
		"created":            {Answer{Status: 201, Body: []byte("success")}, want{CodeStatus, nil}, want{CodeStatus, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			_, refusal := DiagnoseSuccess(test.answer, nil)
			test.success.check(t, refusal)
			_, refusal = DiagnoseAcknowledgement(test.answer, nil)
			test.acknowledged.check(t, refusal)
		})
	}
}
