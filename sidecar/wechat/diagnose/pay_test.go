// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"errors"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

func TestDiagnoseNotification(t *testing.T) {
	fail := []byte(`{"code":"FAIL","message":"no"}`)
	for name, test := range map[string]struct {
		answer caller.Answer
		err    error
		want   want
	}{
		"200":                         {caller.Answer{Status: 200}, nil, want{}},
		"204":                         {caller.Answer{Status: 204}, nil, want{}},
		"200 and SUCCESS":             {caller.Answer{Status: 200, Body: []byte(`{"code":"SUCCESS"}`)}, nil, want{}},
		"200 and FAIL":                {caller.Answer{Status: 200, Body: fail}, nil, want{CodeReply, []string{"never come again"}}},
		"403 and FAIL":                {caller.Answer{Status: 403, Body: fail}, nil, want{CodeNotTaken, []string{"403 Forbidden", "Wechatpay-Serial", "FAIL"}}},
		"500 and FAIL":                {caller.Answer{Status: 500, Body: fail}, nil, want{CodeNotTaken, []string{"500"}}},
		"400 without FAIL":            {caller.Answer{Status: 400}, nil, want{CodeStatus, []string{"200 and 204", `{"code":"FAIL",…}`}}},
		"502 without FAIL":            {caller.Answer{Status: 502}, nil, want{CodeServerError, []string{`{"code":"FAIL",…}`}}},
		"404":                         {caller.Answer{Status: 404}, nil, want{CodeNotFound, nil}},
		"a redirect":                  {caller.Answer{Status: 301}, nil, want{CodeRedirect, nil}},
		"five seconds to the dot":     {caller.Answer{Status: 204, Elapsed: caller.Timeout}, nil, want{}},
		"a moment later":              {caller.Answer{Status: 204, Elapsed: caller.Timeout + time.Millisecond}, nil, want{CodeTimeout, nil}},
		"a connection that broke off": {caller.Answer{}, errors.New("weather"), want{CodeConnectionCut, nil}},
	} {
		t.Run(name, func(t *testing.T) { test.want.check(t, Notification(test.answer, test.err)) })
	}
}
