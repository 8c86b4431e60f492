// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// checkEcho verifies the URL check of message push, which is never encrypted, whatever the mode.
func (g *Gate) checkEcho(m *Message, r Request, now time.Time) error {
	if err := g.checkTriple(m, r, now); err != nil {
		return err
	}
	switch echostr := m.Query.Echostr; {
	case echostr == "":
		return wechat.Refuse(wechat.ReasonMalformed, "a GET without echostr is no URL check")
	case strings.Contains(echostr, " "):
		return wechat.Refuse(wechat.ReasonMalformed, "the echostr has a space in it, which WeChat's never has")
	}
	m.Echo = []byte(m.Query.Echostr)
	return nil
}

// checkPlaintext verifies a message in plaintext mode. Nothing of its body is read before the signature holds, which
// does not cover it.
//
// A body of the compatible mode is taken too, without its Encrypt: so a console can be switched before the resource is. The body
// says so itself: no signature covers encrypt_type.
func (g *Gate) checkPlaintext(m *Message, r Request, now time.Time) error {
	err := g.checkTriple(m, r, now)
	if err != nil {
		return err
	}
	if strings.HasPrefix(m.Query.Nonce, config.ProbeNoncePrefix) { // whoever saw it on its way could post any body with it
		return wechat.Refuse(wechat.ReasonReplayed, "the operator signed this for a URL check, which is never good for a message")
	}
	if m.Body, err = readBody(r); err != nil {
		return err
	}
	if wechat.HasDoctype(m.Body) { // the signature does not cover it, and the app's parser may follow its entities
		return wechat.Refuse(wechat.ReasonMalformed, "the message has a DOCTYPE, which none of WeChat's has")
	}
	m.Body, err = wechat.WithoutEncrypt(m.Body)
	if errors.Is(err, wechat.ErrNoCleartext) {
		err = wechat.Refuse(wechat.ReasonWrongMode, "the console sends encrypted messages and this endpoint is in plaintext mode; choose 明文模式 in the console, or set messageMode")
	}
	if err != nil {
		return err
	}
	m.Form = wechat.FormOf(m.Body)
	g.readFields(m, r.RawQuery)
	return nil
}

// readFields reads what decides about a message. An InfoType is believed on the platforms that have it, in a document that is no
// message, and if it was sealed for the platform or suite itself and not for one of its customers; the operator's probes have one
// on every platform, and are known by their nonce too.
func (g *Gate) readFields(m *Message, rawQuery string) {
	m.Fields = wechat.ReadFields(m.Body)
	has := g.config.Platform == config.PlatformWeCom || g.config.Platform == config.PlatformOpenPlatform
	own := m.ReceiverID == g.config.AppID || slices.Contains(g.config.ReceiverIDs, m.ReceiverID)
	if m.Fields.InfoType != config.ProbeInfoType && (!has || !own || m.Fields.MsgType != "") {
		m.Fields.InfoType = ""
	}
	for openID := range wechat.Parameters(rawQuery, "openid") {
		m.OpenID = m.OpenID || openID == m.Fields.FromUserName
	}
}

// freshness is how long an encrypted message may be on its way. What the app must not lose WeChat repeats for a day, and so it does
// with more of a mini program's events than are known; that it is one is known before its age is judged, because the signature
// covers all of it.
func (g *Gate) freshness(fields *wechat.Fields) time.Duration {
	if g.config.Platform == config.PlatformMiniProgram || g.config.MustNotBeLost(fields.MustNotBeLost()) {
		return config.LongFreshness
	}
	return config.Freshness
}

// checkTriple verifies signature, which covers timestamp and nonce only. Freshness comes before it, because it costs less
// and says nothing that the client did not know.
func (g *Gate) checkTriple(m *Message, r Request, now time.Time) error {
	var err error
	if m.Query, err = wechat.ParseQuery(r.RawQuery); err != nil {
		return err
	}
	query := &m.Query
	if query.Signature == "" {
		return wechat.Refuse(wechat.ReasonMalformed, "parameter signature is missing")
	}
	if m.StaleAt, err = g.freshUntil(query.Timestamp, config.Freshness, now); err != nil {
		return err
	}
	signer, only := g.signedBy(now, query.Signature, query.Timestamp, query.Nonce)
	if signer == nil {
		return errSignature
	}
	m.pair, m.Bind = signer, !g.config.Encrypted()
	if only { // a changed key alone does not show in a signature
		m.Generation = signer.Generation
	}
	return nil
}

// checkEncryptedEcho verifies WeCom's URL check, whose echostr is encrypted and is answered decrypted.
func (g *Gate) checkEncryptedEcho(m *Message, r Request, now time.Time) error {
	err := m.parseEncryptedQuery(r.RawQuery)
	if err != nil {
		return err
	}
	if m.Query.Echostr == "" {
		return wechat.Refuse(wechat.ReasonMalformed, "a GET without echostr is no URL check")
	}
	echostr := strings.ReplaceAll(m.Query.Echostr, " ", "+") // a + of base64 that was not escaped
	if err := g.open(m, []byte(echostr), now); err != nil {
		return err
	}
	if m.StaleAt, err = g.freshUntil(m.Query.Timestamp, config.Freshness, now); err != nil {
		return err
	}
	// It is an answer to whoever asks, and the text of any message can be put there with the message's own signature, by
	// somebody who saw it pass. So only what an echostr is made of is answered: no message is letters and digits alone.
	if len(m.Body) == 0 || len(m.Body) > wechat.MaxEchostrSize || slices.ContainsFunc(m.Body, notAlphanumeric) {
		return wechat.Refuse(wechat.ReasonMalformed, "the decrypted echostr is not letters and digits")
	}
	m.Echo, m.Body = m.Body, nil
	return nil
}

func notAlphanumeric(c byte) bool {
	return notDigit(c) && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
}

func notDigit(c byte) bool { return c < '0' || c > '9' }

// checkEncrypted verifies a message whose signature covers its Encrypt, and reads nothing else of it: what stands beside
// Encrypt in the compatible mode may be anybody's.
func (g *Gate) checkEncrypted(m *Message, r Request, now time.Time) error {
	if err := m.parseEncryptedQuery(r.RawQuery); err != nil {
		return err
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	envelope, err := wechat.ParseEnvelope(body, config.HasModes(g.config.Platform))
	if err != nil {
		return err
	}
	if err := g.open(m, envelope.Encrypt, now); err != nil {
		return err
	}
	g.readFields(m, r.RawQuery)
	switch {
	case !slices.ContainsFunc(m.Body, notDigit): // the echostr of a URL check, from somebody who saw it pass
		return wechat.Refuse(wechat.ReasonMalformed, "the decrypted message is a number, as an echostr is and no message")
	case mirrored(&m.Fields, m.ReceiverID):
		return wechat.Refuse(wechat.ReasonReflected, "a message from the account itself: an app's reply that is posted back")
	}
	m.Form = envelope.Form
	m.StaleAt, err = g.freshUntil(m.Query.Timestamp, g.freshness(&m.Fields), now) // last: a stale one is then known to be WeChat's
	return err
}

// parseEncryptedQuery refuses a query of plaintext mode. It must: with signature alone, which covers no body, whoever
// reads one query in a log could post whatever he likes.
func (m *Message) parseEncryptedQuery(raw string) (err error) {
	if m.Query, err = wechat.ParseQuery(raw); err != nil {
		return err
	}
	if m.Query.MsgSignature == "" {
		return wechat.Refuse(wechat.ReasonDowngrade, "not an encrypted message, and this endpoint takes no others; compare 消息加解密方式 in the console with messageMode")
	}
	return nil
}

// open verifies msg_signature over an encrypted text and decrypts it.
func (g *Gate) open(m *Message, encrypted []byte, now time.Time) error {
	err := g.decrypt(m, encrypted, now)
	if err == nil && !g.receives(m.ReceiverID, m.PathID) {
		return wrongReceiver(m)
	}
	return err
}

func wrongReceiver(m *Message) *wechat.Refusal {
	refusal := wechat.Refuse(wechat.ReasonWrongReceiver, "encrypted for an account that is not among receiverIDs")
	if isID(m.ReceiverID) {
		refusal.Detail = "encrypted for " + m.ReceiverID + ", which is not among receiverIDs (without them, appID)"
	}
	if isID(m.ReceiverID) && !m.Played() { // what somebody plays tells nothing of WeChat
		refusal.Receiver = m.ReceiverID
	}
	return refusal
}

// mirrored reports whether a message is from the account and not to it, as replies are. It is for those that an app seals by
// itself (payload Original), which bear no mark. An account is known by the id that stands behind the message (WeCom), or by
// gh_, with which every original id (原始ID) of an account begins and no OpenID.
func mirrored(f *wechat.Fields, receiverID string) bool {
	account := func(id string) bool { return id != "" && id == receiverID || strings.HasPrefix(id, "gh_") }
	return account(f.FromUserName) && !account(f.ToUserName)
}

// decrypt uses the newest key that opens the text, of the pairs whose token signed it: a key may have been changed and the
// token not. It always tries every token, so that the time does not tell a stranger which one matched, and no key before
// its token did.
func (g *Gate) decrypt(m *Message, encrypted []byte, now time.Time) error {
	var signed, reflected bool
	query := &m.Query
	for i := range g.pairs {
		p := &g.pairs[i]
		if !p.Accepted(now) || !wechat.VerifyEncrypt(query.MsgSignature, p.Token, query.Timestamp, query.Nonce, encrypted) {
			continue
		}
		signed = true
		if p.key == nil || m.pair != nil {
			continue
		}
		if opened, err := p.key.Open(encrypted); err == nil {
			reflected = p.key.Marked(opened.Random)
			m.Generation, m.Body, m.ReceiverID = p.Generation, opened.Message, opened.ReceiverID
			m.pair, m.sealed, m.encrypt = p, true, encrypted
		}
	}
	switch {
	case !signed:
		return errSignature
	case m.pair == nil:
		return wechat.Refuse(wechat.ReasonUndecryptable, "signed with the Secret's token, and not encrypted with its encodingAESKey; compare it with EncodingAESKey in the console")
	case reflected:
		return wechat.Refuse(wechat.ReasonReflected, "a reply that was sealed here and is posted back, by somebody who saw it pass")
	}
	return nil
}

// receives reports whether a message may be for this account.
func (g *Gate) receives(receiverID, pathID string) bool {
	if len(g.config.ReceiverIDs) == 0 {
		return receiverID == g.config.AppID
	}
	return slices.ContainsFunc(g.config.ReceiverIDs, func(accepted string) bool {
		switch accepted {
		case config.AnyReceiver:
			return true
		case config.PlaceholderCorpID:
			return pathID != "" && receiverID == pathID
		}
		return receiverID == accepted
	})
}

func readBody(r Request) ([]byte, error) {
	body, err := r.Body()
	switch {
	case err != nil:
		return nil, err
	case len(body) == 0:
		return nil, wechat.Refuse(wechat.ReasonMalformed, "a POST without a body is no message")
	}
	return body, nil
}
