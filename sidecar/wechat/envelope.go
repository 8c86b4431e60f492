// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Envelope is the body of an encrypted message. All that is authentic in it is Encrypt, once msg_signature is verified:
// in the compatible mode a cleartext stands beside it that anybody may have written.
type Envelope struct {
	// Encrypt is the text that msg_signature covers: as received, without white space at its ends.
	Encrypt string
	// Form is the notation, which the reply follows.
	Form Form
	// Cleartext says that there is more beside Encrypt than an address.
	Cleartext bool
}

// errNoEncrypt: a document without an Encrypt where only its name says what it is for.
var errNoEncrypt = errors.New("the body has no Encrypt")

// ParseEnvelope reads the Encrypt of a body. It refuses one in which two parsers would find two different ones: it must
// stand exactly once, below the root, as plain text, and no name that differs from it in case only beside it.
//
// Its error is a *Refusal with ReasonMalformed.
func ParseEnvelope(body []byte) (Envelope, error) {
	fields, err := readFields(body)
	if err != nil {
		return Envelope{}, Refuse(ReasonMalformed, "the body is "+err.Error())
	}
	i, err := findEncrypt(fields, FormOf(body))
	if err != nil {
		return Envelope{}, Refuse(ReasonMalformed, err.Error())
	}
	envelope := Envelope{Encrypt: fields[i].text, Form: FormOf(body), Cleartext: slices.ContainsFunc(fields, isContent)}
	if fields[i].name == "encrypt" {
		envelope.Form = FormJSONLower
	}
	return envelope, nil
}

// findEncrypt returns the index of the one Encrypt.
func findEncrypt(fields []field, form Form) (int, error) {
	found := -1
	for i, f := range fields {
		named := strings.EqualFold(f.name, "Encrypt")
		if f.encrypts || named && found >= 0 {
			return 0, errors.New("element Encrypt stands twice in the body, or not below the root")
		}
		if named {
			found = i
		}
	}
	switch {
	case found < 0:
		return 0, errNoEncrypt
	case !fields[found].leaf:
		return 0, errors.New("element Encrypt is not a plain text")
	case fields[found].text == "":
		return 0, errors.New("element Encrypt is empty")
	case fields[found].name == "Encrypt", form == FormJSON && fields[found].name == "encrypt":
		return found, nil
	}
	return 0, errNoEncrypt
}

// isContent reports whether a field is part of a message, and not of the address on the envelope.
func isContent(f field) bool {
	return !slices.Contains([]string{"encrypt", "tousername", "appid", "agentid"}, strings.ToLower(f.name))
}

// ErrNoCleartext says that a body has nothing but Encrypt and an address.
var ErrNoCleartext = errors.New("the body has no message beside Encrypt")

// WithoutEncrypt returns the cleartext of a body of the compatible mode: all of it, byte for byte, but Encrypt. A body
// without Encrypt is returned as it is, and so is one that cannot be read: it is the app's to judge.
//
// Its error is ErrNoCleartext, or a *Refusal with ReasonMalformed where two parsers would find two different Encrypts.
func WithoutEncrypt(body []byte) ([]byte, error) {
	fields, err := readFields(body)
	if err != nil {
		return body, nil
	}
	i, err := findEncrypt(fields, FormOf(body))
	switch {
	case errors.Is(err, errNoEncrypt):
		return body, nil
	case err != nil:
		return nil, Refuse(ReasonMalformed, err.Error())
	case !slices.ContainsFunc(fields, isContent):
		return nil, ErrNoCleartext
	}
	start, end := fields[i].start, fields[i].end
	if FormOf(body) == FormJSON { // with one comma
		if i > 0 {
			start = fields[i-1].end
		} else {
			end = fields[i+1].start
		}
	}
	return slices.Concat(body[:start], body[end:]), nil
}

// RequestEnvelope is the body that WeChat would send with encrypted in it. Address names the receiver: ToUserName, and
// AgentID or AppId where there is one; an empty value is left out.
func RequestEnvelope(form Form, address []Address, encrypted string) []byte {
	var b bytes.Buffer
	if form == FormXML {
		b.WriteString("<xml>")
		for _, a := range address {
			if a.Value != "" {
				fmt.Fprintf(&b, "<%s>%s</%[1]s>", a.Name, CDATA(a.Value))
			}
		}
		fmt.Fprintf(&b, "<Encrypt>%s</Encrypt></xml>", CDATA(encrypted))
		return b.Bytes()
	}
	spell := func(name string) string { return name }
	if form == FormJSONLower {
		spell = strings.ToLower
	}
	b.WriteByte('{')
	for _, a := range address {
		if a.Value != "" {
			fmt.Fprintf(&b, "%s:%s,", quote(spell(a.Name)), quote(a.Value))
		}
	}
	fmt.Fprintf(&b, "%s:%s}", quote(spell("Encrypt")), quote(encrypted))
	return b.Bytes()
}

// Address is a field on the envelope.
type Address struct{ Name, Value string }

// ReplyEnvelope is the sealed reply that WeChat expects: encrypted, the signature over it with the token, and the
// timestamp and nonce that went into it. Timestamp is in decimal digits.
func ReplyEnvelope(form Form, token, timestamp, nonce, encrypted string) []byte {
	signature := Sign(token, timestamp, nonce, encrypted)
	switch form {
	case FormJSON:
		return fmt.Appendf(nil, `{"Encrypt":%s,"MsgSignature":%s,"TimeStamp":%s,"Nonce":%s}`, quote(encrypted), quote(signature), timestamp, quote(nonce))
	case FormJSONLower:
		return fmt.Appendf(nil, `{"encrypt":%s,"msgsignature":%s,"timestamp":%s,"nonce":%s}`, quote(encrypted), quote(signature), timestamp, quote(nonce))
	default:
		return fmt.Appendf(nil, "<xml>\n<Encrypt>%s</Encrypt>\n<MsgSignature>%s</MsgSignature>\n<TimeStamp>%s</TimeStamp>\n<Nonce>%s</Nonce>\n</xml>",
			CDATA(encrypted), CDATA(signature), timestamp, CDATA(nonce))
	}
}

// SealedReply is what a ReplyEnvelope carries.
type SealedReply struct{ Encrypt, Signature, Timestamp, Nonce string }

// ParseReplyEnvelope reads a sealed reply in any of its spellings.
func ParseReplyEnvelope(reply []byte) (SealedReply, error) {
	fields, err := readFields(reply)
	if err != nil {
		return SealedReply{}, err
	}
	var sealed SealedReply
	for _, f := range fields {
		switch strings.ToLower(f.name) {
		case "encrypt":
			sealed.Encrypt = f.text
		case "msgsignature":
			sealed.Signature = f.text
		case "timestamp":
			sealed.Timestamp = f.text
		case "nonce":
			sealed.Nonce = f.text
		}
	}
	if sealed.Encrypt == "" || sealed.Signature == "" || sealed.Timestamp == "" || sealed.Nonce == "" {
		return SealedReply{}, errors.New("the reply lacks Encrypt, MsgSignature, TimeStamp or Nonce")
	}
	return sealed, nil
}

// CDATA wraps a text in a CDATA section, split where the text would end it: a nonce is chosen by whoever sent it.
func CDATA(text string) string {
	return "<![CDATA[" + strings.ReplaceAll(text, "]]>", "]]]]><![CDATA[>") + "]]>"
}

func quote(text string) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a string into memory
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
