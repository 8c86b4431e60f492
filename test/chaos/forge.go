// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"bytes"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// forgeries are what somebody without the token sends who has seen a genuine request.
var forgeries = []func(l *Load, genuine *caller.Request) *caller.Request{badSignature, changedBody, anotherBody}

// forgery is one of them; kinds follow each other.
func (l *Load) forgery(kind int, genuine *caller.Request) *caller.Request {
	return forgeries[kind%len(forgeries)](l, genuine)
}

// forgedText is what they say. An app that notes it has taken a forgery.
func (l *Load) forgedText() string { return mark + " " + l.Name + " forged" }

// badSignature signs with a token that is guessed.
func badSignature(l *Load, _ *caller.Request) *caller.Request {
	request, err := l.Sender.NewText(openID, l.forgedText(), func(d *caller.Draft) { d.Token = "GuessedToken" })
	if err != nil {
		panic(err) // the Sender's URL cannot be read
	}
	return request
}

// changedBody changes what a user has written, and where that is encrypted, one letter of it.
func changedBody(l *Load, genuine *caller.Request) *caller.Request {
	if l.Sender.EncodingAESKey == "" {
		return genuine.WithBody(bytes.Replace(genuine.Body, []byte(mark+" "+l.Name), []byte(l.forgedText()), 1))
	}
	body := bytes.Clone(genuine.Body)
	envelope := max(bytes.LastIndex(body, []byte("<Encrypt><![CDATA[")), bytes.LastIndex(body, []byte(`"Encrypt":"`)))
	if letter := &body[envelope+50]; *letter == 'A' {
		*letter = 'B'
	} else {
		*letter = 'A'
	}
	return genuine.WithBody(body)
}

// anotherBody replays the signed query with a message in plaintext.
func anotherBody(l *Load, genuine *caller.Request) *caller.Request {
	return genuine.WithBody(caller.TextMessage(caller.DefaultAccount, openID, l.forgedText(), "1", time.Now()))
}
