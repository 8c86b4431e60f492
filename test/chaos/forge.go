// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"bytes"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// forgery is what somebody without the token sends who has seen a genuine request.
type forgery struct {
	make func(l *Load, genuine *caller.Request) *caller.Request
	// replay says that it bears the query of the genuine request.
	replay bool
}

// forgeries follow each other.
var forgeries = []forgery{{badSignature, false}, {changedBody, true}, {anotherBody, true}}

// An app that notes one of these texts has taken a forgery. The texts of replays are noted under a name of their own.
func (l *Load) forgedText() string   { return mark + " " + l.Name + " forged" }
func (l *Load) replayedText() string { return mark + " " + replaysOf(l.Name) + " forged" }

func replaysOf(load string) string { return load + "/replayed" }

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
		return genuine.WithBody(bytes.Replace(genuine.Body, []byte(mark+" "+l.Name), []byte(l.replayedText()), 1))
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
	return genuine.WithBody(caller.TextMessage(caller.DefaultAccount, openID, l.replayedText(), "1", time.Now()))
}
