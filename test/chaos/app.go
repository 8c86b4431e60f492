// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// maxMessage bounds a message's body, as the sidecar does. Bytes.
const maxMessage = 1 << 20

// App is an app that notes the text of each message before it answers with Reply. A text that cannot be noted is answered with 503.
func App(note func(ctx context.Context, text string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
		if err != nil {
			http.Error(w, "the body cannot be read", http.StatusBadRequest)
			return
		}
		message := readText(body)
		if err := note(r.Context(), message.Content); err != nil {
			http.Error(w, "the message cannot be noted", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write(message.reply()) // who has hung up wants no answer
	}
}

// textMessage is what is read of a message. One that is no text has no Content, which is noted too.
type textMessage struct {
	ToUserName, FromUserName, Content string

	json bool
}

func readText(body []byte) textMessage {
	var m textMessage
	if m.json = bytes.HasPrefix(body, []byte("{")); m.json {
		_ = json.Unmarshal(body, &m)
	} else {
		_ = xml.Unmarshal(body, &m)
	}
	return m
}

// reply has the form of the message. What a passive reply has, a text message has too.
func (m textMessage) reply() []byte {
	if m.json {
		return caller.JSONTextMessage(m.FromUserName, m.ToUserName, Reply(m.Content), 1, time.Now())
	}
	return caller.TextMessage(m.FromUserName, m.ToUserName, Reply(m.Content), "1", time.Now())
}
