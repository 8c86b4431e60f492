// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/sidecar"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// TestSlowStrangersDoNotHoldUpAMessage: each announces the longest body, sends a little of it and waits. Where the signature
// covers the body, it has to be read before anything is known of the sender.
func TestSlowStrangersDoNotHoldUpAMessage(t *testing.T) {
	const strangers = 64
	s, sender := newAccountStage(t, accounts()["an Official Account, encrypted"])
	forged, err := sender.NewPost([]byte(xmlText), wechattest.WithToken("forged-token"))
	if err != nil {
		t.Fatal(err)
	}
	for range strangers {
		connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/weixin"))
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		if _, err := fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n<xml>", forged.URI(), sidecar.MaxUnverifiedSize); err != nil {
			t.Fatal(err)
		}
	}

	long := strings.Replace(xmlText, "hi", strings.Repeat("long ", 20_000), 1)
	answer, err := sender.Post(t.Context(), []byte(long))
	if must(t, answer, err); answer.Status != http.StatusOK || s.app.count() != 1 {
		t.Errorf("answered %d, the app saw %d messages", answer.Status, s.app.count())
	}
}
