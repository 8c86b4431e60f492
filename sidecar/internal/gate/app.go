// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"cmp"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Original is a message as WeChat sent it, for an app that verifies and decrypts with its own SDK.
type Original struct {
	Query  string            // raw, without the question mark
	Header map[string]string // of Pay
	Body   []byte
}

// Original rebuilds a message from what was verified. In plaintext mode and for Pay that is the body itself; an encrypted
// one gets a new envelope around its Encrypt, because the fields beside it are not authentic. Signature is computed anew
// for the SDKs that look at it: in encrypted modes it was not verified, and the token is known here.
func (g *Gate) Original(m *Message) Original {
	if m.payment != nil {
		return Original{Header: m.payment.header.Map(), Body: m.payment.original}
	}
	query := []string{}
	add := func(name, value string) {
		if value != "" {
			query = append(query, name+"="+url.QueryEscape(value))
		}
	}
	if g.config.Platform != config.PlatformWeCom {
		add("signature", wechat.Sign(m.pair.Token, m.Query.Timestamp, m.Query.Nonce))
	}
	add("timestamp", m.Query.Timestamp)
	add("nonce", m.Query.Nonce)
	if m.OpenID { // the query's own is not signed
		add("openid", m.Fields.FromUserName)
	}
	if !m.sealed {
		return Original{Query: strings.Join(query, "&"), Body: m.Body}
	}
	if g.config.Platform != config.PlatformWeCom {
		add("encrypt_type", "aes")
	}
	add("msg_signature", m.Query.MsgSignature)
	return Original{Query: strings.Join(query, "&"), Body: wechat.RequestEnvelope(m.Form, g.address(m), string(m.encrypt))}
}

// address is who stands on the envelope, from within it. Samples of Tencent's end in an exception where ToUserName is missing: that
// of what a suite is told is the suite's id.
func (g *Gate) address(m *Message) []wechat.Address {
	if g.config.Platform == config.PlatformOpenPlatform && m.Fields.InfoType != "" {
		return []wechat.Address{{Name: "AppId", Value: m.ReceiverID}}
	}
	return []wechat.Address{{Name: "ToUserName", Value: cmp.Or(m.Fields.ToUserName, m.ReceiverID)}, {Name: "AgentID", Value: m.Fields.AgentID}}
}

// Seal returns the envelope of an app's reply, encrypted with the key that opened the message; or nil for a message that came in
// plaintext, whose reply goes as it is. Random is fresh for each answer.
func (g *Gate) Seal(m *Message, reply []byte, random [wechat.RandomSize / 2]byte, now time.Time) (*wechat.Sealing, error) {
	if !m.sealed {
		return nil, nil
	}
	key := m.pair.key
	return wechat.NewSealing(m.Form, m.pair.Token, strconv.FormatInt(now.Unix(), 10), m.Query.Nonce, key, key.MarkedRandom(random), reply, m.ReceiverID)
}
