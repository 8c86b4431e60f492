// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// pushOpening is a captured message, or URL check, of every platform but Pay. Each step adds to it what the next needs.
type pushOpening struct {
	account account
	capture capture
	keys    []keyring
	now     time.Time

	query   wechat.Query
	encrypt string // the text that is encrypted
	sealed  []byte // the same without its base64
	best    decryption
	message []byte
}

func (p *pushOpening) opened() []byte { return p.message }

func (p *pushOpening) steps() []step {
	steps := append(p.capture.tellUndone(), step{"query", p.readQuery}, step{"age", p.tellAge})
	if p.urlCheck() {
		if p.account.platform != v1alpha1.PlatformWeCom {
			return append(steps, step{"signature", p.verifyPlain}, step{"echostr", p.echo})
		}
		steps = append(steps, step{"echostr", p.takeEchostr})
	} else {
		steps = append(steps, step{"body", p.capture.whole})
		if !p.account.encrypted() {
			return append(steps, step{"signature", p.verifyPlain}, step{"message", p.takePlain})
		}
		steps = append(steps, step{"envelope", p.readEnvelope})
	}
	return append(steps, step{"signature", p.verify}, step{"base64", p.decode}, step{"key", p.parseKeys},
		step{"padding", p.unpad}, step{"length", p.readLength}, step{"receiver", p.compareReceiver})
}

// urlCheck reports whether the capture is a GET of the console: it has an echostr and no body.
func (p *pushOpening) urlCheck() bool {
	return len(p.capture.body) == 0 && strings.Contains("&"+p.capture.query, "&echostr=")
}

func (p *pushOpening) readQuery() finding {
	if p.capture.query == "" {
		return skipped("none is given, so that nothing shows who sent this: pass --query with the query of the access log")
	}
	var refusal *wechat.Refusal
	var err error
	if p.query, err = wechat.ParseQuery(p.capture.query); errors.As(err, &refusal) {
		return failed(text.Verbatim(refusal.Detail), "copy the query as it stands in the request line, with its escapes; a log viewer may have decoded it, or written &amp; for &")
	}
	var names []string
	for _, one := range []struct{ name, value string }{
		{"signature", p.query.Signature}, {"msg_signature", p.query.MsgSignature}, {"echostr", p.query.Echostr},
	} {
		if one.value != "" {
			names = append(names, one.name)
		}
	}
	return found("timestamp, nonce, %s", strings.Join(names, ", "))
}

func (p *pushOpening) tellAge() finding {
	if p.capture.query == "" {
		return skipped("the timestamp stands in the query")
	}
	return age(p.query.Timestamp, p.now, p.account.freshness)
}

// verifyPlain is for what is not encrypted: the signature covers neither body nor echostr.
func (p *pushOpening) verifyPlain() finding {
	switch {
	case p.capture.query == "":
		return skipped("it stands in the query")
	case p.query.Signature == "":
		return failed(text.New("the query has no signature"), "look whether this is a request of WeChat's at all, or whether the platform is WeCom")
	}
	for _, key := range p.keys {
		if wechat.Verify(p.query.Signature, key.Token, p.query.Timestamp, p.query.Nonce) {
			return found("made with the token of %s; it does not cover the body", key.from)
		}
	}
	return failed(text.New("made with another token than that of %s", p.sources()), otherToken)
}

const otherToken = "compare the token with Token in the console; " +
	"if it was changed, what was sent before is signed with the older one (--token-file); if the request is not WeChat's, it is a forgery"

func (p *pushOpening) echo() finding {
	p.message = []byte(p.query.Echostr)
	return found("%d bytes, to be answered as they are", len(p.message))
}

func (p *pushOpening) takePlain() finding {
	clear, err := wechat.WithoutEncrypt(p.capture.body)
	if err != nil && !errors.Is(err, wechat.ErrNoCleartext) {
		return failed(text.Verbatim(err.Error()), "WeChat sends no such body: compare the capture with what the ingress controller saw")
	}
	if err != nil {
		return failed(text.New("the body is encrypted, and the endpoint is in plaintext mode"),
			"choose 明文模式 in the console, or set messageMode to Encrypted and put the encodingAESKey into the Secret")
	}
	p.message = clear
	return found("%d bytes in plaintext", len(clear))
}

func (p *pushOpening) takeEchostr() finding {
	p.encrypt = strings.ReplaceAll(p.query.Echostr, " ", "+") // a + that was not escaped
	return found("%d characters, encrypted", len(p.encrypt))
}

func (p *pushOpening) readEnvelope() finding {
	envelope, err := wechat.ParseEnvelope(p.capture.body, config.HasModes(string(p.account.platform)))
	var refusal *wechat.Refusal
	if errors.As(err, &refusal) {
		return failed(text.Verbatim(refusal.Detail), "look whether the body is whole and not written anew by a proxy or log; "+
			"a body without Encrypt comes from a console in plaintext mode (明文模式), which this endpoint refuses")
	}
	p.encrypt = string(envelope.Encrypt)
	notation := "XML"
	if envelope.Form != wechat.FormXML {
		notation = "JSON"
	}
	if envelope.Cleartext {
		return found("Encrypt of %d characters in %s, with a cleartext beside it that nothing authenticates", len(p.encrypt), notation)
	}
	return found("Encrypt of %d characters in %s", len(p.encrypt), notation)
}

func (p *pushOpening) verify() finding {
	switch {
	case p.capture.query == "":
		return skipped("it stands in the query")
	case p.query.MsgSignature == "":
		return failed(text.New("the query has no msg_signature, which an encrypted message has"),
			"compare 消息加解密方式 in the console with messageMode: a message with signature alone is refused, because it covers no body")
	}
	var signers []keyring
	for _, key := range p.keys {
		if wechat.Verify(p.query.MsgSignature, key.Token, p.query.Timestamp, p.query.Nonce, p.encrypt) {
			signers = append(signers, key)
		}
	}
	if len(signers) > 0 {
		p.keys = signers
		return found("msg_signature was made with the token of %s, and covers Encrypt", p.sources())
	}
	for _, key := range p.keys {
		if wechat.Verify(p.query.Signature, key.Token, p.query.Timestamp, p.query.Nonce) {
			return failed(text.New("the token of %s is right (signature was made with it), and msg_signature does not cover this Encrypt", key.from),
				"this body did not come with this query, or was changed on the way into the capture: look for escapes (\\/), line ends, or a + that became a space")
		}
	}
	return failed(text.New("msg_signature was made with another token than that of %s, or over another Encrypt", p.sources()),
		otherToken+"; look whether the body belongs to this query")
}

// sources names where the credentials come from.
func (p *pushOpening) sources() text.Text {
	var all text.Text
	for i, key := range p.keys {
		switch {
		case i == 0:
			all = key.from
		case key.from.String() != p.keys[i-1].from.String():
			all = text.New("%s and %s", all, key.from)
		}
	}
	return all
}

func (p *pushOpening) decode() finding {
	if strings.Contains(p.encrypt, " ") {
		return failed(text.New("the encrypted text holds a space, which base64 does not have"),
			"something decoded the text once too often, which turns + into a space: capture it before that")
	}
	sealed, err := base64.StdEncoding.Strict().DecodeString(p.encrypt)
	var place base64.CorruptInputError
	if errors.As(err, &place) {
		return failed(text.New("the encrypted text is not base64 at character %d of %d", int64(place)+1, len(p.encrypt)),
			"capture the whole text; it is letters, digits, + and /, and perhaps = at its end")
	}
	if len(sealed) == 0 || len(sealed)%blockSize != 0 {
		return failed(text.New("%d bytes are encrypted, which is no multiple of %d", len(sealed), blockSize),
			"capture the whole text: WeChat pads to 32 bytes, so that the end is missing, or the text is not WeChat's")
	}
	p.sealed = sealed
	return found("%d bytes, %d blocks of %d", len(sealed), len(sealed)/blockSize, blockSize)
}

// parseKeys leaves the keys out that are none.
func (p *pushOpening) parseKeys() finding {
	var good []keyring
	var problem error
	for _, key := range p.keys {
		if err := config.ValidateEncodingAESKey(key.EncodingAESKey); err != nil {
			problem = err
			continue
		}
		good = append(good, key)
	}
	if len(good) == 0 {
		return failed(text.New("the EncodingAESKey of %s %v", p.sources(), problem), "copy the EncodingAESKey of the console again")
	}
	p.keys = good
	return found("43 characters from %s", p.sources())
}

// unpad decrypts with each key and goes on with that which gets the furthest: with a wrong one, what is decrypted is noise,
// which rarely ends like a padding.
func (p *pushOpening) unpad() finding {
	for i, key := range p.keys {
		if opened := decrypt(key, p.sealed); i == 0 || opened.stage > p.best.stage {
			p.best = opened
		}
	}
	if p.best.stage < stagePadding {
		return failed(p.best.why,
			"this is what a wrong key looks like: compare EncodingAESKey in the console; if it was changed, what was sent before needs the older one (--encoding-aes-key-file)")
	}
	return found("%d bytes, with the EncodingAESKey of %s", p.best.padding, p.best.key.from)
}

func (p *pushOpening) readLength() finding {
	if p.best.stage < stageLength {
		return failed(p.best.why,
			"the padding was right by chance, which happens with a wrong key: compare EncodingAESKey in the console, and pass the older one if it was changed")
	}
	p.message = p.best.message
	return found("the message has %d bytes, and %d follow it", len(p.message), len(p.best.receiver))
}

func (p *pushOpening) compareReceiver() finding {
	got := p.best.receiver
	if len(p.account.receivers) == 0 {
		return skipped("encrypted for %q; pass --receiver-id to compare it", got)
	}
	for _, id := range p.account.receivers {
		switch {
		case id == got && !strings.Contains(id, "$"):
			return found("encrypted for %q, as expected", got)
		case id == config.AnyReceiver:
			return found("encrypted for %q; %s accepts any", got, id)
		case id == config.PlaceholderCorpID && p.capture.path == "":
			return skipped("encrypted for %q; %s stands for the id in the URL, which is not known", got, id)
		case id == config.PlaceholderCorpID && got != "" && strings.Contains(p.capture.path+"?"+p.capture.query, got):
			return found("encrypted for %q, as the URL says", got)
		}
	}
	return failed(text.New("encrypted for %q, and accepted is %q", got, p.account.receivers),
		"add the id to receiverIDs if the message is for this account "+
			"(a suite's commands carry its suite id, a bot's messages none, an authorizer's messages the platform's AppID); otherwise another account has this URL, token and key")
}
